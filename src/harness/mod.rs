//! What touches the world: labs, systems, backups, faults, load, and the engine that runs a plan.
//!
//! This room knows no outcome and no output format: it emits events ([`crate::model::event`]) and writes the
//! raw record of a run. It never judges.

pub mod error;
pub mod lab;
pub mod process;
pub mod recorder;
pub mod store;
pub mod system;
pub mod endpoint;
pub mod workload;
pub mod backup;
pub mod locate;
pub mod readback;
pub mod sabotage;
pub mod drill;
pub mod fault;
pub mod probe;
pub mod recovery;
pub mod engine;
pub mod secret;

use crate::model::catalog::Catalog;

/// Descriptions of everything that this room registers.
pub fn catalog() -> Catalog {
    let mut kinds = Vec::new();
    kinds.extend(system::ALL.iter().copied());
    kinds.extend(fault::ALL.iter().map(|f| f.spec));
    kinds.extend(probe::ALL.iter().map(|p| p.spec));
    kinds.extend(recovery::ALL.iter().map(|r| r.spec));
    kinds.extend(backup::ALL.iter().copied());
    kinds.extend(workload::ALL.iter().copied());
    let sabotages = sabotage::all().iter().map(|s| *s.spec()).collect();
    Catalog { kinds, sabotages, expectations: Vec::new() }
}
