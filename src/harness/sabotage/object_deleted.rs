//! An object that a row names is deleted.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Error;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "object-deleted",
    summary: "An object that a row names is deleted from the store",
    consequence: Consequence::Fail,
    caught_by: &["no-dangling-rows"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Deletes a referenced object.
pub struct ObjectDeleted;

impl Sabotage for ObjectDeleted {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            if point != Point::BackedUp {
                return Ok(());
            }
            // What was there when the base backup ended is named by rows that every recovery keeps.
            let listed = stage.objects.list("").await?;
            let first = listed.first().ok_or_else(|| Error::Other("there is no object to delete".into()))?;
            stage.objects.delete(&first.key).await?;
            told(self, stage, format!("deleted {}", first.key));
            Ok(())
        })
    }
}
