//! Backup methods, one file and one registry line each, and what they share.

pub mod basebackup_wal;
pub mod manifest;
pub mod page;
pub mod pipeline;
pub mod spool;
pub mod vault;
pub mod waldump;

use crate::model::catalog::KindSpec;

/// Every backup method.
pub const ALL: &[KindSpec] = &[basebackup_wal::SPEC];
