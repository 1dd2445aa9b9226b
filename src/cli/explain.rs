//! `explain`: what one thing means.

use super::exit::Exit;
use super::out::Out;
use super::{catalog, shipped};
use crate::model::catalog::{Catalog, KindSpec};
use crate::model::codes::Code;
use crate::model::diag::did_you_mean;
use crate::model::event::FailureClass;
use crate::model::params::describe;
use clap::Args;

/// What `explain` takes.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// A code, a kind, a sabotage, an expectation, a failure class or a scenario
    pub id: String,
}

/// Runs the command.
pub fn run(args: &ExplainArgs, out: &mut Out) -> Exit {
    let catalog = catalog::catalog();
    let pages = pages(&args.id, &catalog);
    if pages.is_empty() {
        let known = known(&catalog);
        let hint = did_you_mean(&args.id, known.iter().map(String::as_str))
            .map_or("`passmuster list` names what there is".to_string(), |near| format!("did you mean `{near}`?"));
        out.error(&format!("nothing is called `{}`", args.id), Some(&hint));
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
    kinds.chain(sabotages).chain(expectations).chain(classes).chain(scenarios).chain(Code::ALL.iter().map(|c| c.id())).map(String::from).collect()
}

/// Everything of that name; a word may be a kind of several classes.
fn pages(id: &str, catalog: &Catalog) -> Vec<String> {
    let mut pages: Vec<String> = catalog.kinds.iter().filter(|k| k.name == id).map(kind).collect();
    if let Some(code) = Code::ALL.iter().find(|c| c.id().eq_ignore_ascii_case(id)) {
        pages.push(format!("{}: {}\n\n{}", code.id(), code.title(), unwrapped(code.explanation())));
    }
    if let Some(s) = catalog.sabotage(id) {
        let scenarios = s.scenarios.join(", ");
        pages.push(format!(
            "{} (sabotage)\n\n{}\nIt must end {:?}, caught by one of: {}\nIn the scenarios: {scenarios}\nTry it: passmuster drill {} --sabotage {}\n",
            s.name,
            s.summary,
            s.consequence,
            s.caught_by.join(", "),
            s.scenarios.first().unwrap_or(&""),
            s.name
        ));
    }
    if let Some(e) = catalog.expectations.iter().find(|e| e.id == id) {
        let when = if e.always { "Judged in every run to which it applies." } else { "Judged where a scenario lists it under `expect`." };
        let red: Vec<&str> = catalog.sabotages.iter().filter(|s| s.caught_by.contains(&id)).map(|s| s.name).collect();
        let red = if red.is_empty() { String::new() } else { format!("Seen red by: {}\n", red.join(", ")) };
        pages.push(format!("{} (expectation)\n\n{}.\n{when}\n{red}", e.id, e.summary));
    }
    if let Some(class) = FailureClass::ALL.iter().find(|c| c.word() == id) {
        let red: Vec<&str> = catalog.sabotages.iter().filter(|s| s.caught_by.contains(&id)).map(|s| s.name).collect();
        let red = if red.is_empty() { String::new() } else { format!("Seen by: {}\n", red.join(", ")) };
        pages.push(format!("{} (failure class)\n\nWhat to do: {}.\n{red}", class.word(), class.advice()));
    }
    if let Some((name, text)) = shipped::SCENARIOS.iter().find(|(n, _)| *n == id) {
        pages.push(format!("{name} (scenario)\n\n{text}"));
    }
    pages
}

fn kind(k: &KindSpec) -> String {
    let mut text = format!("{} (one of the {})\n\n{}.\n{}\n", k.name, k.class.plural(), k.summary, k.doc);
    if !k.on.is_empty() {
        text.push_str(&format!("\nWorks on: {}\n", k.on.join(", ")));
    }
    if !k.params.is_empty() {
        text.push_str("\nParameters:\n");
    }
    for p in k.params {
        let default = match (p.default, p.optional) {
            (Some(d), _) => format!("default {d}"),
            (None, true) => "optional".into(),
            (None, false) => "required".into(),
        };
        text.push_str(&format!("  {} ({}; {default})\n      {}\n", p.name, describe(p.kind), p.doc));
    }
    if !k.sabotages.is_empty() {
        text.push_str(&format!("\nSabotages: {}\n", k.sabotages.join(", ")));
    }
    text
}

fn unwrapped(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n") + "\n"
}
