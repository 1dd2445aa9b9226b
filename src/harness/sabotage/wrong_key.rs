//! The restore is tried with another key.

use super::Sabotage;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "wrong-key",
    summary: "The restore is tried with another key than the one that was used",
    consequence: Consequence::Fail,
    caught_by: &["wrong-key"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Takes the wrong key.
pub struct WrongKey;

impl Sabotage for WrongKey {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn takes_wrong_key(&self) -> bool {
        true
    }
}
