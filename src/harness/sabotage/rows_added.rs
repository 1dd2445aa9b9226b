//! What was restored is more than was written: a row that nobody intended, a row twice, or one of a write that failed.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::{Doing, Error, Outcome};
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::ledger::{Control, Line, Op, OpKind, OpOutcome};
use crate::model::seed;
use std::collections::BTreeMap;
use std::path::Path;

const INVENTED: SabotageSpec = SabotageSpec {
    name: "row-invented",
    summary: "The recovered server has a transaction that no client ever attempted",
    consequence: Consequence::Fail,
    caught_by: &["no-phantoms"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost", "postgres-crash"],
    differs_by_lab: false,
};

const DOUBLED: SabotageSpec = SabotageSpec {
    name: "row-doubled",
    summary: "The recovered server lost a unique index, and has a row twice",
    consequence: Consequence::Fail,
    caught_by: &["no-duplicates"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

const RESURRECTED: SabotageSpec = SabotageSpec {
    name: "failed-write-present",
    summary: "The recovered server has a write that its client was told had failed",
    consequence: Consequence::Fail,
    caught_by: &["no-resurrected"],
    // Half of its clients fail for certain: the table that they write to is gone.
    scenarios: &["postgres-drop-table"],
    differs_by_lab: false,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Invented,
    Doubled,
    Resurrected,
}

/// Adds rows to the recovered server.
pub struct RowsAdded {
    what: What,
}

impl RowsAdded {
    /// One that no client ever attempted.
    pub fn invented() -> RowsAdded {
        RowsAdded { what: What::Invented }
    }

    /// One that is there already.
    pub fn doubled() -> RowsAdded {
        RowsAdded { what: What::Doubled }
    }

    /// One whose write had failed.
    pub fn resurrected() -> RowsAdded {
        RowsAdded { what: What::Resurrected }
    }
}

impl Sabotage for RowsAdded {
    fn spec(&self) -> &'static SabotageSpec {
        match self.what {
            What::Invented => &INVENTED,
            What::Doubled => &DOUBLED,
            What::Resurrected => &RESURRECTED,
        }
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::Recovered, Some(recovered)) = (point, stage.recovered) else { return Ok(()) };
            let (sql, detail) = match self.what {
                // Far beyond what a client reserves in the time of a drill.
                What::Invented => {
                    let row = "1, 1000000000";
                    let sql = format!(
                        "INSERT INTO presence VALUES ({row}); INSERT INTO journal VALUES ({row}, 'x'); INSERT INTO ledger_a VALUES ({row}, 'x', NULL)"
                    );
                    (sql, "inserted operation 1.1000000000".to_string())
                }
                What::Doubled => {
                    let sql =
                        "ALTER TABLE presence DROP CONSTRAINT presence_pkey; INSERT INTO presence SELECT c, n FROM presence ORDER BY c, n LIMIT 1";
                    (sql.to_string(), "dropped a primary key and inserted a row again".to_string())
                }
                What::Resurrected => {
                    let (table, op) = failed(stage.ledger)?;
                    let (c, n, payload) = (op.client, op.seq, seed::payload(stage.seed, op.client, op.seq));
                    let sql = format!(
                        "INSERT INTO presence VALUES ({c}, {n}); INSERT INTO journal VALUES ({c}, {n}, '{}'); INSERT INTO {table} VALUES ({c}, {n}, '{payload}', NULL)",
                        op.chain
                    );
                    (sql, format!("inserted operation {c}.{n}, which had failed"))
                }
            };
            let client = recovered.connect().await.doing(|| "connect to the recovered server".into())?;
            client.batch_execute(&sql).await.doing(|| "insert rows".into())?;
            told(self, stage, detail);
            Ok(())
        })
    }
}

/// An operation of the ledger that failed and has no object, with the table that it wrote to.
fn failed(ledger: &Path) -> Outcome<(String, Op)> {
    let text = std::fs::read_to_string(ledger).doing(|| "read the ledger".into())?;
    let mut tables = BTreeMap::new();
    for line in text.lines().filter_map(|l| Line::decode(l.rsplit_once('\t')?.0).ok()) {
        match line {
            Line::Control(Control::Client { c, table, .. }) => {
                tables.insert(c, table);
            }
            Line::Op(op) if op.outcome == OpOutcome::Fail && op.kind == OpKind::Row => {
                if let Some(table) = tables.get(&op.client) {
                    return Ok((table.clone(), op));
                }
            }
            _ => {}
        }
    }
    Err(Error::Other("no operation has failed; try another seed".into()))
}
