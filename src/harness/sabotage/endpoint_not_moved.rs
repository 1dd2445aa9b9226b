//! The clients' endpoint still leads to the old instance, which somebody started again.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "endpoint-not-moved",
    summary: "The clients' endpoint still leads to the old instance",
    consequence: Consequence::Fail,
    caught_by: &["endpoint-not-moved", "endpoint-moved"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: true,
};

/// Leaves the endpoint where it was.
pub struct EndpointNotMoved;

impl Sabotage for EndpointNotMoved {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn leaves_endpoint(&self) -> bool {
        true
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            // A lost instance cannot be started again; its address answers nothing.
            if point == Point::Recovered && !stage.loses_instance {
                stage.origin.launch().await?;
                stage.origin.wait_until_answering(false).await?;
                told(self, stage, "started the old instance again".into());
            }
            Ok(())
        })
    }
}
