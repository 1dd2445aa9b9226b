//! The recovered server turns read-only soon after its first write, as a managed one does whose disk is full: one good write
//! is not a service that is back.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::{Doing, Error};
use crate::harness::recorder::poll;
use crate::model::catalog::{Consequence, SabotageSpec};
use std::time::Duration;

const SPEC: SabotageSpec = SabotageSpec {
    name: "turns-read-only",
    summary: "Soon after its first write the recovered server turns read-only",
    consequence: Consequence::Fail,
    caught_by: &["steady-again"],
    // It takes all the time in which a steady state is waited for, so it is run where the rest is short.
    scenarios: &["postgres-crash"],
    differs_by_lab: false,
};

/// Turns the recovered server read-only.
pub struct TurnsReadOnly;

impl Sabotage for TurnsReadOnly {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::BeforeReadback, Some(recovered)) = (point, stage.recovered) else { return Ok(()) };
            let client = recovered.connect().await.doing(|| "connect to the recovered server".into())?;
            let sql = "ALTER SYSTEM SET default_transaction_read_only = on";
            // ALTER SYSTEM runs in no transaction block, so each is sent by itself.
            for sql in [sql, "SELECT pg_reload_conf()"] {
                client.batch_execute(sql).await.doing(|| "change a setting".into())?;
            }
            // The server reads its settings again in its own time.
            poll("the setting", Duration::from_secs(30), Duration::from_millis(5), || async {
                let fresh = recovered.connect().await.doing(|| "connect to the recovered server".into())?;
                let row = fresh.query_one("SHOW default_transaction_read_only", &[]).await.doing(|| "ask a setting".into())?;
                Ok::<_, Error>((row.get::<_, &str>(0) == "on").then_some(()))
            })
            .await?;
            told(self, stage, sql.into());
            Ok(())
        })
    }
}
