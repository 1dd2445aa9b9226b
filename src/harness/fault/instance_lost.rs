//! The machine is gone: every process dead, its disk lost.

use super::super::drill::{Boxed, Drill};
use super::super::error::{Error, Outcome};
use super::super::recorder::poll;
use super::Fault;
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::{Event, Moment};
use crate::model::params::{ParamSpec, ParamType, Params, Value};
use crate::model::seed;
use std::time::Duration;

/// Registration.
pub const FAULT: Fault = Fault { spec: SPEC, inject: |drill, step, params| inject(drill, step, params) };

const SPEC: KindSpec = KindSpec {
    class: Class::Fault,
    name: "instance-lost",
    summary: "The machine is gone: every process dead, its disk lost, at a chosen phase of the archive cycle",
    doc: "What survives is what had left the instance: objects that the store had acknowledged. Segments that were not \
          shipped, and uploads that were not acknowledged, are discarded. How much is lost depends on the phase of the \
          archive cycle, so the phase is random by the run's seed, or just before the next switch, which is the worst.",
    on: &["postgres"],
    params: &[ParamSpec::new(
        "phase",
        ParamType::ShareOr(&["random", "before-switch"]),
        "random",
        "Share of `archive_timeout` since the last switch at which it happens.",
    )],
    sabotages: &["archiver-survives", "archive-skips-last-segment"],
};

/// As late in the cycle as can be hit reliably.
const BEFORE_SWITCH: f64 = 0.96;

/// The share of the archive cycle at which to strike.
pub fn phase(params: &Params, seed_value: u64) -> f64 {
    match params.get("phase") {
        Some(Value::Share(share)) => *share,
        Some(Value::Text(word)) if word == "before-switch" => BEFORE_SWITCH,
        _ => seed::unit(seed_value, "archive-phase", 0),
    }
}

fn inject<'a>(drill: &'a mut Drill, step: usize, params: &'a Params) -> Boxed<'a, Outcome<()>> {
    Box::pin(async move {
        let share = phase(params, drill.plan.seed);
        let wait = drill.cluster.archive_timeout.mul_f64(share);
        wait_for_phase(drill, wait).await?;
        let since = drill.spool.state().last_switch().map(|s| drill.recorder.now().since(s));
        drill.recorder.moment(
            Moment::Inject,
            Some(step),
            format!(
                "phase {:.0} % of the archive cycle, {} since the last switch",
                share * 100.0,
                since.map_or("none".into(), crate::model::units::human_duration)
            ),
        );
        // What had not been acknowledged by the store is lost with the machine.
        drill.spool.discard();
        let left = drill.origin.node.lose().await?;
        drill.recorder.emit(Event::InstanceGone { instance: drill.origin.id(), how: "lost".into(), left });
        drill.recorder.moment(Moment::Fault, Some(step), super::gone(left, ", and its data directory is gone"));
        drill.recorder.moment(Moment::Stop, Some(step), "lost");
        if let Some(left @ 1..) = left {
            return Err(Error::Other(format!("{left} processes of the lost instance are still there")));
        }
        Ok(())
    })
}

/// Waits until a cycle has reached the phase. A segment that fills up begins a new cycle, so that the phase may
/// never come while the load is heavy: then the fault strikes in the cycle in which the wait ends.
async fn wait_for_phase(drill: &Drill, wait: Duration) -> Outcome<()> {
    let limit = drill.cluster.archive_timeout * 2 + Duration::from_secs(5);
    let state = drill.spool.state();
    let begun = drill.recorder.now();
    let mut fresh = false;
    let reached = poll("the phase of the archive cycle", limit, Duration::from_millis(2), || {
        let now = drill.recorder.now();
        let since = now.since(state.last_switch().unwrap_or(begun));
        // Only a cycle that is seen from before its phase hits it.
        fresh |= since < wait;
        let hit = (fresh && since >= wait).then_some(());
        async move { Ok(hit) }
    });
    match reached.await {
        Err(Error::Timeout { .. }) | Ok(()) => Ok(()),
        Err(e) => Err(e),
    }
}
