//! Does the server accept writes?

use super::Probe;
use crate::model::catalog::{Class, KindSpec};

/// Registration.
pub const PROBE: Probe = Probe {
    spec: SPEC,
    // An id is given in a read-only transaction, too (tried), so the mode is asked for beside it.
    ask: |asking, _| {
        Box::pin(async move {
            match asking.first("SELECT current_setting('transaction_read_only'), pg_current_xact_id()").await?.as_deref() {
                Some("off") => Ok(()),
                mode => Err(format!("transactions are read-only (transaction_read_only = {})", mode.unwrap_or("unknown"))),
            }
        })
    },
};

const SPEC: KindSpec = KindSpec {
    class: Class::Probe,
    name: "writable",
    summary: "The server commits a transaction that has an id",
    doc: "Taking a transaction id is refused in recovery, and its commit goes through the log; beside it the server must say that \
          transactions are not read-only. So it tells a working primary without touching anyone's table.",
    on: &["postgres"],
    params: &[],
    sabotages: &[],
};
