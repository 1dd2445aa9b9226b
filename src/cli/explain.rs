//! `explain`: what one thing means.

use super::exit::Exit;
use super::out::Out;
use super::{catalog, shipped};
use crate::model::catalog::{Catalog, Consequence, ExpectationSpec, KindSpec, Needs, SabotageSpec};
use crate::model::codes::Code;
use crate::model::diag::{Severity, did_you_mean, quoted};
use crate::model::event::FailureClass;
use crate::model::params::describe;
use crate::report::style::Style;
use crate::report::table::{indented, wrapped};
use crate::verdict::trust::{self, DoubtSpec};
use clap::Args;

const EXAMPLES: &str = "Examples:
  passmuster explain PM0301                  a code, as printed with a finding
  passmuster explain drop-table              a fault: what it does, its parameters, its sabotages
  passmuster explain archive-skips-segment   a sabotage: what must catch it, and how to try it
  passmuster explain exact                   an expectation: what it means, what must turn it red";

/// What `explain` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// A code, or the name of a system, fault, probe, recovery, method, workload, sabotage, expectation,
    /// doubt, failure class or scenario
    pub id: String,
}

/// What a sabotage names that must be shown as mended.
const HEALED: &str = "healed";

/// Runs the command.
pub fn run(args: &ExplainArgs, out: &mut Out) -> Exit {
    let catalog = catalog::catalog();
    let style = if out.json() { Style::PLAIN } else { out.style() };
    let pages = pages(&args.id, &Pages { catalog: &catalog, style });
    if pages.is_empty() {
        let known = known(&catalog);
        let hint = did_you_mean(&args.id, known.iter().map(String::as_str))
            .map_or("`passmuster list` names what there is, and `passmuster list --help` what can be listed".to_string(), |near| {
                format!("did you mean `{near}`?")
            });
        out.error(&format!("nothing is called {}", quoted(&args.id)), Some(&hint));
        return Exit::Usage;
    }
    if out.json() {
        let text = serde_json::to_string_pretty(&serde_json::json!({"version": 1, "id": args.id, "pages": pages})).unwrap_or_default();
        out.data(&(text + "\n"));
    } else {
        out.data(&pages.join("\n"));
    }
    Exit::Ok
}

fn known(catalog: &Catalog) -> Vec<String> {
    let kinds = catalog.kinds.iter().map(|k| k.name);
    let sabotages = catalog.sabotages.iter().map(|s| s.name);
    let expectations = catalog.expectations.iter().map(|e| e.id);
    let classes = FailureClass::ALL.iter().map(|c| c.word());
    let scenarios = shipped::SCENARIOS.iter().map(|(n, _)| *n);
    let doubts = trust::DOUBTS.iter().map(|d| d.id).chain([HEALED]);
    let named = kinds.chain(sabotages).chain(expectations).chain(doubts).chain(classes).chain(scenarios);
    named.chain(Code::ALL.iter().map(|c| c.id())).map(String::from).collect()
}

/// Everything of that name, as plain text.
#[cfg(test)]
pub fn pages_of(id: &str, catalog: &Catalog) -> Vec<String> {
    pages(id, &Pages { catalog, style: Style::PLAIN })
}

/// Everything of that name; a word may be a kind of several classes.
fn pages(id: &str, p: &Pages<'_>) -> Vec<String> {
    let mut pages: Vec<String> = p.catalog.kinds.iter().filter(|k| k.name == id).map(|k| p.kind(k)).collect();
    pages.extend(Code::ALL.iter().find(|c| c.id().eq_ignore_ascii_case(id)).map(|c| p.code(*c)));
    pages.extend(p.catalog.sabotage(id).map(|s| p.sabotage(s)));
    pages.extend(p.catalog.expectations.iter().find(|e| e.id == id).map(|e| p.expectation(e)));
    pages.extend(trust::DOUBTS.iter().find(|d| d.id == id).map(|d| p.doubt(d)));
    pages.extend((id == HEALED).then(|| p.healed()));
    pages.extend(FailureClass::ALL.iter().find(|c| c.word() == id).map(|c| p.failure(*c)));
    if let Some((name, text)) = shipped::SCENARIOS.iter().find(|(n, _)| *n == id) {
        pages.push(format!("{}\n{text}", p.heading(name, "scenario")));
    }
    pages
}

/// How pages are written.
struct Pages<'a> {
    catalog: &'a Catalog,
    style: Style,
}

impl Pages<'_> {
    fn heading(&self, name: &str, what: &str) -> String {
        format!("{} ({what})\n", self.style.bold(name))
    }

    fn text(&self, text: &str) -> String {
        wrapped(text, self.style.width)
    }

    /// `Title: a, b, c`, or nothing if there are none.
    fn names(&self, title: &str, names: &[&str]) -> String {
        if names.is_empty() { String::new() } else { self.text(&format!("{title}: {}", names.join(", "))) }
    }

    fn code(&self, code: Code) -> String {
        let ends = match code.severity() {
            Severity::Error => "error: the file cannot be used (exit code 2)",
            Severity::Contradiction => "contradiction: a promise cannot hold, whatever happens (exit code 10)",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let text = code.explanation().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        format!("{}\n{}\n{ends}\n", self.heading(code.id(), code.title()), self.text(&text))
    }

    fn kind(&self, k: &KindSpec) -> String {
        let mut text = format!("{}\n{}\n{}", self.heading(k.name, k.class.singular()), self.text(&format!("{}.", k.summary)), self.text(k.doc));
        if !k.params.is_empty() {
            text.push_str("\nParameters:\n");
        }
        for p in k.params {
            let default = match (p.default, p.optional) {
                (Some(d), _) => format!("default {d}"),
                (None, true) => "optional".into(),
                (None, false) => "required".into(),
            };
            text.push_str(&format!("  {}: {}; {default}\n", self.style.bold(p.name), describe(p.kind)));
            text.push_str(&indented(p.doc, 6, self.style.width));
        }
        let more = self.names("Works on", k.on) + &self.names("Sabotages", k.sabotages);
        if !more.is_empty() {
            text.push_str(&format!("\n{more}"));
        }
        text
    }

    fn sabotage(&self, s: &SabotageSpec) -> String {
        let caught = match s.consequence {
            Consequence::Healed => format!("{}.", s.consequence.sentence()),
            _ => format!("{}, by {}.", s.consequence.sentence(), s.caught_by.join(" or ")),
        };
        let scenario = s.scenarios.first().unwrap_or(&"SCENARIO");
        format!(
            "{}\n{}{}\n{}Try it: passmuster drill {scenario} --sabotage {}\n",
            self.heading(s.name, "sabotage"),
            self.text(&format!("{}.", s.summary)),
            self.text(&caught),
            self.names("Scenarios", s.scenarios),
            s.name
        )
    }

    fn expectation(&self, e: &ExpectationSpec) -> String {
        let when = if e.always { "Judged in every run to which it applies." } else { "Judged where a scenario lists it under `expect`." };
        let text = format!("{}\n{}{}", self.heading(e.id, "expectation"), self.text(&format!("{}.", e.summary)), self.text(when));
        let needs = match e.needs {
            Needs::Nothing => String::new(),
            Needs::Recovery(kinds) => self.text(&format!("It applies where the scenario recovers by {}.", kinds.join(" or "))),
            Needs::Encryption => self.text("It applies where the backup is encrypted."),
        };
        let red = self.red(e.id);
        text + &needs + if red.is_empty() { "\nNo shipped sabotage shows that it can go red.\n" } else { &red }
    }

    fn failure(&self, class: FailureClass) -> String {
        let text = format!("{}\n{}", self.heading(class.word(), "failure class"), self.text(&format!("{}.", class.meaning())));
        text + &self.text(&format!("What to do: {}.", class.advice())) + &self.red(class.word())
    }

    fn doubt(&self, d: &DoubtSpec) -> String {
        let text = format!("{}\n{}", self.heading(d.id, "why a run is inconclusive"), self.text(&format!("{}.", d.summary)));
        text + &self.text(&format!("What to do: {}.", d.advice)) + &self.red(d.id)
    }

    fn healed(&self) -> String {
        let text = "A defect in what was restored was mended by the log: it held a full-page image of the page, and the replay put it in \
                    place of the damaged one. The run passes, and shows file, block and position as the proof.";
        format!("{}\n{}{}", self.heading(HEALED, "remark in a run that passes"), self.text(text), self.red(HEALED))
    }

    /// Sabotages that must turn it red.
    fn red(&self, id: &str) -> String {
        let red: Vec<&str> = self.catalog.sabotages.iter().filter(|s| s.caught_by.contains(&id)).map(|s| s.name).collect();
        let names = self.names("Sabotages that it must catch", &red);
        if names.is_empty() { names } else { format!("\n{names}") }
    }
}
