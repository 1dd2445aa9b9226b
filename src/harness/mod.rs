//! What touches the world: labs, systems, backups, faults, load, and the engine that runs a plan.
//!
//! This room knows no outcome and no output format: it emits events ([`crate::model::event`]) and writes the
//! raw record of a run. It never judges.

pub mod backup;
pub mod blocking;
pub mod drill;
pub mod endpoint;
pub mod engine;
pub mod error;
pub mod fault;
pub mod lab;
pub mod locate;
pub mod probe;
pub mod process;
pub mod readback;
pub mod recorder;
pub mod recovery;
pub mod sabotage;
pub mod secret;
pub mod store;
pub mod system;
pub mod workload;

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
