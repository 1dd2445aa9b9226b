//! The results are never read: a recovery that nobody looked at is not a recovery.

use super::Sabotage;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "results-unread",
    summary: "What was recovered is never read back",
    consequence: Consequence::Inconclusive,
    caught_by: &["results-unread"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Leaves the results unread.
pub struct ResultsUnread;

impl Sabotage for ResultsUnread {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn skips_readback(&self) -> bool {
        true
    }
}
