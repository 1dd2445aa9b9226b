//! The frozen machine view of a run, `run.json`: what programs read, with a version. It is made from the internal types
//! and is not one of them.

use crate::model::event::{Event, Role};
use crate::model::plan::Plan;
use crate::model::time::Wall;
use crate::verdict::{Record, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of `run.json`.
pub const RUN_VERSION: u32 = 1;

/// A run as programs read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Version of this view.
    pub version: u32,
    /// What made it.
    pub tool: Tool,
    /// Run id.
    pub run: String,
    /// When it began, RFC 3339 in UTC; a label.
    pub began: String,
    /// `design`: a drill on a system that passmuster made. `operation`: a named subject.
    pub evidence_of: String,
    /// Verification level that the run reached.
    pub level: String,
    /// What it set out to do.
    pub plan: Option<Plan>,
    /// What it came to.
    pub verdict: Verdict,
    /// Instances with their versions and settings.
    pub instances: Vec<InstanceView>,
    /// The target, as located.
    pub target: Option<crate::model::wal::Target>,
}

/// What made the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// An instance of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// What it was.
    pub role: String,
    /// `system identifier/start number`.
    pub instance: String,
    /// Server version.
    pub version: String,
    /// Settings that a measurement could be falsified by.
    pub settings: BTreeMap<String, String>,
}

/// The view of a judged record.
pub fn view(record: &Record, verdict: Verdict) -> RunView {
    let (run, began) = record
        .events
        .iter()
        .find_map(|e| match &e.event {
            Event::RunBegan { run, wall } => Some((run.clone(), *wall)),
            _ => None,
        })
        .unwrap_or(("unknown".into(), Wall(0)));
    let instances = record
        .events
        .iter()
        .filter_map(|e| match &e.event {
            Event::InstanceStarted { role, instance, version, settings, .. } => {
                Some(InstanceView { role: role.word().into(), instance: instance.clone(), version: version.clone(), settings: settings.clone() })
            }
            _ => None,
        })
        .collect();
    RunView {
        version: RUN_VERSION,
        tool: Tool { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() },
        run,
        began: began.rfc3339(),
        evidence_of: "design".into(),
        level: level(record, &verdict).into(),
        plan: record.plan.clone(),
        target: record.target().cloned(),
        instances,
        verdict,
    }
}

/// `listed` < `checksummed` < `restored` < `started` < `queried` < `ledger-exact`: the highest that was reached.
fn level(record: &Record, verdict: &Verdict) -> &'static str {
    use crate::model::event::Moment;
    if !record.instances(Role::Recovered).is_empty() {
        if record.recovered.as_ref().is_some_and(|s| s.to.is_some()) && verdict.times.verified.is_some() {
            return "ledger-exact";
        }
        return if record.moment(Moment::Read).is_some() { "queried" } else { "started" };
    }
    if record.moment(Moment::Bytes).is_some() { "restored" } else { "listed" }
}

impl RunView {
    /// As it is written: pretty JSON with a line break at the end.
    pub fn to_json(&self) -> String {
        // Plain structs of numbers, strings and maps with text keys always encode.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
