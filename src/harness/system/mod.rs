//! Kinds of systems. One file and one registry line each.

pub mod postgres;
pub mod s3;

use crate::model::catalog::KindSpec;

/// Every kind of system.
pub const ALL: &[KindSpec] = &[postgres::SPEC, s3::SPEC];
