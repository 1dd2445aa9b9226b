//! The restore side says "not found" where the store said "try later".

use super::{FetchDeed, Sabotage};
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::event::Role;
use std::collections::BTreeMap;

const SPEC: SabotageSpec = SabotageSpec {
    name: "not-found-instead-of-503",
    summary: "During the control restore a 503 of the store is passed on as not-found, which must not become the end of the log",
    consequence: Consequence::Fail,
    caught_by: &["control-complete"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: true,
};

/// Mistakes an outage for an end.
pub struct NotFoundInsteadOf503;

impl Sabotage for NotFoundInsteadOf503 {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn fetching(&self, role: Role, name: &str, all: &BTreeMap<String, u64>) -> FetchDeed {
        let last = all.keys().rfind(|n| n.len() == 24);
        if role == Role::Control && last.is_some_and(|l| l == name) { FetchDeed::SayNotFound } else { FetchDeed::Fetch }
    }
}
