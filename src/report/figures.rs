//! The figures of a run with their names and what they mean: the same for the terminal and the page.

use crate::model::units::human_duration;
use crate::verdict::loss::Lost;
use crate::verdict::times::Times;
use crate::verdict::words::transactions;
use crate::verdict::{Outcome, Verdict};
use serde::Serialize;
use std::time::Duration;

/// What a figure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// How long.
    Time,
    /// How much is gone.
    Loss,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// What it is about.
    pub about: About,
    /// Its name.
    pub name: &'static str,
    /// The value with its unit, or a word.
    pub value: String,
    /// More about the value: how many, how finely known.
    pub more: String,
    /// What it means, for who does not know the name.
    pub means: &'static str,
    /// One of those that a reader looks for first.
    pub main: bool,
    /// A part of the figure before it, or the same with something added.
    pub inset: bool,
}

/// A duration as people read it.
pub fn ns(n: u64) -> String {
    human_duration(Duration::from_nanos(n))
}

/// A duration that may never have come about.
pub fn or_never(n: Option<u64>) -> String {
    n.map_or("never".into(), ns)
}

/// Whether the run reached its disaster: without one nothing was measured.
pub fn measured(v: &Verdict) -> bool {
    v.times.fault.is_some()
}

/// The outage in words: without an end it is not `no outage`, and without a beginning it is not endless.
pub fn outage(t: &Times) -> String {
    match (t.outage_ns, t.write) {
        (Some(n), _) => ns(n),
        (None, None) => "no end".into(),
        (None, Some(_)) => "none seen".into(),
    }
}

/// A stretch that began with the fault or the procedure, and has no end where the recovery did not come about.
fn or_no_end(n: Option<u64>) -> String {
    n.map_or("no end".into(), ns)
}

fn lost(lost: &Lost, age: Option<u64>) -> (String, String) {
    match lost.transactions {
        0 => ("none".into(), String::new()),
        n => (ns(age.unwrap_or(0)), format!("in {}", transactions(n))),
    }
}

/// The figures of a run, in the order in which they are shown; none where nothing was measured.
pub fn figures(v: &Verdict) -> Vec<Figure> {
    if !measured(v) {
        return Vec::new();
    }
    let (t, l) = (&v.times, &v.loss);
    let mut all = Vec::new();
    let mut add = |about, main, name, (value, more): (String, String), means| {
        let inset = ["with simulated human steps", "harness's own share"].contains(&name);
        all.push(Figure { about, name, value, more, means, main, inset });
    };
    let plain = |value: String| (value, String::new());
    use About::{Loss, Time};
    add(Time, true, "verified RTO", plain(or_never(t.verified_rto_ns)), "from the fault until everything was read back");
    if t.human_ns > 0 {
        let with = or_never(t.verified_rto_ns.map(|n| n + t.human_ns));
        add(Time, false, "with simulated human steps", plain(with), "nobody waited: the delay is declared, and the promise is judged with it");
    }
    let own = t.harness_ns.map_or("unknown".into(), ns);
    add(Time, false, "harness's own share", plain(own), "the part of the verified RTO in which no recorded work went on");
    add(Time, true, "outage for clients", plain(outage(t)), "from the first failed operation until the first write that a second connection read");
    let errors = if t.error_ns == 0 { "none".to_string() } else { ns(t.error_ns) };
    add(Time, true, "errors seen by clients", plain(errors), "time with at least one error, from the fault on, in steps of 100 ms");
    add(Time, true, "detection", plain(or_no_end(t.detection_ns)), "from the fault until the monitored signal fired");
    add(Time, false, "procedure (what others call RTO)", plain(or_no_end(t.procedure_ns)), "from the start of the recovery until the first write");
    if t.protected_after_ns.is_some() {
        add(
            Time,
            false,
            "unprotected after the recovery",
            plain(or_no_end(t.protected_after_ns)),
            "until the recovered server had a backup of its own",
        );
    }
    if let Some(gone) = &l.archive {
        let (value, more) = lost(gone, l.archive_ns);
        let more = if gone.transactions == 0 { l.resolution_ns.map_or(more, |r| format!("resolution {}", ns(r))) } else { more };
        add(Loss, true, "archive loss", (value, more), "acknowledged writes that a restore to the end of what survived does not show");
    }
    if let Some(d) = &l.division {
        add(Loss, true, "rewound: slack", lost(&d.slack, l.slack_ns), "good writes from before the damage, given up");
        add(Loss, true, "rewound: collateral", lost(&d.collateral, l.collateral_ns), "good writes from after the damage, given up");
    }
    let acknowledged = l.acknowledged.to_string();
    let word = if l.acknowledged == 1 { "transaction" } else { "transactions" };
    add(Loss, true, "acknowledged", (acknowledged, word.into()), "by the old instance: what all loss is measured by");
    let (found, absent) = l.in_doubt;
    if found + absent > 0 {
        add(Loss, false, "in doubt", plain(format!("{found} found, {absent} not: both legal")), "no answer came: neither acknowledged nor lost");
    }
    all
}

/// What the run is evidence of, in a few words: nothing where the harness broke or the disaster never came.
pub fn evidence(outcome: Outcome, evidence_of: &str, level: &str) -> String {
    match (outcome, evidence_of, level) {
        (Outcome::Error, ..) | (_, "nothing", _) => "no evidence of anything".into(),
        (_, of, "none") => format!("evidence of {of}; nothing was restored"),
        (_, of, level) => format!("evidence of {of}, {level}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Stamp;

    fn times() -> Times {
        Times { fault: Some(Stamp(5)), ..Times::default() }
    }

    #[test]
    fn an_outage_without_an_end_is_not_an_outage_that_never_was() {
        assert_eq!(outage(&times()), "no end");
        assert_eq!(outage(&Times { write: Some(Stamp(9)), ..times() }), "none seen");
        assert_eq!(outage(&Times { write: Some(Stamp(9)), outage_ns: Some(4_000_000), ..times() }), "4 ms");
    }

    #[test]
    fn without_a_disaster_there_is_no_evidence_of_anything() {
        assert_eq!(evidence(Outcome::Pass, "design", "ledger-exact"), "evidence of design, ledger-exact");
        assert_eq!(evidence(Outcome::Error, "nothing", "none"), "no evidence of anything");
        assert_eq!(evidence(Outcome::Inconclusive, "nothing", "none"), "no evidence of anything");
        assert_eq!(evidence(Outcome::Fail, "design", "none"), "evidence of design; nothing was restored");
    }
}
