//! A whole transaction is missing from what was restored: one that the archive held, one in the middle of the history, or
//! one that the recovered server itself had acknowledged. No row of it is left, so that nothing is torn.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::{Doing, Error, Outcome};
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::ledger::{Control, Line, OpOutcome};
use std::collections::BTreeSet;
use std::path::Path;

const HELD: SabotageSpec = SabotageSpec {
    name: "transaction-removed",
    summary: "A whole transaction that the archive holds is missing from the recovered server",
    consequence: Consequence::Fail,
    caught_by: &["no-lost-before-cut"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

const HOLE: SabotageSpec = SabotageSpec {
    name: "history-with-a-hole",
    summary: "A whole transaction is missing from the recovered server, and later ones are there",
    consequence: Consequence::Fail,
    caught_by: &["no-holes"],
    // With a target the end of the archive is shown by the control restore, which nothing here reaches.
    scenarios: &["postgres-instance-lost", "postgres-crash"],
    differs_by_lab: false,
};

const LATER: SabotageSpec = SabotageSpec {
    name: "later-write-removed",
    summary: "A write that the recovered server had acknowledged is gone before anyone reads back",
    consequence: Consequence::Fail,
    caught_by: &["kept-after-recovery"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost", "postgres-crash"],
    differs_by_lab: false,
};

/// Removes a transaction.
pub struct TransactionRemoved {
    spec: &'static SabotageSpec,
}

impl TransactionRemoved {
    /// One that the archive holds.
    pub fn held() -> TransactionRemoved {
        TransactionRemoved { spec: &HELD }
    }

    /// One with later ones after it.
    pub fn hole() -> TransactionRemoved {
        TransactionRemoved { spec: &HOLE }
    }

    /// One of the recovered server.
    pub fn later() -> TransactionRemoved {
        TransactionRemoved { spec: &LATER }
    }

    fn is_later(&self) -> bool {
        self.spec.name == LATER.name
    }
}

impl Sabotage for TransactionRemoved {
    fn spec(&self) -> &'static SabotageSpec {
        self.spec
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let Some(recovered) = stage.recovered else { return Ok(()) };
            let wanted = if self.is_later() { Point::BeforeReadback } else { Point::Recovered };
            if point != wanted {
                return Ok(());
            }
            let client = recovered.connect().await.doing(|| "connect to the recovered server".into())?;
            let (c, n) = if self.is_later() {
                acknowledged_by(stage.ledger, &recovered.id())?
            } else {
                let first =
                    client.query_one("SELECT c, n FROM presence ORDER BY c, n LIMIT 1", &[]).await.doing(|| "look for a transaction".into())?;
                (first.get::<_, i32>(0) as u32, first.get::<_, i64>(1) as u64)
            };
            let of = |table: &str| format!("DELETE FROM {table} WHERE (c, n) = ({c}, {n});");
            let sql: String = ["presence", "journal", "ledger_a", "ledger_b"].map(of).concat();
            client.batch_execute(&sql).await.doing(|| "remove a transaction".into())?;
            told(self, stage, format!("removed every row of operation {c}.{n}"));
            Ok(())
        })
    }
}

/// The first operation that an instance acknowledged.
fn acknowledged_by(ledger: &Path, instance: &str) -> Outcome<(u32, u64)> {
    let text = std::fs::read_to_string(ledger).doing(|| "read the ledger".into())?;
    let mut of_instance = BTreeSet::new();
    for line in text.lines().filter_map(|l| Line::decode(l.rsplit_once('\t')?.0).ok()) {
        match line {
            Line::Control(Control::Client { c, instance: its, .. }) if its == instance => {
                of_instance.insert(c);
            }
            Line::Op(op) if op.outcome == OpOutcome::Ok && of_instance.contains(&op.client) => return Ok((op.client, op.seq)),
            _ => {}
        }
    }
    Err(Error::Other(format!("{instance} has acknowledged nothing yet")))
}
