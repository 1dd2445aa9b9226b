//! The server is set to acknowledge what is not durable.

use super::Sabotage;
use crate::model::catalog::{Consequence, SabotageSpec};

const ASYNC: SabotageSpec = SabotageSpec {
    name: "async-commit",
    summary: "Commits are acknowledged before the log is written, and the server crashes right after",
    consequence: Consequence::Fail,
    caught_by: &["archive-loss"],
    scenarios: &["postgres-crash"],
    differs_by_lab: true,
};

const FSYNC: SabotageSpec = SabotageSpec {
    name: "fsync-off",
    summary: "The server under test never syncs: nothing can be said about durability",
    consequence: Consequence::Inconclusive,
    caught_by: &["durability-settings"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

/// Relaxes the server's durability.
pub struct Settings {
    fsync: bool,
}

impl Settings {
    /// Acknowledges before the log is written.
    pub fn async_commit() -> Settings {
        Settings { fsync: false }
    }

    /// Never syncs.
    pub fn fsync_off() -> Settings {
        Settings { fsync: true }
    }
}

impl Sabotage for Settings {
    fn spec(&self) -> &'static SabotageSpec {
        if self.fsync { &FSYNC } else { &ASYNC }
    }

    fn origin_settings(&self) -> Vec<(&'static str, String)> {
        if self.fsync {
            return vec![("fsync", "off".into())];
        }
        // The log's writer is asked to sleep for as long as it can, so that the window is wide.
        vec![("synchronous_commit", "off".into()), ("wal_writer_delay", "10s".into())]
    }
}
