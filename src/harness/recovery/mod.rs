//! What is done about a disaster. One file and one registry line each.

pub mod archive_end;
pub mod pitr;
pub mod restart;
pub mod restore;

use super::drill::{Boxed, Drill};
use super::error::{Error, Outcome};
use crate::model::catalog::KindSpec;
use crate::model::scenario::TargetDecl;

/// A registered recovery.
pub struct Recovery {
    /// Its description.
    pub spec: KindSpec,
    /// Brings a server back, up to the moment at which it is out of recovery; clients are let in by the engine.
    pub run: for<'a> fn(&'a mut Drill, usize, Option<&'a TargetDecl>) -> Boxed<'a, Outcome<()>>,
}

/// Every recovery.
pub const ALL: &[Recovery] = &[pitr::RECOVERY, archive_end::RECOVERY, restart::RECOVERY];

/// A recovery by name.
pub fn find(name: &str) -> Outcome<&'static Recovery> {
    ALL.iter().find(|r| r.spec.name == name).ok_or_else(|| Error::Other(format!("there is no recovery `{name}`")))
}
