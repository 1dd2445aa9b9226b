//! A run as a self-contained page: no network, no script, a strict content policy.

use super::timeline;
use crate::evidence::view::RunView;
use crate::model::seed::sha256_base64;
use crate::model::units::human_duration;
use crate::verdict::{Outcome, Record};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use std::time::Duration;

const TEMPLATE: &str = include_str!("../../reports/run.html");
const STYLE: &str = include_str!("../../reports/style.css");

/// Renders a run. An error of the template is a defect and is given as its text.
pub fn run(record: &Record, view: &RunView) -> Result<String, String> {
    let mut env = Environment::new();
    // A time that the record does not give is no reason not to write the page.
    env.add_filter("duration", |ns: Option<u64>| ns.map_or_else(|| "unknown".into(), |ns| human_duration(Duration::from_nanos(ns))));
    env.add_filter("seconds", |ns: u64| format!("{:.3}", ns as f64 / 1e9));
    env.add_template("run.html", TEMPLATE).map_err(|e| e.to_string())?;
    let template = env.get_template("run.html").map_err(|e| e.to_string())?;
    let v = &view.verdict;
    let held: Vec<_> = v.judgements.iter().filter(|j| j.outcome == Outcome::Pass).collect();
    let unmet: Vec<_> = v.judgements.iter().filter(|j| j.outcome != Outcome::Pass).collect();
    let fault = v.times.fault.map_or(0, |t| t.0);
    let phases: Vec<_> = v
        .times
        .phases
        .iter()
        .map(|p| context! { name => p.name.as_str(), at => p.from.0.saturating_sub(fault), took => p.to.0 - p.from.0 })
        .collect();
    let rendered = template.render(context! {
        style => STYLE,
        style_hash => sha256_base64(STYLE.as_bytes()),
        view => Value::from(Serde(view)),
        v => Value::from(Serde(v)),
        outcome => v.outcome.word(),
        held => Value::from(Serde(held)),
        unmet => Value::from(Serde(unmet)),
        phases => phases,
        timeline => timeline::svg(record, v),
        cut => timeline::cut_svg(record),
    });
    rendered.map_err(|e| format!("{e:#}"))
}
