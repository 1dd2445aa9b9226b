//! What goes wrong. One file and one registry line each.

pub mod crash;
pub mod drop_table;
pub mod instance_lost;

use super::drill::{Boxed, Drill};
use super::error::Outcome;
use crate::model::catalog::KindSpec;
use crate::model::params::Params;

/// A registered fault.
pub struct Fault {
    /// Its description.
    pub spec: KindSpec,
    /// Injects it: records `inject` and `fault` with its proof.
    pub inject: for<'a> fn(&'a mut Drill, usize, &'a Params) -> Boxed<'a, Outcome<()>>,
}

/// Every fault.
pub const ALL: &[Fault] = &[drop_table::FAULT, instance_lost::FAULT, crash::FAULT];
