//! Every process of the server dies at once; its disk stays.

use super::super::drill::{Boxed, Drill};
use super::super::error::{Error, Outcome};
use super::Fault;
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::{Event, Moment};
use crate::model::params::Params;

/// Registration.
pub const FAULT: Fault = Fault { spec: SPEC, inject: |drill, step, params| inject(drill, step, params) };

const SPEC: KindSpec = KindSpec {
    class: Class::Fault,
    name: "crash",
    summary: "Every process of the server dies at once; its disk stays",
    doc: "What was flushed to the log before an acknowledgement survives. The kernel's page cache survives, too, so this does \
          not test durability against a loss of power: `kill -9` cannot lose what was written and not synced. It does show \
          acknowledgements that were given before the log was written at all (asynchronous commit).",
    on: &["postgres"],
    params: &[],
    sabotages: &["async-commit"],
};

fn inject<'a>(drill: &'a mut Drill, step: usize, _params: &'a Params) -> Boxed<'a, Outcome<()>> {
    Box::pin(async move {
        drill.recorder.moment(Moment::Inject, Some(step), "SIGKILL to every process");
        let left = drill.origin.node.crash().await?;
        drill.recorder.emit(Event::InstanceGone { instance: drill.origin.id(), how: "crashed".into(), left });
        drill.recorder.moment(Moment::Fault, Some(step), super::gone(left, ""));
        drill.recorder.moment(Moment::Stop, Some(step), "crashed");
        if let Some(left @ 1..) = left {
            return Err(Error::Other(format!("{left} processes of the crashed instance are still there")));
        }
        Ok(())
    })
}
