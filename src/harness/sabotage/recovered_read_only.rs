//! The recovered server comes up out of recovery, and takes no write.

use super::Sabotage;
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::event::Role;

const SPEC: SabotageSpec = SabotageSpec {
    name: "recovered-read-only",
    summary: "The recovered server answers reads and takes no write",
    consequence: Consequence::Fail,
    caught_by: &["not-writable"],
    scenarios: &["postgres-instance-lost"],
    differs_by_lab: false,
};

/// Leaves it read-only.
pub struct RecoveredReadOnly;

impl Sabotage for RecoveredReadOnly {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn recovery_settings(&self, role: Role) -> Vec<(&'static str, String)> {
        if role == Role::Recovered { vec![("default_transaction_read_only", "on".into())] } else { Vec::new() }
    }
}
