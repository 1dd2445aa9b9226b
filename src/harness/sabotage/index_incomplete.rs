//! An index of the recovered server lacks an entry: reads through it miss a row that is there, as after a change of the
//! collation's library or a bug of the index.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Doing;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "index-incomplete",
    summary: "An index of the recovered server lacks an entry for a row that is there",
    consequence: Consequence::Fail,
    caught_by: &["structure"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost", "postgres-crash"],
    differs_by_lab: false,
};

/// Writes a row past its index.
pub struct IndexIncomplete;

impl Sabotage for IndexIncomplete {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::Recovered, Some(recovered)) = (point, stage.recovered) else { return Ok(()) };
            let client = recovered.connect().await.doing(|| "connect to the recovered server".into())?;
            let ready = |yes: bool| format!("UPDATE pg_index SET indisready = {yes} WHERE indexrelid = 'presence_pkey'::regclass");
            let moved = "WITH gone AS (DELETE FROM presence WHERE (c, n) = (SELECT c, n FROM presence ORDER BY c, n LIMIT 1) RETURNING c, n) \
                         INSERT INTO presence SELECT c, n FROM gone";
            // One by one: a change of the catalog is seen by the next transaction.
            for sql in [ready(false), moved.to_string(), ready(true)] {
                client.batch_execute(&sql).await.doing(|| "write a row past its index".into())?;
            }
            told(self, stage, "wrote a row of presence without its entry in presence_pkey".into());
            Ok(())
        })
    }
}
