//! Can a table be read?

use super::Probe;
use crate::model::catalog::{Class, KindSpec};
use crate::model::params::{ParamSpec, ParamType};

/// Registration.
pub const PROBE: Probe = Probe {
    spec: SPEC,
    ask: |asking, params| {
        let table = params.text("table").unwrap_or("ledger_b");
        // A name from a closed list of the faults' own, or one that a reader of files has checked.
        let sql = format!("SELECT 1 FROM \"{}\" LIMIT 1", table.replace('"', "\"\""));
        Box::pin(async move { asking.statement(&sql).await })
    },
};

const SPEC: KindSpec = KindSpec {
    class: Class::Probe,
    name: "table-readable",
    summary: "A table can be read",
    doc: "Looks at the table that the fault before it hits, unless another is named.",
    on: &["postgres"],
    params: &[ParamSpec::optional("table", ParamType::Text, "Which table; that of the fault before it if absent.")],
    sabotages: &[],
};
