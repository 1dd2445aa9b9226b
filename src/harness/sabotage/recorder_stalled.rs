//! The recorder stalls in the middle of what it measures.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::model::catalog::{Consequence, SabotageSpec};
use std::time::Duration;

const SPEC: SabotageSpec = SabotageSpec {
    name: "recorder-stalled",
    summary: "The recorder itself stalls in the middle of the recovery",
    consequence: Consequence::Inconclusive,
    caught_by: &["recorder-stalled"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Stalls the recorder.
pub struct RecorderStalled;

/// Long against the recovery of the shipped scenarios.
const STALL: Duration = Duration::from_millis(2500);

impl Sabotage for RecorderStalled {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            if point == Point::Recovered {
                told(self, stage, format!("kept every thread of the recorder busy for {STALL:?}"));
                // Every worker of the run time is taken, so that nothing can be stamped.
                let workers = tokio::runtime::Handle::current().metrics().num_workers();
                let spin = |recorder: std::sync::Arc<crate::harness::recorder::Recorder>| async move {
                    let begun = recorder.now();
                    while recorder.now().since(begun) < STALL {
                        std::hint::spin_loop();
                    }
                };
                let all: Vec<_> = (0..workers).map(|_| tokio::spawn(spin(stage.lab.recorder.clone()))).collect();
                for task in all {
                    let _ = task.await;
                }
            }
            Ok(())
        })
    }
}
