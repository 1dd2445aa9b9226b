//! A file is missing from the base backup.

use super::{BaseEdit, Sabotage};
use crate::model::catalog::{Consequence, SabotageSpec};
use std::sync::atomic::{AtomicBool, Ordering};

const SPEC: SabotageSpec = SabotageSpec {
    name: "base-file-missing",
    summary: "A file of a relation is missing from the base backup",
    consequence: Consequence::Fail,
    caught_by: &["backup-incomplete"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: true,
};

/// Leaves a file out.
#[derive(Default)]
pub struct BaseFileMissing {
    done: AtomicBool,
}

impl Sabotage for BaseFileMissing {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    fn base_edit(&self) -> Option<BaseEdit> {
        if self.done.swap(true, Ordering::Relaxed) {
            return None;
        }
        let mut left_out = false;
        Some(Box::new(move |path, content| {
            let of_a_user_table = path.starts_with("base")
                && path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n >= 16_384);
            if of_a_user_table && !content.is_empty() && !left_out {
                left_out = true;
                return false;
            }
            true
        }))
    }
}
