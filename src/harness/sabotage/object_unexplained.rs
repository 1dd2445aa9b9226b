//! The store holds an object that no operation explains.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "object-unexplained",
    summary: "The store holds an object that no operation of the ledger explains",
    consequence: Consequence::Fail,
    caught_by: &["no-orphan-objects"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost", "postgres-crash"],
    differs_by_lab: false,
};

/// Stores an object of its own.
pub struct ObjectUnexplained;

/// Far beyond what a client reserves in the time of a drill.
const KEY: &str = "ledger/1.1000000000";

impl Sabotage for ObjectUnexplained {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            if point != Point::BackedUp {
                return Ok(());
            }
            stage.objects.put(KEY, "nobody asked for it".into(), false).await?;
            told(self, stage, format!("stored {KEY}"));
            Ok(())
        })
    }
}
