//! Nobody writes: a drill that has nothing to lose proves nothing.

use super::Sabotage;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "no-writes",
    summary: "The load never writes",
    consequence: Consequence::Inconclusive,
    caught_by: &["no-acknowledged-writes"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Keeps the load from writing.
pub struct IdleLoad;

impl Sabotage for IdleLoad {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn idles_load(&self) -> bool {
        true
    }
}
