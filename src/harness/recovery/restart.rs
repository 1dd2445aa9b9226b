//! The server is started again where it was: crash recovery.

use super::super::drill::{Boxed, Drill, Recovered};
use super::super::error::Outcome;
use super::super::system::postgres::Instance;
use super::Recovery;
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::{Moment, Role};
use crate::model::scenario::TargetDecl;

/// Registration.
pub const RECOVERY: Recovery = Recovery { spec: SPEC, run: |drill, step, _: Option<&TargetDecl>| run(drill, step) };

const SPEC: KindSpec = KindSpec {
    class: Class::Recovery,
    name: "restart",
    summary: "The server is started again where it was, and recovers from its own log",
    doc: "Nothing acknowledged may be lost: the objective for loss is zero, whatever a scenario says about other disasters.",
    on: &["postgres"],
    params: &[],
    sabotages: &[],
};

fn run(drill: &mut Drill, step: usize) -> Boxed<'_, Outcome<()>> {
    Box::pin(async move {
        drill.recorder.moment(Moment::Start, Some(step), "the server is to be started again");
        let origin = &drill.origin;
        let mut again = Instance::restored(
            origin.node.clone(),
            Role::Recovered,
            &origin.system_identifier,
            &origin.name,
            origin.login.clone(),
            drill.recorder.clone(),
        );
        again.launch().await?;
        again.wait_until_answering(false).await?;
        drill.recorder.moment(Moment::Consistent, Some(step), "the server is out of recovery");
        again.announce().await?;
        drill.recovered = Some(Recovered { instance: again, spool: None, snapshot: None, wal: None, step });
        Ok(())
    })
}
