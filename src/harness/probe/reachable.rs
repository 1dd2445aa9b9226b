//! Does the server answer at all?

use super::Probe;
use crate::model::catalog::{Class, KindSpec};

/// Registration.
pub const PROBE: Probe = Probe { spec: SPEC, ask: |asking, _| Box::pin(asking.statement("SELECT 1")) };

const SPEC: KindSpec = KindSpec {
    class: Class::Probe,
    name: "reachable",
    summary: "The server answers a query",
    doc: "The weakest of the probes: a server that is paused in recovery, read-only or empty answers, too.",
    on: &["postgres"],
    params: &[],
    sabotages: &[],
};
