//! From a record to a verdict.

use super::exact::CommitOrder;
use super::expectations;
use super::loss::{self, Cut, Division, Lost};
use super::outcome::Outcome;
use super::record::Record;
use super::seen::Seen;
use super::times::{self, Times};
use super::trust;
use crate::model::event::{Event, Role};
use crate::model::time::Stamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One expectation, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Id of the expectation, or of a doubt.
    pub id: String,
    /// What it came to.
    pub outcome: Outcome,
    /// What was measured.
    pub measured: String,
    /// What was promised, if anything in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised: Option<String>,
    /// A few of what it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Judgement {
    /// A judgement to be filled in.
    pub fn new(id: &str) -> Judgement {
        Judgement { id: id.into(), outcome: Outcome::Inconclusive, measured: String::new(), promised: None, examples: Vec::new(), advice: None }
    }

    fn with(mut self, outcome: Outcome, measured: impl Into<String>) -> Judgement {
        (self.outcome, self.measured) = (outcome, measured.into());
        self
    }

    /// It holds.
    #[must_use]
    pub fn pass(self, measured: impl Into<String>) -> Judgement {
        self.with(Outcome::Pass, measured)
    }

    /// It does not hold.
    #[must_use]
    pub fn fail(self, measured: impl Into<String>) -> Judgement {
        self.with(Outcome::Fail, measured)
    }

    /// It cannot be judged.
    #[must_use]
    pub fn inconclusive(self, why: impl Into<String>) -> Judgement {
        self.with(Outcome::Inconclusive, why)
    }

    /// What was promised.
    #[must_use]
    pub fn promised(mut self, promised: impl Into<String>) -> Judgement {
        self.promised = Some(promised.into());
        self
    }

    /// A few of what it is about.
    #[must_use]
    pub fn examples(mut self, examples: Vec<String>) -> Judgement {
        self.examples = examples;
        self
    }

    /// What to do.
    #[must_use]
    pub fn advise(mut self, advice: &str) -> Judgement {
        self.advice = Some(advice.into());
        self
    }
}

/// What a run came to, with everything that it was measured by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// `completed`, `aborted`, `interrupted`, `torn`: apart from the outcome.
    pub status: String,
    /// Every expectation that was judged, in order, then the doubts.
    pub judgements: Vec<Judgement>,
    /// Failure classes.
    pub failures: Vec<String>,
    /// What broke the harness, with hints.
    pub errors: Vec<(String, Option<String>)>,
    /// Times.
    pub times: Times,
    /// Loss.
    pub loss: LossView,
    /// What was healed by the log: file, block, position.
    pub healed: Vec<String>,
    /// What was relaxed, and why.
    pub relaxed: Vec<(String, String)>,
    /// What was not run, and why.
    pub not_run: Vec<(String, String)>,
    /// What the sabotage did, if there was one.
    pub sabotaged: Vec<String>,
    /// What this run does not prove.
    pub not_proven: Vec<String>,
}

/// Loss in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossView {
    /// Acknowledged by the old instance.
    pub acknowledged: u64,
    /// Absent from a restore to the end of what survived.
    pub archive: Option<Lost>,
    /// The same as an age at `t_stop`, in nanoseconds.
    pub archive_ns: Option<u64>,
    /// How a point-in-time recovery divides what it gave up.
    pub division: Option<Division>,
    /// Age of the slack at `t_fault`, in nanoseconds.
    pub slack_ns: Option<u64>,
    /// Age of the collateral at `t_stop`, in nanoseconds.
    pub collateral_ns: Option<u64>,
    /// Largest gap between acknowledgements before the fault, in nanoseconds.
    pub resolution_ns: Option<u64>,
    /// In doubt, found and not found.
    pub in_doubt: (u64, u64),
}

/// A record with what several expectations need of it.
pub struct Case<'a> {
    /// The record.
    pub record: &'a Record,
    /// Its times.
    pub times: Times,
    /// The instance that the disaster hit.
    pub origin: Option<&'a str>,
    /// The commit order of the archive.
    pub order: Option<CommitOrder>,
    /// Where the oracle's fence drained and resumed.
    pub fence: Option<(Stamp, Stamp)>,
    /// The table that the damage destroyed.
    pub destroyed: Option<String>,
    /// How a point-in-time recovery divides what it gave up.
    pub division: Option<Division>,
    /// Whether the commit order or a fence says what lies before the target's cut.
    pub cut_known: bool,
    /// What a restore to the end of the archive does not show.
    pub archive_loss: Option<Lost>,
    /// Largest gap between acknowledgements before the fault.
    pub resolution: Option<Duration>,
    /// The only fault is a crash whose disk stayed.
    pub only_crashed: bool,
}

impl<'a> Case<'a> {
    /// Computes what is shared.
    pub fn new(record: &'a Record) -> Case<'a> {
        let times = times::measure(record);
        let origin = record.instances(Role::Origin).first().copied();
        let fence = record.events.iter().find_map(|e| match &e.event {
            Event::Fence { drained, .. } => Some((*drained, e.t)),
            _ => None,
        });
        let faults = record.plan.iter().flat_map(|p| &p.steps).filter(|s| s.action == "fault");
        let only_crashed = faults.clone().count() > 0 && faults.clone().all(|s| s.name == "crash");
        let destroyed =
            faults.clone().find(|s| s.name == "drop-table").map(|s| s.params.get("table").and_then(|t| t.as_str()).unwrap_or("ledger_b").to_string());
        let mut case = Case {
            record,
            times,
            origin,
            order: expectations::commit_order(record),
            fence,
            destroyed,
            division: None,
            cut_known: false,
            archive_loss: None,
            resolution: None,
            only_crashed,
        };
        (case.division, case.cut_known) = case.divide().map_or((None, false), |(d, known)| (Some(d), known));
        case.archive_loss = case.lost_with_archive();
        case.resolution = case.origin.zip(case.times.fault).zip(record.book.as_ref()).and_then(|((o, fault), book)| loss::resolution(book, o, fault));
        case
    }

    /// The recovered server's read-back, if it was completed.
    pub fn seen(&self) -> Option<&'a Seen> {
        self.record.recovered.as_ref().filter(|s| s.to.is_some())
    }

    /// The control restore's read-back, if it was completed.
    pub fn control(&self) -> Option<&'a Seen> {
        self.record.control.as_ref().filter(|s| s.to.is_some())
    }

    /// Whether there is something to compare at all.
    pub fn readable(&self) -> bool {
        self.seen().is_some() && self.record.book.is_some() && self.origin.is_some()
    }

    /// The division, and whether it is known what lies before the cut. Without that, what the archive held and what is slack
    /// cannot be told apart.
    fn divide(&self) -> Option<(Division, bool)> {
        self.record.plan.as_ref().filter(|p| p.point_in_time())?;
        let (book, seen, target) = (self.record.book.as_ref()?, self.seen()?, self.record.target()?);
        let at = self.order.as_ref().and_then(|o| o.cut(target).ok());
        let cut = Cut {
            // A commit order in which the target denotes no place leaves the fence.
            order: self.order.as_ref().filter(|_| at.is_some()),
            at,
            damage: target.damage,
            fault: self.times.fault?,
            drained: self.fence.map(|(drained, _)| drained),
        };
        let known = at.is_some() || cut.drained.is_some();
        Some((loss::divide(book, seen, self.origin?, cut), known))
    }

    /// A point-in-time drill shows the end of its archive by the control restore; every other by its own recovery.
    fn lost_with_archive(&self) -> Option<Lost> {
        let plan = self.record.plan.as_ref()?;
        let seen = if plan.point_in_time() { self.control()? } else { self.seen()? };
        Some(loss::archive_loss(self.record.book.as_ref()?, seen, self.origin?))
    }
}

/// Judges a record.
pub fn judge(record: &Record) -> Verdict {
    let case = Case::new(record);
    let mut judgements = Vec::new();
    for (spec, judge) in expectations::ALL.iter().filter(|(spec, _)| spec.always || asked(record, spec.id)) {
        judgements.extend(judge(&case).or_else(|| unanswered(&case, spec.id)));
    }
    judgements.extend(unknown(record));
    let errors: Vec<(String, Option<String>)> = record.broken().map(|(m, h)| (m.to_string(), h.map(String::from))).collect();
    if errors.is_empty() {
        let gaps = trust::unjudged(record, &judgements);
        let doubts = trust::doubts(record, &case.times).into_iter().chain(gaps);
        judgements.extend(doubts.map(|d| Judgement::new(d.id).inconclusive(d.detail)));
    }
    let broke = (!errors.is_empty()).then_some(Outcome::Error);
    let torn = (record.status() == "torn" && errors.is_empty()).then_some(Outcome::Inconclusive);
    let outcome = Outcome::worst(judgements.iter().map(|j| j.outcome).chain(broke).chain(torn)).unwrap_or(Outcome::Inconclusive);
    // A pass needs the recovery itself to have been judged.
    let proven = judgements.iter().any(|j| j.id == "recovery");
    let outcome = if outcome == Outcome::Pass && !proven { Outcome::Inconclusive } else { outcome };
    let collect = |f: &dyn Fn(&Event) -> Option<(String, String)>| record.events.iter().filter_map(|e| f(&e.event)).collect::<Vec<_>>();
    Verdict {
        outcome,
        status: record.status().into(),
        failures: record.failures().map(|(class, ..)| class.word().to_string()).collect(),
        errors,
        loss: loss_view(&case),
        healed: collect(&|e| match e {
            Event::Healed { file, block, lsn } => Some((format!("block {block} of {file}"), format!("full-page image at {lsn}"))),
            _ => None,
        })
        .into_iter()
        .map(|(what, proof)| format!("{what}: {proof}"))
        .collect(),
        relaxed: collect(&|e| match e {
            Event::Knob { name, why } => Some((name.clone(), why.clone())),
            _ => None,
        }),
        not_run: collect(&|e| match e {
            Event::NotRun { what, why } => Some((what.clone(), why.clone())),
            _ => None,
        }),
        sabotaged: collect(&|e| match e {
            Event::Sabotaged { name, detail } => Some((name.clone(), detail.clone())),
            _ => None,
        })
        .into_iter()
        .map(|(name, detail)| format!("{name}: {detail}"))
        .collect(),
        not_proven: not_proven(&case),
        times: case.times,
        judgements,
    }
}

/// Whether the scenario lists an expectation.
fn asked(record: &Record, id: &str) -> bool {
    record.plan.as_ref().is_some_and(|p| p.expect.iter().any(|e| e == id))
}

/// The objective that an expectation judges, if the scenario has it, in nanoseconds.
fn objective(record: &Record, id: &str) -> Option<u64> {
    let objectives = record.plan.as_ref()?.objectives;
    match id {
        "rto" => objectives.rto,
        "archive-loss" => objectives.rpo,
        "rewind" => objectives.rewind,
        _ => None,
    }
}

/// What was asked for in so many words and is not judged is never passed over: it is inconclusive, with the reason. A run that
/// ended before its disaster says so once, not for each promise.
fn unanswered(c: &Case<'_>, id: &str) -> Option<Judgement> {
    let (plan, promised) = (c.record.plan.as_ref()?, objective(c.record, id));
    let ended_early = c.record.failures().next().is_some() || c.record.status() != "completed";
    if (promised.is_none() && !asked(c.record, id)) || (c.times.fault.is_none() && ended_early) {
        return None;
    }
    let to_a_point = ["slack", "rewind", "exact", "control-restore-differs", "control-complete"].contains(&id);
    let by_control = ["archive-loss", "control-restore-differs", "control-complete", "no-holes"].contains(&id);
    let why = if to_a_point && !plan.point_in_time() {
        "nothing of this drill can show it: it has no recovery to a point in time"
    } else if plan.quick && by_control && plan.point_in_time() {
        "nothing of this drill can show it: --quick left the control restore out"
    } else if ended_early {
        "the run ended before it could be shown"
    } else if c.seen().is_none() {
        "what was recovered was not read back to its end"
    } else {
        "nothing of this drill can show it"
    };
    let j = Judgement::new(id).inconclusive(format!("asked for, but {why}"));
    Some(match promised {
        Some(ns) => j.promised(crate::model::units::human_duration(Duration::from_nanos(ns))),
        None => j,
    })
}

/// Expectations that the record asks for and that this program does not know.
fn unknown(record: &Record) -> Vec<Judgement> {
    let known = |id: &str| expectations::ALL.iter().any(|(spec, _)| spec.id == id);
    let asked = record.plan.iter().flat_map(|p| &p.expect).filter(|id| !known(id));
    asked.map(|id| Judgement::new(id).inconclusive("asked for, but this program does not know it")).collect()
}

fn loss_view(c: &Case<'_>) -> LossView {
    let ns = |d: Duration| d.as_nanos() as u64;
    let acknowledged = match (&c.record.book, c.origin) {
        (Some(book), Some(origin)) => loss::writes_in(book, origin, Stamp(0), Stamp(u64::MAX)),
        _ => 0,
    };
    let doubt = match (&c.division, &c.record.book, c.seen(), c.origin) {
        (Some(d), ..) => (d.doubt_found, d.doubt_absent),
        (None, Some(book), Some(seen), Some(origin)) => {
            let cut = Cut { order: None, at: None, damage: None, fault: Stamp(0), drained: None };
            let d = loss::divide(book, seen, origin, cut);
            (d.doubt_found, d.doubt_absent)
        }
        _ => (0, 0),
    };
    LossView {
        acknowledged,
        archive_ns: c.archive_loss.as_ref().zip(c.times.stop).map(|(l, stop)| ns(l.age_at(stop))),
        archive: c.archive_loss.clone(),
        slack_ns: c.division.as_ref().zip(c.times.fault).map(|(d, fault)| ns(d.slack.age_at(fault))),
        collateral_ns: c.division.as_ref().zip(c.times.stop).map(|(d, stop)| ns(d.collateral.age_at(stop))),
        division: c.division.clone(),
        resolution_ns: c.resolution.map(ns),
        in_doubt: doubt,
    }
}

/// What no run of this kind proves, and what this one left out. A run that ended before its disaster claims nothing that would
/// need a limit.
fn not_proven(c: &Case<'_>) -> Vec<String> {
    if c.times.fault.is_none() {
        return Vec::new();
    }
    let mut all = vec!["Operation: this is a drill on a system that passmuster made. It shows that the method works (design), not that anyone's own backups do (operation).".to_string()];
    if let Some(plan) = &c.record.plan {
        let size = crate::model::units::human_size(plan.data_bytes);
        all.push(format!("Size: the base data was {size}. A time at this size is not a time at production size."));
        if plan.steps.iter().any(|s| s.action == "fault") {
            all.push("Power loss: no write was held back or torn on its way to the disk; a kill leaves the kernel's cache in place.".into());
        }
        if plan.steps.iter().all(|s| s.name != "region-lost") {
            all.push("Loss of the store: the backups lie in one store of the same lab, and no fault of this drill reaches it.".into());
        }
    }
    for event in &c.record.events {
        if let Event::NotRun { what, why } = &event.event {
            all.push(format!("Not run: {what} ({why})."));
        }
    }
    all
}
