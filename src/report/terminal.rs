//! A run, and several, as text.

use super::figures::{self, ns};
use super::style::Style;
use super::table;
use crate::evidence::view::RunView;
use crate::verdict::stats::{self, Spread};
use crate::verdict::times::Phase;
use crate::verdict::words::count;
use crate::verdict::{Judgement, Outcome, Verdict};

/// One run: waterfall, times, loss, what was judged, what was not proven, outcome.
pub fn run(view: &RunView, report: Option<&str>, style: Style) -> String {
    let v = &view.verdict;
    let mut out = heading(view, style);
    if let Some(fault) = v.times.fault {
        out.push_str(&waterfall(&v.times.phases, fault.0, style));
    }
    out.push_str(&figures(v, style));
    out.push_str(&judged(v, style));
    out.push_str(&remarks(v, style));
    let evidence = figures::evidence(v.outcome, &view.evidence_of, &view.level);
    let said = format!("{} {}", style.bold(&style.outcome(v.outcome)), style.dim(&evidence));
    out.push_str(&format!("\n{said}\n"));
    if let Some(report) = report {
        out.push_str(&format!("report: {report}\n"));
    }
    out
}

fn heading(view: &RunView, style: Style) -> String {
    let (name, lab, seed) = view.plan.as_ref().map_or(("?", "?", 0), |p| (p.scenario.as_str(), p.lab.as_str(), p.seed));
    let version = view.instances.first().and_then(|i| i.version.split_whitespace().next());
    let server = version.map_or("no server answered".into(), |v| format!("PostgreSQL {v}"));
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
    let mut out = format!("\n  {}\n", style.bold("measured"));
    if !figures::measured(v) {
        return out + "  nothing: the run ended before the disaster\n";
    }
    for f in figures::figures(v) {
        let more = match f.more.as_str() {
            "" => String::new(),
            resolution if resolution.starts_with("resolution") => format!(" ({resolution})"),
            more => format!(" {more}"),
        };
        let name = format!("{}{}", if f.inset { "  " } else { "" }, f.name);
        out.push_str(&format!("  {name:<35} {}{more}\n", f.value));
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
    table::keep_whole(&mut t, 0);
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
    section("not proven", v.not_proven.clone());
    out
}

/// Several runs of one scenario.
pub fn repeated(views: &[RunView], style: Style) -> String {
    let Some(first) = views.first() else { return String::new() };
    let passed = views.iter().filter(|v| v.verdict.outcome == Outcome::Pass).count();
    let (n, failures) = (views.len() as u64, (views.len() - passed) as u64);
    let name = first.plan.as_ref().map_or("?", |p| p.scenario.as_str());
    let mut out = format!("\n{} {}, {passed} passed, {failures} did not\n", style.bold(name), count(n, "run", "runs"));
    let bound = stats::pass_rate_at_least(n, failures);
    out.push_str(&format!(
        "  at 95 % confidence at least {:.1} % of such runs pass; 95 % would need {} runs without a miss\n",
        bound * 100.0,
        stats::runs_needed(0.95, 0)
    ));
    // A run that ended before its disaster measured nothing, and is said to; every other one is in every row.
    let reached: Vec<&Verdict> = views.iter().map(|v| &v.verdict).filter(|v| figures::measured(v)).collect();
    let mut t = table::table(&[" figure", "n", "min", "median", "max", "p95"], style);
    let mut row = |name: &str, without: &str, values: Vec<Option<u64>>| {
        let Some(Spread { n, min, median, max, p95, .. }) = stats::spread(&values) else { return };
        let shown = |value: Option<u64>| value.map_or(without.to_string(), ns);
        let p95 = p95.map_or("needs 20 runs".into(), shown);
        t.add_row([format!(" {name}"), n.to_string(), shown(min), shown(median), shown(max), p95]);
    };
    let of = |f: fn(&Verdict) -> Option<u64>| reached.iter().map(|v| f(v)).collect::<Vec<_>>();
    // What this kind of drill does not measure at all has no row.
    let of_some = |f: fn(&Verdict) -> Option<u64>| Some(of(f)).filter(|all| all.iter().any(Option::is_some)).unwrap_or_default();
    row("verified RTO", "never", of(|v| v.times.verified_rto_ns));
    // Where no client saw an error, nothing was out for clients.
    row("outage", "no end", of(|v| v.times.outage_ns.or(v.times.write.map(|_| 0))));
    row("errors seen by clients", "", of(|v| Some(v.times.error_ns)));
    row("harness's own share", "unknown", of_some(|v| v.times.harness_ns));
    row("archive loss", "unknown", of_some(|v| v.loss.archive_ns));
    row("collateral", "unknown", of_some(|v| v.loss.collateral_ns));
    if !reached.is_empty() {
        out.push_str(&table::render(&t, style));
    }
    let before = views.len() - reached.len();
    if before > 0 {
        out.push_str(&format!("  {} ended before the disaster and measured nothing\n", count(before as u64, "run", "runs")));
    }
    for v in views.iter().filter(|v| v.verdict.outcome != Outcome::Pass) {
        let seed = v.plan.as_ref().map_or(0, |p| p.seed);
        let why: Vec<&str> = v.verdict.judgements.iter().filter(|j| j.outcome != Outcome::Pass).map(|j| j.id.as_str()).collect();
        out.push_str(&format!("  {} seed {seed}: {}\n", style.outcome(v.verdict.outcome), why.join(", ")));
    }
    out
}
