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

/// What proves that an instance is gone.
fn gone(left: Option<usize>, more: &str) -> String {
    match left {
        Some(0) => format!("no process of it is found{more}"),
        Some(left) => format!("{left} processes of it are still found{more}"),
        None => format!("it was killed, and nobody could look whether a process of it is left{more}"),
    }
}
