//! Outcomes of runs, and the order in which they matter.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a run came to. Only `Pass` is green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything asked for was measured and holds.
    Pass,
    /// Not run, for a stated reason.
    Skipped,
    /// Ran, and cannot be judged.
    Inconclusive,
    /// The harness broke.
    Error,
    /// Something promised does not hold.
    Fail,
}

impl Outcome {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Skipped => "skipped",
            Outcome::Inconclusive => "inconclusive",
            Outcome::Error => "error",
            Outcome::Fail => "fail",
        }
    }

    /// The outcome of several: an observed violation outweighs everything, then a broken harness.
    pub fn worst(all: impl IntoIterator<Item = Outcome>) -> Option<Outcome> {
        all.into_iter().max()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
