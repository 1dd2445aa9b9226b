//! The times of a run, all on one monotonic clock (docs/FIGURES.md, "The moments").

use super::record::Record;
use crate::model::event::{Actor, Event, Moment, Role};
use crate::model::ledger::OpOutcome;
use crate::model::time::Stamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One stretch of the waterfall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What was done.
    pub name: String,
    /// From.
    pub from: Stamp,
    /// To.
    pub to: Stamp,
}

/// Times in nanoseconds; absent ones did not come about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Effect of the first fault.
    pub fault: Option<Stamp>,
    /// The old instance confirmed gone.
    pub stop: Option<Stamp>,
    /// The signal fired.
    pub detect: Option<Stamp>,
    /// First acknowledged and re-read write.
    pub write: Option<Stamp>,
    /// Everything read back.
    pub verified: Option<Stamp>,
    /// `t_verified − t_fault`, without simulated human steps.
    pub verified_rto_ns: Option<u64>,
    /// Simulated human steps × the declared delay.
    pub human_ns: u64,
    /// From the first failed operation to `t_write`.
    pub outage_ns: Option<u64>,
    /// `t_detect − t_fault`.
    pub detection_ns: Option<u64>,
    /// `t_write − t_start`: what others print as RTO.
    pub procedure_ns: Option<u64>,
    /// From the verification to the recovered server's own backup.
    pub protected_after_ns: Option<u64>,
    /// Of the measured recovery time, where nothing was at work.
    pub harness_ns: Option<u64>,
    /// Time with errors seen by clients, from the fault on, to 100 ms.
    pub error_ns: u64,
    /// Stalls of the recorder within the measured interval.
    pub stalled_ns: u64,
    /// The phases, in order.
    pub phases: Vec<Phase>,
}

/// Measures the times of a run.
pub fn measure(r: &Record) -> Times {
    let at = |m| r.moment(m);
    let between = |a: Option<Stamp>, b: Option<Stamp>| Some(b?.since(a?).as_nanos() as u64);
    let (fault, detect, verified, write) = (at(Moment::Fault), at(Moment::Detect), at(Moment::Verified), at(Moment::Write));
    let interval = fault.zip(verified.or(write).or(r.events.last().map(|e| e.t)));
    let human_steps = r.events.iter().filter(|e| matches!(e.event, Event::HumanStep { .. })).count() as u64;
    Times {
        fault,
        stop: at(Moment::Stop),
        detect,
        write,
        verified,
        verified_rto_ns: between(fault, verified),
        human_ns: r.plan.as_ref().map_or(0, |p| p.human_delay).saturating_mul(human_steps),
        outage_ns: between(first_failure(r), write),
        detection_ns: between(fault, detect),
        procedure_ns: between(at(Moment::Start), write),
        protected_after_ns: between(verified, at(Moment::Protected)),
        harness_ns: fault.zip(verified).map(|(from, to)| idle(r, from, to).as_nanos() as u64),
        error_ns: fault.map_or(0, |f| error_time(r, f)),
        stalled_ns: interval.map_or(0, |(from, to)| stalled(r, from, to)),
        phases: phases(r),
    }
}

/// The first operation that failed or is in doubt, or the first failed attempt to connect, from the injection on.
fn first_failure(r: &Record) -> Option<Stamp> {
    let from = r.moment(Moment::Inject)?;
    let operations =
        r.book.iter().flat_map(|b| b.all()).filter(|(.., e)| e.outcome != OpOutcome::Ok && e.completed >= from).map(|(.., e)| e.completed);
    let clients = r.events.iter().filter(|e| e.t >= from && matches!(e.event, Event::ClientError { .. })).map(|e| e.t);
    operations.chain(clients).min()
}

fn error_time(r: &Record, from: Stamp) -> u64 {
    const INTERVAL: u64 = 100_000_000;
    let bad = |e: &Event| matches!(e, Event::Load { bad, .. } if *bad > 0);
    r.events.iter().filter(|e| e.t > from && bad(&e.event)).count() as u64 * INTERVAL
}

/// The sum of the recorder's stalls that overlap an interval. A stall ends at its event's stamp.
fn stalled(r: &Record, from: Stamp, to: Stamp) -> u64 {
    let overlap = |t: Stamp, ns: u64| {
        let begin = t.0.saturating_sub(ns).max(from.0);
        t.0.min(to.0).saturating_sub(begin)
    };
    let stalls = r.events.iter().filter_map(|e| match e.event {
        Event::Stalled { ns } => Some(overlap(e.t, ns)),
        _ => None,
    });
    stalls.fold(0, u64::saturating_add)
}

/// The part of an interval that no recorded work covers.
fn idle(r: &Record, from: Stamp, to: Stamp) -> Duration {
    let mut spans: Vec<(u64, u64)> = r
        .events
        .iter()
        .filter_map(|e| match &e.event {
            Event::Worked { from: begun, .. } => Some((begun.0.max(from.0), e.t.0.min(to.0))),
            _ => None,
        })
        .filter(|(a, b)| a < b)
        .collect();
    spans.sort_unstable();
    let (mut covered, mut reach) = (0, from.0);
    for (a, b) in spans {
        covered += b.saturating_sub(a.max(reach));
        reach = reach.max(b);
    }
    Duration::from_nanos(to.0.saturating_sub(from.0).saturating_sub(covered))
}

/// The waterfall: what follows from what, and what went on beside it.
fn phases(r: &Record) -> Vec<Phase> {
    let at = |m| r.moment(m);
    let mut all = Vec::new();
    let mut add = |name: &str, from: Option<Stamp>, to: Option<Stamp>| {
        if let (Some(from), Some(to)) = (from, to)
            && from <= to
        {
            all.push(Phase { name: name.into(), from, to });
        }
    };
    let worked = |what: &str| {
        r.events.iter().find_map(|e| match &e.event {
            Event::Worked { what: w, from, .. } if w.starts_with(what) => Some((*from, e.t)),
            _ => None,
        })
    };
    let (start, stop, detect) = (at(Moment::Start), at(Moment::Stop), at(Moment::Detect));
    add("detect", at(Moment::Fault), detect);
    // The engine goes from one to the other at once; only a step of its own in between takes time.
    if detect.zip(start).is_some_and(|(d, s)| s.since(d) > Duration::from_millis(5)) {
        add("hand-over", detect, start);
    }
    let base = worked("restore the base backup (recovered)");
    if stop.zip(start).is_some_and(|(stop, start)| stop > start) {
        add("stop the old instance", start, stop);
    }
    let from_stop = match (stop, start) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
    add("find the target", from_stop, at(Moment::Located));
    add("restore the base backup", base.map(|b| b.0), at(Moment::Bytes));
    let ready = [at(Moment::Located), at(Moment::Bytes), if base.is_none() { start } else { None }].into_iter().flatten().max();
    add("start, replay, promote", ready, at(Moment::Consistent));
    add("first read where clients connect", at(Moment::Consistent), at(Moment::Read));
    add("first write, read back by another", at(Moment::Read), at(Moment::Write));
    add("read everything back", at(Moment::Write), at(Moment::Verified));
    add("own base backup (after the RTO)", at(Moment::SteadyAgain).max(at(Moment::Verified)), at(Moment::Protected));
    if let Some((from, to)) = control(r) {
        add("control restore (after the RTO)", Some(from), Some(to));
    }
    all
}

/// From the first work of the control restore to its last.
fn control(r: &Record) -> Option<(Stamp, Stamp)> {
    let of_control = |what: &str| what.ends_with(&format!("({})", Role::Control.word()));
    let spans = r.events.iter().filter_map(|e| match &e.event {
        Event::Worked { what, from, actor } if of_control(what) && *actor != Actor::Monitor => Some((*from, e.t)),
        _ => None,
    });
    spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Stamped;

    fn record(events: Vec<(u64, Event)>) -> Record {
        Record { events: events.into_iter().map(|(t, event)| Stamped { t: Stamp(t), event }).collect(), ..Record::default() }
    }

    fn moment(m: Moment) -> Event {
        Event::Moment { moment: m, step: None, proof: String::new() }
    }

    fn worked(from: u64) -> Event {
        Event::Worked { actor: Actor::Server, what: "x".into(), from: Stamp(from) }
    }

    #[test]
    fn the_harness_own_share_is_what_no_work_covers() {
        let r =
            record(vec![(100, moment(Moment::Fault)), (150, worked(90)), (160, worked(120)), (200, worked(180)), (220, moment(Moment::Verified))]);
        let t = measure(&r);
        assert_eq!(t.verified_rto_ns, Some(120));
        assert_eq!(t.harness_ns, Some(20 + 20));
    }

    #[test]
    fn only_stalls_inside_the_interval_count() {
        let r = record(vec![
            (50, Event::Stalled { ns: 40 }),
            (100, moment(Moment::Fault)),
            (110, Event::Stalled { ns: 30 }),
            (200, moment(Moment::Verified)),
            (300, Event::Stalled { ns: 90 }),
        ]);
        assert_eq!(measure(&r).stalled_ns, 10);
    }
}
