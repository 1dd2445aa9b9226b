//! Does the server accept writes?

use super::Probe;
use crate::model::catalog::{Class, KindSpec};

/// Registration.
pub const PROBE: Probe = Probe { spec: SPEC, ask: |asking, _| Box::pin(asking.statement("SELECT pg_current_xact_id()")) };

const SPEC: KindSpec = KindSpec {
    class: Class::Probe,
    name: "writable",
    summary: "The server commits a transaction that has an id",
    doc: "Taking a transaction id is refused in recovery and in read-only mode, and its commit goes through the log, so it tells \
          a working primary without touching anyone's table.",
    on: &["postgres"],
    params: &[],
    sabotages: &[],
};
