//! Loads. One file and one registry line each.

pub mod ledger_writer;
pub mod linked;
pub mod wire;

use crate::model::catalog::KindSpec;

/// Every workload.
pub const ALL: &[KindSpec] = &[linked::SPEC];
