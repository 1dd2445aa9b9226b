//! Objects are stored in plain text although encryption is asked for.

use super::Sabotage;
use crate::model::catalog::{Consequence, SabotageSpec};

const SPEC: SabotageSpec = SabotageSpec {
    name: "stored-unencrypted",
    summary: "Objects are stored in plain text although encryption is asked for",
    consequence: Consequence::Fail,
    caught_by: &["encrypted-at-rest"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Stores plain text.
pub struct StoredUnencrypted;

impl Sabotage for StoredUnencrypted {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn stores_plaintext(&self) -> bool {
        true
    }
}
