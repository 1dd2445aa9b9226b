//! A run as a self-contained page: no network, no script, a strict content policy.

use super::figures::{self, ns};
use super::timeline;
use crate::evidence::view::RunView;
use crate::model::seed::sha256_base64;
use crate::verdict::{Judgement, Outcome, Record, expectations};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

const TEMPLATE: &str = include_str!("../../reports/run.html");
const STYLE: &str = include_str!("../../reports/style.css");

/// Renders a run. An error of the template is a defect and is given as its text.
pub fn run(record: &Record, view: &RunView) -> Result<String, String> {
    let mut env = Environment::new();
    env.add_filter("duration", ns);
    env.add_filter("ticks", |text: &str| Value::from_safe_string(ticks(text)));
    env.add_template("run.html", TEMPLATE).map_err(|e| e.to_string())?;
    let template = env.get_template("run.html").map_err(|e| e.to_string())?;
    let v = &view.verdict;
    let (mut unmet, held): (Vec<&Judgement>, Vec<&Judgement>) = v.judgements.iter().partition(|j| j.outcome != Outcome::Pass);
    // What failed before what could not be judged.
    unmet.sort_by_key(|j| j.outcome != Outcome::Fail);
    let rows = |all: Vec<&Judgement>| all.into_iter().map(|j| context! { summary => summary(&j.id), ..Value::from(Serde(j)) }).collect::<Vec<_>>();
    let fault = v.times.fault.map_or(0, |t| t.0);
    let phase = |p: &crate::verdict::times::Phase| {
        let (name, after) = match p.name.strip_suffix(" (after the RTO)") {
            Some(name) => (name, true),
            None => (p.name.as_str(), false),
        };
        context! { name => name, after => after, at => p.from.0.saturating_sub(fault), took => p.to.0 - p.from.0 }
    };
    // Without a disaster there is no moment to count from.
    let phases: Vec<_> = v.times.phases.iter().filter(|_| figures::measured(v)).map(phase).collect();
    let (times, losses): (Vec<_>, Vec<_>) = figures::figures(v).into_iter().partition(|f| f.about == figures::About::Time);
    let rendered = template.render(context! {
        style => STYLE,
        style_hash => sha256_base64(STYLE.as_bytes()),
        view => Value::from(Serde(view)),
        v => Value::from(Serde(v)),
        outcome => v.outcome.word(),
        began => view.began.get(..19).unwrap_or(&view.began).replace('T', " "),
        evidence => figures::evidence(v.outcome, &view.evidence_of, &view.level),
        server => view.instances.first().map(|i| i.version.as_str()).filter(|version| !version.is_empty()),
        measured => figures::measured(v),
        figures => Value::from(Serde([times, losses])),
        held => rows(held),
        unmet => rows(unmet),
        phases => phases,
        timeline => Value::from(Serde(timeline::timeline(record, v))),
        cut => Value::from(Serde(timeline::cut(record))),
    });
    rendered.map_err(|e| format!("{e:#}"))
}

/// Text for the page, with what stands between back ticks as code.
fn ticks(text: &str) -> String {
    let parts: Vec<String> = text.split('`').map(timeline::escape).collect();
    // A tick without its partner is only a tick.
    if parts.len().is_multiple_of(2) {
        return parts.join("`");
    }
    let part = |(i, part): (usize, &String)| if i % 2 == 1 { format!("<code>{part}</code>") } else { part.clone() };
    parts.iter().enumerate().map(part).collect()
}

/// What an expectation demands, in a sentence; doubts have their own.
fn summary(id: &str) -> &'static str {
    expectations::ALL.iter().find(|(spec, _)| spec.id == id).map_or("", |(spec, _)| spec.summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::verify::recompute;
    use crate::model::event::{Event, Moment, Stamped};
    use crate::model::time::Stamp;

    fn page(events: Vec<Event>) -> String {
        let events = events.into_iter().enumerate().map(|(t, event)| Stamped { t: Stamp(t as u64 * 1_000_000_000), event }).collect();
        let record = Record { events, ..Record::default() };
        run(&record, &recompute(&record)).unwrap()
    }

    fn moment(moment: Moment) -> Event {
        Event::Moment { moment, step: None, proof: String::new() }
    }

    #[test]
    fn a_run_without_a_disaster_shows_what_stopped_it_and_no_figures() {
        let broke = Event::Broke { message: "no <server> was found".into(), hint: Some("install one".into()) };
        let page = page(vec![broke, Event::RunEnded { status: "aborted".into(), peak_rss: None }]);
        assert!(page.contains("no &lt;server&gt; was found") && page.contains("install one"), "{page}");
        assert!(page.contains("Nothing was measured") && page.contains("no evidence of anything"));
        for never in ["Verified RTO", "verified RTO", "does not prove", "survived", "PostgreSQL ", "Where the time went", "never", "level"] {
            assert!(!page.contains(never), "`{never}` stands in a page about nothing");
        }
    }

    #[test]
    fn an_outage_that_did_not_end_is_not_one_that_never_was() {
        let page = page(vec![moment(Moment::Inject), moment(Moment::Fault), Event::RunEnded { status: "completed".into(), peak_rss: None }]);
        assert!(page.contains("outage for clients") && page.contains("no end"));
        assert!(page.contains("errors seen by clients"), "error-seconds are reported");
    }

    #[test]
    fn ticks_are_code_and_nothing_else_is_markup() {
        assert_eq!(ticks("within `rpo` & <b>"), "within <code>rpo</code> &amp; &lt;b&gt;");
        assert_eq!(ticks("a ` alone <"), "a ` alone &lt;");
    }

    #[test]
    fn the_policy_of_the_page_allows_its_own_style_and_nothing_else() {
        let page = page(vec![moment(Moment::Fault)]);
        // The template writes a slash as an entity.
        assert!(page.replace("&#x2f;", "/").contains(&format!("style-src 'sha256-{}'", sha256_base64(STYLE.as_bytes()))));
        for active in ["<script", " style=\"", "http://", "https://", " onload"] {
            assert!(!page.contains(active), "`{active}` stands in the page");
        }
    }
}
