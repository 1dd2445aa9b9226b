//! The recovered server comes with a setting of the lost one: its commits wait for a standby that is not there any more.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Doing;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "standby-missing",
    summary: "After its first write the recovered server waits for a standby that is not there",
    consequence: Consequence::Fail,
    caught_by: &["steady-again"],
    // It takes the whole time in which a steady state is waited for, so it is run where the rest is short.
    scenarios: &["postgres-crash"],
    differs_by_lab: false,
};

/// Makes commits wait.
pub struct StandbyMissing;

impl Sabotage for StandbyMissing {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::BeforeReadback, Some(recovered)) = (point, stage.recovered) else { return Ok(()) };
            let client = recovered.connect().await.doing(|| "connect to the recovered server".into())?;
            let sql = "ALTER SYSTEM SET synchronous_standby_names = 'gone'";
            // ALTER SYSTEM runs in no transaction block, so each is sent by itself.
            for sql in [sql, "SELECT pg_reload_conf()"] {
                client.batch_execute(sql).await.doing(|| "change a setting".into())?;
            }
            told(self, stage, sql.into());
            Ok(())
        })
    }
}
