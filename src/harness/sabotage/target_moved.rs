//! The recovery goes to another target than the one that was located: later, or earlier.

use super::{Sabotage, WalMap};
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::wal::{Lsn, Target, TargetKind};

const LATE: SabotageSpec = SabotageSpec {
    name: "target-too-late",
    summary: "The recovery stops after the damage",
    consequence: Consequence::Fail,
    caught_by: &["exact"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: false,
};

const EARLY: SabotageSpec = SabotageSpec {
    name: "target-too-early",
    summary: "The recovery stops some transactions before the damage",
    consequence: Consequence::Fail,
    caught_by: &["exact"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: false,
};

/// Moves the target.
pub struct TargetMoved {
    late: bool,
}

impl TargetMoved {
    /// Beyond the damage.
    pub fn late() -> TargetMoved {
        TargetMoved { late: true }
    }

    /// Short of it.
    pub fn early() -> TargetMoved {
        TargetMoved { late: false }
    }
}

/// How many commits short of the damage.
const SHORT: usize = 25;
/// How many commits beyond it.
const BEYOND: usize = 4;

impl Sabotage for TargetMoved {
    fn spec(&self) -> &'static SabotageSpec {
        if self.late { &LATE } else { &EARLY }
    }

    fn retarget(&self, located: &Target, wal: &WalMap) -> Option<Target> {
        let damage: Lsn = located.damage?;
        let commits: Vec<_> = wal.ends.iter().filter(|e| e.commit.committed).map(|e| e.commit).collect();
        let at = commits.iter().position(|c| c.lsn == damage)?;
        let (other, inclusive) = if self.late { ((at + BEYOND).min(commits.len() - 1), true) } else { (at.saturating_sub(SHORT), false) };
        Some(Target { kind: TargetKind::Xid, value: commits[other].xid.to_string(), inclusive, ..located.clone() })
    }
}
