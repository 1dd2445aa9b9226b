//! Exit codes, as `passmuster --help` lists them.

use crate::verdict::Outcome;
use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for passed.
    Ok,
    /// A defect of the program.
    Internal,
    /// Usage or invalid input.
    Usage,
    /// Nothing was selected.
    Nothing,
    /// Something failed.
    Failed,
    /// Something could not be judged.
    Undecided,
    /// Evidence does not verify.
    Unverified,
    /// Interrupted, after clean-up.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Internal => 1,
            Exit::Usage => 2,
            Exit::Nothing => 3,
            Exit::Failed => 10,
            Exit::Undecided => 11,
            Exit::Unverified => 12,
            Exit::Interrupted => 130,
        }
    }

    /// The exit for an outcome.
    pub fn of(outcome: Outcome) -> Exit {
        match outcome {
            Outcome::Pass => Exit::Ok,
            Outcome::Fail => Exit::Failed,
            Outcome::Inconclusive | Outcome::Error | Outcome::Skipped => Exit::Undecided,
        }
    }

    /// The one that is told when several apply: 130, 1, 2, 12, 10, 11, 3, 0.
    pub fn worst(all: impl IntoIterator<Item = Exit>) -> Exit {
        let rank = |e: &Exit| match e {
            Exit::Interrupted => 7,
            Exit::Internal => 6,
            Exit::Usage => 5,
            Exit::Unverified => 4,
            Exit::Failed => 3,
            Exit::Undecided => 2,
            Exit::Nothing => 1,
            Exit::Ok => 0,
        };
        all.into_iter().max_by_key(rank).unwrap_or(Exit::Nothing)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_when_several_apply() {
        let order = [Exit::Interrupted, Exit::Internal, Exit::Usage, Exit::Unverified, Exit::Failed, Exit::Undecided, Exit::Nothing, Exit::Ok];
        for (i, worse) in order.iter().enumerate() {
            for better in &order[i..] {
                assert_eq!(Exit::worst([*better, *worse]), *worse);
            }
        }
        assert_eq!(Exit::worst([]), Exit::Nothing);
        assert_eq!(order.map(Exit::code), [130, 1, 2, 12, 10, 11, 3, 0]);
    }
}
