//! The frozen machine view of a run, `run.json`: what programs read, with a version. It is made from the internal types
//! and is not one of them.

use crate::model::event::{Event, Role};
use crate::model::plan::Plan;
use crate::model::time::Wall;
use crate::verdict::{Outcome, Record, Verdict};
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
    /// `design`: a drill on a system that passmuster made. `operation`: a named subject. `nothing`: the harness broke, or the
    /// run ended before its disaster without a finding.
    pub evidence_of: String,
    /// Verification level that the run reached; `none`: nothing of a backup was even listed.
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
        evidence_of: evidence_of(&verdict).into(),
        level: level(record, &verdict).into(),
        plan: record.plan.clone(),
        target: record.target().cloned(),
        instances,
        verdict,
    }
}

/// A run whose harness broke shows nothing, and one without a disaster only what failed before it.
fn evidence_of(verdict: &Verdict) -> &'static str {
    match verdict.outcome {
        Outcome::Error => "nothing",
        Outcome::Fail => "design",
        _ if verdict.times.fault.is_none() => "nothing",
        _ => "design",
    }
}

/// `listed` < `checksummed` < `restored` < `started` < `queried` < `ledger-exact`: the highest that was reached; `none` below.
fn level(record: &Record, verdict: &Verdict) -> &'static str {
    use crate::model::event::Moment;
    if !record.instances(Role::Recovered).is_empty() {
        if record.recovered.as_ref().is_some_and(|s| s.to.is_some()) && verdict.times.verified.is_some() {
            return "ledger-exact";
        }
        return if record.moment(Moment::Read).is_some() { "queried" } else { "started" };
    }
    let listed = || record.events.iter().any(|e| matches!(e.event, Event::ArchiveListed { .. }));
    match record.moment(Moment::Bytes) {
        Some(_) => "restored",
        None if listed() => "listed",
        None => "none",
    }
}

impl RunView {
    /// As it is written: pretty JSON with a line break at the end.
    pub fn to_json(&self) -> String {
        // Plain structs of numbers, strings and maps with text keys always encode.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Moment, Stamped};
    use crate::model::time::Stamp;
    use crate::verdict::judge;

    fn of(events: Vec<Event>) -> RunView {
        let events = events.into_iter().enumerate().map(|(t, event)| Stamped { t: Stamp(t as u64), event }).collect();
        let record = Record { events, ..Record::default() };
        let verdict = judge(&record);
        view(&record, verdict)
    }

    fn moment(moment: Moment) -> Event {
        Event::Moment { moment, step: None, proof: String::new() }
    }

    #[test]
    fn a_run_that_broke_before_its_disaster_is_evidence_of_nothing() {
        let v = of(vec![Event::Broke { message: "no server".into(), hint: None }, Event::RunEnded { status: "aborted".into(), peak_rss: None }]);
        assert_eq!((v.evidence_of.as_str(), v.level.as_str()), ("nothing", "none"));
        assert_eq!(v.verdict.not_proven, Vec::<String>::new(), "what claims nothing needs no limits");
    }

    #[test]
    fn the_level_is_the_highest_that_was_reached() {
        let listed = || Event::ArchiveListed { files: Vec::new() };
        assert_eq!(of(vec![moment(Moment::Fault)]).level, "none");
        assert_eq!(of(vec![moment(Moment::Fault), listed()]).level, "listed");
        assert_eq!(of(vec![moment(Moment::Fault), listed(), moment(Moment::Bytes)]).level, "restored");
    }
}
