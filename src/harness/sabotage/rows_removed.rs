//! What was restored is not all of it: a table is empty, or a transaction lacks one of its rows.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Doing;
use crate::model::catalog::{Consequence, SabotageSpec};

const EMPTY: SabotageSpec = SabotageSpec {
    name: "table-empty",
    summary: "A table is restored empty",
    consequence: Consequence::Fail,
    caught_by: &["no-partial-transactions"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

const ROW: SabotageSpec = SabotageSpec {
    name: "row-removed",
    summary: "One row of a transaction is missing",
    consequence: Consequence::Fail,
    caught_by: &["no-partial-transactions"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost", "postgres-crash"],
    differs_by_lab: false,
};

const DROPPED: SabotageSpec = SabotageSpec {
    name: "table-dropped-before-backup",
    summary: "A table was dropped before the base backup, and nobody noticed",
    consequence: Consequence::Fail,
    caught_by: &["tables-present"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Table,
    Row,
    DroppedBefore,
}

/// Takes rows away from the recovered server, or a table before the backup.
pub struct RowsRemoved {
    what: What,
}

impl RowsRemoved {
    /// Empties a table.
    pub fn table() -> RowsRemoved {
        RowsRemoved { what: What::Table }
    }

    /// Removes one row.
    pub fn row() -> RowsRemoved {
        RowsRemoved { what: What::Row }
    }

    /// Drops a table before the base backup.
    pub fn dropped_before() -> RowsRemoved {
        RowsRemoved { what: What::DroppedBefore }
    }
}

impl Sabotage for RowsRemoved {
    fn spec(&self) -> &'static SabotageSpec {
        match self.what {
            What::Table => &EMPTY,
            What::Row => &ROW,
            What::DroppedBefore => &DROPPED,
        }
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (server, sql) = match (self.what, point, stage.recovered) {
                (What::Table, Point::Recovered, Some(recovered)) => (recovered, "TRUNCATE ledger_a"),
                (What::Row, Point::Recovered, Some(recovered)) => {
                    (recovered, "DELETE FROM ledger_a WHERE (c, n) = (SELECT c, n FROM ledger_a ORDER BY c, n LIMIT 1)")
                }
                (What::DroppedBefore, Point::BeforeBackup, _) => (stage.origin, "DROP TABLE base_data"),
                _ => return Ok(()),
            };
            let client = server.connect().await.doing(|| "connect to the server".into())?;
            client.batch_execute(sql).await.doing(|| "remove rows".into())?;
            told(self, stage, sql.into());
            Ok(())
        })
    }
}
