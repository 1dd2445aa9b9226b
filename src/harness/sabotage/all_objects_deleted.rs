//! Every object that rows name is deleted.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Error;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "all-objects-deleted",
    summary: "Every object is deleted from the store before the results are read",
    consequence: Consequence::Fail,
    caught_by: &["no-dangling-rows"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Leaves no object at all.
pub struct AllObjectsDeleted;

impl Sabotage for AllObjectsDeleted {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let (Point::BeforeReadback, Some(load)) = (point, stage.load) else { return Ok(()) };
            // The clients would store new ones: not one may be left for the read-back to see.
            load.pause().await;
            let listed = stage.objects.list("").await?;
            if listed.is_empty() {
                return Err(Error::Other("there is no object to delete".into()));
            }
            for object in &listed {
                stage.objects.delete(&object.key).await?;
            }
            let left = stage.objects.list("").await?.len();
            if left > 0 {
                return Err(Error::Other(format!("{left} objects are still there after all were deleted")));
            }
            told(self, stage, format!("stopped the clients and deleted all {} objects", listed.len()));
            Ok(())
        })
    }
}
