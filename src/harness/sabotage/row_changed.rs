//! A row has another content than what was written.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Doing;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "payload-changed",
    summary: "One row of the recovered server has another content than what was written",
    consequence: Consequence::Fail,
    caught_by: &["no-hash-mismatches"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost", "postgres-crash"],
    differs_by_lab: false,
};

/// Changes a payload.
pub struct RowChanged;

impl Sabotage for RowChanged {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::Recovered, Some(recovered)) = (point, stage.recovered) else { return Ok(()) };
            let client = recovered.connect().await.doing(|| "connect to the recovered server".into())?;
            let sql = "UPDATE ledger_a SET payload = 'x' || substr(payload, 2) WHERE (c, n) = (SELECT c, n FROM ledger_a ORDER BY c, n LIMIT 1)";
            client.batch_execute(sql).await.doing(|| "change a payload".into())?;
            told(self, stage, sql.into());
            Ok(())
        })
    }
}
