//! A run, and several, as text.

use super::style::Style;
use super::table;
use crate::evidence::view::RunView;
use crate::model::units::human_duration;
use crate::verdict::stats::{self, Spread};
use crate::verdict::times::Phase;
use crate::verdict::{Judgement, Outcome, Verdict};
use std::time::Duration;

fn ns(n: u64) -> String {
    human_duration(Duration::from_nanos(n))
}

fn or_never(n: Option<u64>) -> String {
    n.map_or("never".into(), ns)
}

/// One run: waterfall, times, loss, what was judged, what was not proven, outcome.
pub fn run(view: &RunView, report: Option<&str>, style: Style) -> String {
    let v = &view.verdict;
    let mut out = heading(view, style);
    out.push_str(&waterfall(&v.times.phases, v.times.fault.map_or(0, |t| t.0), style));
    out.push_str(&figures(v, style));
    out.push_str(&judged(v, style));
    out.push_str(&remarks(v, style));
    let of = match v.outcome {
        Outcome::Error => "no evidence of anything".to_string(),
        _ => format!("evidence of {}, {}", view.evidence_of, view.level),
    };
    let said = format!("{} {}", style.bold(&style.outcome(v.outcome)), style.dim(&of));
    out.push_str(&format!("\n{said}\n"));
    if let Some(report) = report {
        out.push_str(&format!("report: {report}\n"));
    }
    out
}

fn heading(view: &RunView, style: Style) -> String {
    let (name, lab, seed) = view.plan.as_ref().map_or(("?", "?", 0), |p| (p.scenario.as_str(), p.lab.as_str(), p.seed));
    let server = view.instances.first().map_or("no server started".into(), |i| format!("PostgreSQL {}", i.version));
    let mut out = format!("\n{} {}\n", style.bold(name), style.dim(&format!("{lab} lab, {server}, seed {seed}, run {}", view.run)));
    if let Some(sabotage) = view.plan.as_ref().and_then(|p| p.sabotage.as_ref()) {
        out.push_str(&format!("{}\n", style.doubtful(&format!("sabotage: {sabotage}"))));
    }
    out
}

/// The phases as bars over one scale, from the fault on; those after the verification are not part of the RTO.
fn waterfall(phases: &[Phase], fault: u64, style: Style) -> String {
    let Some(end) = phases.iter().map(|p| p.to.0).max().filter(|e| *e > fault) else { return String::new() };
    let width = style.width.saturating_sub(58).clamp(16, 60);
    let scale = |t: u64| ((t.saturating_sub(fault)) as f64 / (end - fault) as f64 * width as f64).round() as usize;
    let mut out = format!("\n  {}\n", style.bold("waterfall, from the fault on"));
    for p in phases {
        let (from, to) = (scale(p.from.0), scale(p.to.0));
        let bar = format!("{}{}{}", " ".repeat(from), "█".repeat((to - from).max(1)), " ".repeat(width.saturating_sub(from + (to - from).max(1))));
        let at = ns(p.from.0.saturating_sub(fault));
        let took = ns(p.to.0 - p.from.0);
        out.push_str(&format!("  {:<35} {at:>8} {bar} {took:>8}\n", p.name));
    }
    out
}

fn figures(v: &Verdict, style: Style) -> String {
    let t = &v.times;
    if t.fault.is_none() {
        return format!("\n  {}\n  nothing: the run ended before the disaster\n", style.bold("measured"));
    }
    let mut rows: Vec<(&str, String)> = vec![("verified RTO", or_never(t.verified_rto_ns))];
    if t.human_ns > 0 {
        rows.push(("  with simulated human steps", or_never(t.verified_rto_ns.map(|n| n + t.human_ns))));
    }
    rows.push(("  of it the harness's own", t.harness_ns.map_or("unknown".into(), ns)));
    rows.push(("outage for clients", or_never(t.outage_ns)));
    rows.push(("detection", or_never(t.detection_ns)));
    rows.push(("procedure (what others call RTO)", or_never(t.procedure_ns)));
    if t.protected_after_ns.is_some() {
        rows.push(("unprotected after the recovery", or_never(t.protected_after_ns)));
    }
    let l = &v.loss;
    rows.push(("acknowledged by the old instance", format!("{} transactions", l.acknowledged)));
    if let (Some(lost), Some(age)) = (&l.archive, l.archive_ns) {
        let resolution = l.resolution_ns.map_or(String::new(), |r| format!(" (resolution {})", ns(r)));
        let text = if lost.transactions == 0 { format!("none{resolution}") } else { format!("{} in {} transactions", ns(age), lost.transactions) };
        rows.push(("archive loss", text));
    }
    if let Some(d) = &l.division {
        let part = |lost: &crate::verdict::loss::Lost, age: Option<u64>| {
            if lost.transactions == 0 { "none".to_string() } else { format!("{} in {} transactions", ns(age.unwrap_or(0)), lost.transactions) }
        };
        rows.push(("rewound: slack", part(&d.slack, l.slack_ns)));
        rows.push(("rewound: collateral", part(&d.collateral, l.collateral_ns)));
    }
    let (found, absent) = l.in_doubt;
    if found + absent > 0 {
        rows.push(("in doubt", format!("{found} found, {absent} not: both legal")));
    }
    let mut out = format!("\n  {}\n", style.bold("measured"));
    for (name, value) in rows {
        out.push_str(&format!("  {name:<35} {value}\n"));
    }
    out
}

/// What was judged: everything that is not a plain pass, and the promises in any case.
fn judged(v: &Verdict, style: Style) -> String {
    if v.judgements.is_empty() {
        return String::new();
    }
    let mut t = table::table(&[" judged", "outcome", "measured", "promised"], style);
    let promise = |j: &&Judgement| {
        j.promised.is_some() || j.outcome != Outcome::Pass || ["recovery", "exact", "control-restore-differs"].contains(&j.id.as_str())
    };
    let (shown, rest): (Vec<&Judgement>, Vec<&Judgement>) = v.judgements.iter().partition(promise);
    if v.judgements.is_empty() {
        return String::new();
    }
    for j in shown {
        let mut measured = j.measured.clone();
        for e in &j.examples {
            measured.push_str(&format!("\n- {e}"));
        }
        t.add_row([format!(" {}", j.id), j.outcome.word().to_string(), measured, j.promised.clone().unwrap_or_default()]);
    }
    let mut out = format!("\n{}", table::render(&t, style));
    if !rest.is_empty() {
        let names: Vec<&str> = rest.iter().map(|j| j.id.as_str()).collect();
        let text = format!("and {} more that hold: {}", names.len(), names.join(", "));
        table::indented(&text, 2, style.width).lines().for_each(|l| out.push_str(&format!("  {}\n", style.dim(l.trim_start()))));
    }
    out
}

fn remarks(v: &Verdict, style: Style) -> String {
    let mut out = String::new();
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            out.push_str(&format!("\n  {}\n", style.bold(title)));
            for line in &lines {
                let text = table::indented(line, 4, style.width);
                out.push_str(&format!("  - {}", text.trim_start()));
            }
        }
    };
    let error = |(m, h): &(String, Option<String>)| h.as_ref().map_or(m.clone(), |h| format!("{m}\nwhat to do: {h}"));
    section("what stopped the run", v.errors.iter().map(error).collect());
    let advice = v.judgements.iter().filter(|j| j.outcome == Outcome::Fail).filter_map(|j| j.advice.clone());
    section("what to do", advice.collect());
    section("sabotage", v.sabotaged.iter().take(3).cloned().collect());
    section("healed by the log", v.healed.clone());
    section("relaxed", v.relaxed.iter().map(|(name, why)| format!("{name}: {why}")).collect());
    if v.times.fault.is_some() {
        section("not proven", v.not_proven.clone());
    }
    out
}

/// Several runs of one scenario.
pub fn repeated(views: &[RunView], style: Style) -> String {
    let Some(first) = views.first() else { return String::new() };
    let passed = views.iter().filter(|v| v.verdict.outcome == Outcome::Pass).count();
    let (n, failures) = (views.len() as u64, (views.len() - passed) as u64);
    let name = first.plan.as_ref().map_or("?", |p| p.scenario.as_str());
    let mut out = format!("\n{} {} runs, {passed} passed, {failures} did not\n", style.bold(name), n);
    let bound = stats::pass_rate_at_least(n, failures);
    out.push_str(&format!(
        "  at 95 % confidence at least {:.1} % of such runs pass; 95 % would need {} runs without a miss\n",
        bound * 100.0,
        stats::runs_needed(0.95, 0)
    ));
    let mut t = table::table(&[" figure", "n", "min", "median", "max", "p95"], style);
    let mut row = |name: &str, values: Vec<u64>| {
        if let Some(Spread { n, min, median, max, p95 }) = stats::spread(&values) {
            let p95 = p95.map_or("needs 20 runs".into(), ns);
            t.add_row([format!(" {name}"), n.to_string(), ns(min), ns(median), ns(max), p95]);
        }
    };
    let of = |f: fn(&Verdict) -> Option<u64>| views.iter().filter_map(|v| f(&v.verdict)).collect::<Vec<_>>();
    row("verified RTO", of(|v| v.times.verified_rto_ns));
    row("outage", of(|v| v.times.outage_ns));
    row("harness's own share", of(|v| v.times.harness_ns));
    row("archive loss", of(|v| v.loss.archive_ns));
    row("collateral", of(|v| v.loss.collateral_ns));
    out.push_str(&table::render(&t, style));
    for v in views.iter().filter(|v| v.verdict.outcome != Outcome::Pass) {
        let seed = v.plan.as_ref().map_or(0, |p| p.seed);
        let why: Vec<&str> = v.verdict.judgements.iter().filter(|j| j.outcome != Outcome::Pass).map(|j| j.id.as_str()).collect();
        out.push_str(&format!("  {} seed {seed}: {}\n", style.outcome(v.verdict.outcome), why.join(", ")));
    }
    out
}
