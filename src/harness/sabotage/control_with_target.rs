//! The control restore is given the recovery's own target: it can no longer show what the target cut off.

use super::{Sabotage, WalMap};
use crate::harness::recovery::restore::target_settings;
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::event::Role;
use crate::model::wal::Target;
use std::sync::{Mutex, PoisonError};

const SPEC: SabotageSpec = SabotageSpec {
    name: "control-with-target",
    summary: "The control restore stops at the target, too, and so shows nothing of what comes after it",
    consequence: Consequence::Fail,
    caught_by: &["control-restore-differs"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: false,
};

/// Gives the target to the control restore.
#[derive(Default)]
pub struct ControlWithTarget {
    located: Mutex<Option<Target>>,
}

impl Sabotage for ControlWithTarget {
    fn spec(&self) -> &'static SabotageSpec {
        &SPEC
    }

    /// Leaves the target as it is, and remembers it.
    fn retarget(&self, located: &Target, _wal: &WalMap) -> Option<Target> {
        *self.located.lock().unwrap_or_else(PoisonError::into_inner) = Some(located.clone());
        None
    }

    fn recovery_settings(&self, role: Role) -> Vec<(&'static str, String)> {
        let located = self.located.lock().unwrap_or_else(PoisonError::into_inner);
        match (role, located.as_ref()) {
            // The timeline stays the control restore's own.
            (Role::Control, Some(target)) => target_settings(target).into_iter().filter(|(name, _)| *name != "recovery_target_timeline").collect(),
            _ => Vec::new(),
        }
    }
}
