//! The ledger is edited after the run, so that a write seems never to have been acknowledged.

use super::{Deed, Point, Sabotage, Stage, told};
use crate::harness::error::Doing;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "ledger-edited",
    summary: "An outcome in the ledger is changed from acknowledged to failed",
    consequence: Consequence::Fail,
    caught_by: &["ledger-intact"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost", "postgres-crash"],
    differs_by_lab: false,
};

/// Edits the ledger.
pub struct LedgerEdited;

impl Sabotage for LedgerEdited {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            if point != Point::Closed {
                return Ok(());
            }
            let text = std::fs::read_to_string(stage.ledger).doing(|| "read the ledger".into())?;
            let (from, to) = ("\"o\":\"ok\"", "\"o\":\"fail\"");
            let middle = text.len() / 2;
            let at = text[middle..].find(from).map(|i| i + middle);
            if let Some(at) = at {
                let edited = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
                std::fs::write(stage.ledger, edited).doing(|| "write the ledger".into())?;
                told(self, stage, "changed an outcome from acknowledged to failed".into());
            }
            Ok(())
        })
    }
}
