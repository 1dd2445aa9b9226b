//! `list`: what there is.

use super::exit::Exit;
use super::out::Out;
use super::{catalog, shipped};
use crate::model::catalog::{Catalog, Class, ExpectationSpec, SabotageSpec};
use crate::model::codes::Code;
use crate::model::diag::{Diagnostics, did_you_mean, quoted};
use crate::model::event::FailureClass;
use crate::model::scenario;
use crate::model::source::Sources;
use crate::report::table;
use crate::verdict::trust;
use clap::Args;
use serde_json::{Map, Value, json};

const EXAMPLES: &str = "Examples:
  passmuster list                            the shipped scenarios
  passmuster list sabotages                  what each breaks, and what must catch it
  passmuster list faults --format json       for programs";

/// What `list` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// scenarios, systems, faults, probes, recoveries, methods, workloads, sabotages, expectations,
    /// doubts (why a run is inconclusive), failures (what ends a recovery) or codes
    #[arg(default_value = "scenarios")]
    pub what: String,
}

/// What can be listed.
pub const WHAT: [&str; 12] =
    ["scenarios", "systems", "faults", "probes", "recoveries", "methods", "workloads", "sabotages", "expectations", "doubts", "failures", "codes"];

/// Runs the command.
pub fn run(args: &ListArgs, out: &mut Out) -> Exit {
    let catalog = catalog::catalog();
    let Some((columns, rows)) = rows(&args.what, &catalog) else {
        let hint =
            did_you_mean(&args.what, WHAT).map_or_else(|| format!("choose one of {}", WHAT.join(", ")), |near| format!("did you mean `{near}`?"));
        out.error(&format!("there is no list of {}", quoted(&args.what)), Some(&hint));
        return Exit::Usage;
    };
    if out.json() {
        let object = |row: Vec<Value>| columns.iter().zip(row).map(|(c, v)| (c.replace(' ', "_"), v)).collect::<Map<_, _>>();
        let objects: Vec<_> = rows.into_iter().map(object).collect();
        let text = serde_json::to_string_pretty(&json!({"version": 1, (args.what.as_str()): objects})).unwrap_or_default();
        out.data(&(text + "\n"));
        return Exit::Ok;
    }
    let style = out.style();
    let mut t = table::table(columns, style);
    for row in rows {
        t.add_row(row.iter().map(cell));
    }
    table::keep_whole(&mut t, 0);
    let text = table::render(&t, style);
    out.data(&text);
    Exit::Ok
}

fn cell(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Headings, which are the keys for programs, and what stands below them.
type Rows = (&'static [&'static str], Vec<Vec<Value>>);

fn rows(what: &str, catalog: &Catalog) -> Option<Rows> {
    if let Some(class) = Class::ALL.into_iter().find(|c| c.plural() == what) {
        let of_class = catalog.kinds.iter().filter(|k| k.class == class);
        return Some((&["name", "what"], of_class.map(|k| vec![json!(k.name), json!(k.summary)]).collect()));
    }
    Some(match what {
        "scenarios" => (&["name", "rows", "what"], scenarios(catalog)),
        "sabotages" => {
            let row = |s: &SabotageSpec| vec![json!(s.name), json!(s.consequence.word()), json!(s.caught_by), json!(s.summary)];
            (&["name", "must end", "caught by", "what"], catalog.sabotages.iter().map(row).collect())
        }
        "expectations" => {
            let row = |e: &ExpectationSpec| vec![json!(e.id), json!(if e.always { "always" } else { "on request" }), json!(e.summary)];
            (&["id", "judged", "what must hold"], catalog.expectations.iter().map(row).collect())
        }
        "doubts" => (&["id", "what it means"], trust::DOUBTS.iter().map(|d| vec![json!(d.id), json!(d.summary)]).collect()),
        "failures" => (&["id", "what it means"], FailureClass::ALL.iter().map(|c| vec![json!(c.word()), json!(c.meaning())]).collect()),
        "codes" => {
            let row = |c: &Code| vec![json!(c), json!(c.severity()), json!(c.title())];
            (&["code", "severity", "what"], Code::ALL.iter().map(row).collect())
        }
        _ => return None,
    })
}

fn scenarios(catalog: &Catalog) -> Vec<Vec<Value>> {
    let mut sources = Sources::default();
    let mut diags = Diagnostics::default();
    let read = |(name, text): &(&str, &str)| {
        let id = sources.add(*name, *text);
        scenario::read(&sources, id, catalog, &[], &mut diags).map(|s| vec![json!(s.name), json!(s.rows), json!(s.about)])
    };
    shipped::SCENARIOS.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::explain;
    use super::*;

    #[test]
    fn whatever_is_listed_can_be_explained() {
        let catalog = catalog::catalog();
        for what in WHAT {
            let (_, rows) = rows(what, &catalog).unwrap_or_else(|| panic!("there is no list of {what}"));
            assert!(!rows.is_empty(), "{what}");
            for row in rows {
                let name = cell(&row[0]);
                assert!(!explain::pages_of(&name, &catalog).is_empty(), "{what}: {name}");
            }
        }
    }

    #[test]
    fn every_code_has_its_page() {
        let page = include_str!("../../docs/DIAGNOSTICS.md");
        for code in Code::ALL {
            let severity = serde_json::to_value(code.severity()).unwrap();
            let head = format!("### {code}\n\n**{}** ({})\n", code.title(), severity.as_str().unwrap());
            assert!(page.contains(&head), "docs/DIAGNOSTICS.md lacks\n{head}");
            assert!(page.contains(&format!("[{code}]: ")), "docs/DIAGNOSTICS.md has no example of {code}");
        }
    }

    #[test]
    fn whatever_a_sabotage_names_can_be_explained() {
        let catalog = catalog::catalog();
        for s in &catalog.sabotages {
            for name in s.caught_by {
                let pages = explain::pages_of(name, &catalog).join("");
                assert!(pages.contains(s.name), "{name} does not name {}", s.name);
            }
        }
    }
}
