//! Whether a measurement may be believed (docs/FIGURES.md, "Doubts").

use super::expectations;
use super::judge::Judgement;
use super::loss;
use super::record::Record;
use super::times::Times;
use crate::model::event::{Event, Role};
use crate::model::plan::Plan;
use crate::model::time::Stamp;
use std::time::Duration;

/// A reason for which a run cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Stable id, beside those of the expectations.
    pub id: &'static str,
    /// In words.
    pub detail: String,
}

/// A reason as people look it up.
#[derive(Debug, Clone, Copy)]
pub struct DoubtSpec {
    /// Stable id.
    pub id: &'static str,
    /// What it means, one sentence.
    pub summary: &'static str,
    /// What to do.
    pub advice: &'static str,
}

const fn spec(id: &'static str, summary: &'static str, advice: &'static str) -> DoubtSpec {
    DoubtSpec { id, summary, advice }
}

const DURABILITY_SETTINGS: DoubtSpec = spec(
    "durability-settings",
    "The server under test was told not to make writes durable (fsync, full_page_writes or synchronous_commit off, wal_level minimal, data in memory)",
    "leave these settings on, and keep the scratch directory on a disk (`--scratch DIR`)",
);
const RECORDER_STALLED: DoubtSpec = spec(
    "recorder-stalled",
    "passmuster itself stood still for over a tenth of what it measured, or long enough to change the outcome",
    "run it again on a machine that has less to do",
);
const NO_ACKNOWLEDGED_WRITES: DoubtSpec = spec(
    "no-acknowledged-writes",
    "No write was acknowledged before the fault, so nothing could be lost",
    "look at the load and at the server's log in the run's directory",
);
const TOO_FEW_WRITES: DoubtSpec = spec(
    "too-few-writes",
    "Hardly any write was acknowledged in the last interval of `rpo` before the fault, and a restore proves nothing about a time in which nobody wrote",
    "raise `rate` or `lead` of the workload",
);
const RESULTS_UNREAD: DoubtSpec = spec(
    "results-unread",
    "What was recovered was not read back to its end",
    "look at what broke off the reading in the run's events, and run it again",
);
const LEDGER_OPEN: DoubtSpec = spec(
    "ledger-open",
    "The ledger was not closed in order, so its last outcomes may be missing",
    "look at what ended the run early, and run it again",
);
const SABOTAGE_IDLE: DoubtSpec = spec(
    "sabotage-idle",
    "The sabotage found nothing to break in this run, so the outcome says nothing about it",
    "choose a scenario that it is for (`passmuster explain` with its name)",
);
const INTERRUPTED: DoubtSpec = spec("interrupted", "Someone asked the run to stop", "run it again");
const RECORD_UNREADABLE: DoubtSpec = spec(
    "record-unreadable",
    "A part of the record cannot be read, is of another version or out of order",
    "take the evidence from where it was first written; if it is damaged there, the run is lost",
);

const NOT_JUDGED: DoubtSpec = spec(
    "not-judged",
    "Something that this kind of drill must show could not be judged from the record, which lacks a part",
    "look at what the record lacks (`passmuster verify`), and run it again",
);

/// Every reason.
pub const DOUBTS: [DoubtSpec; 10] = [
    DURABILITY_SETTINGS,
    RECORDER_STALLED,
    NO_ACKNOWLEDGED_WRITES,
    TOO_FEW_WRITES,
    RESULTS_UNREAD,
    LEDGER_OPEN,
    SABOTAGE_IDLE,
    INTERRUPTED,
    RECORD_UNREADABLE,
    NOT_JUDGED,
];

/// Fewer acknowledged writes than this in the last interval before the fault say nothing about it.
const FEWEST_WRITES: u64 = 20;

/// Every reason to doubt.
pub fn doubts(r: &Record, times: &Times) -> Vec<Doubt> {
    let mut all = Vec::new();
    all.extend(settings(r));
    all.extend(recorder(r, times));
    all.extend(writes(r, times));
    all.extend(readbacks(r));
    if let Some(name) = r.plan.as_ref().and_then(|p| p.sabotage.as_ref())
        && !r.events.iter().any(|e| matches!(e.event, Event::Sabotaged { .. }))
    {
        all.push(Doubt {
            id: SABOTAGE_IDLE.id,
            detail: format!("`{name}` found nothing to break in this run, so its outcome says nothing about it"),
        });
    }
    if r.status() == "interrupted" {
        all.push(Doubt { id: INTERRUPTED.id, detail: "someone asked the run to stop".into() });
    }
    if !r.unreadable.is_empty() {
        all.push(Doubt { id: RECORD_UNREADABLE.id, detail: r.unreadable.join("; ") });
    }
    all
}

/// No evidence is a gap: expectations that a run which ended in order must have been judged by, and for which it recorded
/// nothing. Without this, a record that lost a part would pass by what is left.
pub fn unjudged(r: &Record, judged: &[Judgement]) -> Option<Doubt> {
    let plan = r.plan.as_ref().filter(|_| r.status() == "completed" && r.failures().next().is_none() && r.broken().next().is_none())?;
    let is_due = |id: &str| due(r, plan, id) && judged.iter().all(|j| j.id != id);
    let gaps: Vec<&str> = expectations::ALL.iter().map(|(spec, _)| spec.id).filter(|id| is_due(id)).collect();
    let detail = || format!("nothing is recorded by which these could be judged: {}", gaps.join(", "));
    (!gaps.is_empty()).then(|| Doubt { id: NOT_JUDGED.id, detail: detail() })
}

/// Whether a run of this plan must have been judged by an expectation: by every one of which nothing else is said here.
fn due(r: &Record, plan: &Plan, id: &str) -> bool {
    let said_not_run = |name: &str| r.events.iter().any(|e| matches!(&e.event, Event::NotRun { what, .. } if what == name));
    let to_a_point = plan.point_in_time();
    let control = to_a_point && !plan.quick;
    let from_archive = plan.steps.iter().any(|s| s.action == "recover" && s.name != "restart");
    let ordered = from_archive && !said_not_run("commit order of the archive");
    let asked = plan.expect.iter().any(|e| e == id);
    match id {
        "rto" => plan.objectives.rto.is_some(),
        "archive-loss" => plan.objectives.rpo.is_some() && (!to_a_point || control),
        "slack" => to_a_point && plan.objectives.rpo.is_some(),
        "rewind" => to_a_point && plan.objectives.rewind.is_some(),
        "exact" => asked && to_a_point,
        "control-restore-differs" => asked && control,
        "control-complete" => control && ordered,
        "no-lost-before-cut" => to_a_point || ordered,
        "no-holes" => !to_a_point || control,
        "archive-complete" | "one-timeline" => from_archive,
        "encrypted-at-rest" => plan.encrypted,
        "structure" => !said_not_run("amcheck"),
        _ => true,
    }
}

fn settings(r: &Record) -> Vec<Doubt> {
    let Some(settings) = r.settings(Role::Origin) else { return Vec::new() };
    let mut relaxed: Vec<String> = ["fsync", "full_page_writes", "synchronous_commit"]
        .into_iter()
        .filter(|name| settings.get(*name).is_some_and(|v| v == "off"))
        .map(|name| format!("{name} = off"))
        .collect();
    if settings.get("wal_level").is_some_and(|v| v == "minimal") {
        relaxed.push("wal_level = minimal".into());
    }
    if r.events.iter().any(|e| matches!(&e.event, Event::Knob { name, .. } if name == "tmpfs")) {
        relaxed.push("data on a memory file system".into());
    }
    if relaxed.is_empty() {
        return Vec::new();
    }
    vec![Doubt { id: DURABILITY_SETTINGS.id, detail: format!("what was acknowledged was not meant to be durable: {}", relaxed.join(", ")) }]
}

/// Stalls of the recorder that exceed a tenth of what was measured, or that could change its outcome.
fn recorder(r: &Record, times: &Times) -> Vec<Doubt> {
    let Some(measured) = times.verified_rto_ns else { return Vec::new() };
    let stalled = times.stalled_ns;
    let objective = r.plan.as_ref().and_then(|p| p.objectives.rto);
    let total = measured.saturating_add(times.human_ns);
    let could_change = objective.is_some_and(|o| total <= o && total.saturating_add(stalled) > o);
    if stalled.saturating_mul(10) <= measured && !could_change {
        return Vec::new();
    }
    let human = |ns| crate::model::units::human_duration(Duration::from_nanos(ns));
    vec![Doubt {
        id: RECORDER_STALLED.id,
        detail: format!("the recorder itself stalled for {} of the {} that were measured", human(stalled), human(measured)),
    }]
}

fn writes(r: &Record, times: &Times) -> Vec<Doubt> {
    let (Some(book), Some(plan)) = (&r.book, &r.plan) else {
        return vec![Doubt { id: NO_ACKNOWLEDGED_WRITES.id, detail: "there is no ledger".into() }];
    };
    let origin = r.instances(Role::Origin);
    let Some(instance) = origin.first() else { return Vec::new() };
    let fault = times.fault.unwrap_or(Stamp(u64::MAX));
    let total = loss::writes_in(book, instance, Stamp(0), fault);
    if total == 0 {
        return vec![Doubt {
            id: NO_ACKNOWLEDGED_WRITES.id,
            detail: "no write was acknowledged before the fault: nothing can be said about loss".into(),
        }];
    }
    // A restore proves nothing about an interval in which nobody wrote.
    let interval = plan.objectives.rpo.filter(|ns| *ns > 0).map_or(Stamp(0), |ns| fault - Duration::from_nanos(ns));
    let recent = loss::writes_in(book, instance, interval, fault);
    if recent < FEWEST_WRITES {
        return vec![Doubt {
            id: TOO_FEW_WRITES.id,
            detail: format!("{recent} writes were acknowledged in the last interval before the fault; {FEWEST_WRITES} are needed"),
        }];
    }
    Vec::new()
}

fn readbacks(r: &Record) -> Vec<Doubt> {
    // A recovery that failed has nothing to be read back, and is judged as a failure.
    if r.failures().next().is_some() || r.broken().next().is_some() || r.status() != "completed" {
        return Vec::new();
    }
    let mut all = Vec::new();
    if r.recovered.as_ref().is_none_or(|s| s.to.is_none()) {
        all.push(Doubt { id: RESULTS_UNREAD.id, detail: "what was recovered was not read back to its end".into() });
    }
    if r.book.as_ref().is_some_and(|b| !b.closed && b.problems.is_empty()) {
        all.push(Doubt { id: LEDGER_OPEN.id, detail: "the ledger was not closed in order".into() });
    }
    all
}
