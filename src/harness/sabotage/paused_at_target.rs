//! The server is left paused at its target: it answers reads, and never takes a write.

use super::Sabotage;
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::event::Role;

const SPEC: SabotageSpec = SabotageSpec {
    name: "paused-at-target",
    summary: "The recovered server is left paused at its target",
    consequence: Consequence::Fail,
    caught_by: &["paused-at-target"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: true,
};

/// Leaves it paused.
pub struct PausedAtTarget;

impl Sabotage for PausedAtTarget {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn recovery_settings(&self, role: Role) -> Vec<(&'static str, String)> {
        if role == Role::Recovered { vec![("recovery_target_action", "pause".into())] } else { Vec::new() }
    }
}
