//! `list`: what there is.

use super::exit::Exit;
use super::out::Out;
use super::{catalog, shipped};
use crate::model::catalog::{Catalog, Class, Consequence};
use crate::model::codes::Code;
use crate::model::diag::{Diagnostics, did_you_mean};
use crate::model::scenario;
use crate::model::source::Sources;
use crate::report::table;
use clap::Args;

/// What `list` takes.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// scenarios, systems, faults, probes, recoveries, methods, workloads, sabotages, expectations or codes
    #[arg(default_value = "scenarios")]
    pub what: String,
}

const WHAT: [&str; 10] = ["scenarios", "systems", "faults", "probes", "recoveries", "methods", "workloads", "sabotages", "expectations", "codes"];

/// Runs the command.
pub fn run(args: &ListArgs, out: &mut Out) -> Exit {
    let catalog = catalog::catalog();
    let Some((headings, rows)) = rows(&args.what, &catalog) else {
        let hint = did_you_mean(&args.what, WHAT).map_or_else(|| format!("one of {}", WHAT.join(", ")), |near| format!("did you mean `{near}`?"));
        out.error(&format!("there is no list of `{}`", args.what), Some(&hint));
        return Exit::Usage;
    };
    if out.json() {
        let objects: Vec<_> = rows
            .iter()
            .map(|r| headings.iter().zip(r).map(|(h, c)| (h.to_string(), serde_json::Value::from(c.clone()))).collect::<serde_json::Map<_, _>>())
            .collect();
        let text = serde_json::to_string_pretty(&serde_json::json!({"version": 1, (args.what.as_str()): objects})).unwrap_or_default();
        out.data(&(text + "\n"));
        return Exit::Ok;
    }
    let style = out.style();
    let mut t = table::table(headings, style);
    for row in rows {
        t.add_row(row);
    }
    let text = table::render(&t, style);
    out.data(&text);
    Exit::Ok
}

type Rows = (&'static [&'static str], Vec<Vec<String>>);

fn rows(what: &str, catalog: &Catalog) -> Option<Rows> {
    if let Some(class) = Class::ALL.into_iter().find(|c| c.plural() == what) {
        let of_class = catalog.kinds.iter().filter(|k| k.class == class);
        return Some((&["name", "what"], of_class.map(|k| vec![k.name.into(), k.summary.into()]).collect()));
    }
    match what {
        "scenarios" => Some((&["name", "rows", "what"], scenarios(catalog))),
        "sabotages" => {
            let row = |s: &crate::model::catalog::SabotageSpec| {
                let must = match s.consequence {
                    Consequence::Fail => "fail",
                    Consequence::Inconclusive => "inconclusive",
                    Consequence::Healed => "healed",
                };
                vec![s.name.into(), must.into(), s.caught_by.join(", "), s.summary.into()]
            };
            Some((&["name", "must end", "caught by", "what"], catalog.sabotages.iter().map(row).collect()))
        }
        "expectations" => {
            let row = |e: &crate::model::catalog::ExpectationSpec| {
                vec![e.id.into(), if e.always { "always" } else { "on request" }.into(), e.summary.into()]
            };
            Some((&["id", "judged", "what must hold"], catalog.expectations.iter().map(row).collect()))
        }
        "codes" => {
            let row = |c: &Code| vec![c.id().into(), format!("{:?}", c.severity()).to_lowercase(), c.title().into()];
            Some((&["code", "severity", "what"], Code::ALL.iter().map(row).collect()))
        }
        _ => None,
    }
}

fn scenarios(catalog: &Catalog) -> Vec<Vec<String>> {
    let mut sources = Sources::default();
    let mut diags = Diagnostics::default();
    let read = |(name, text): &(&str, &str)| {
        let id = sources.add(*name, *text);
        scenario::read(&sources, id, catalog, &[], &mut diags).map(|s| vec![s.name, s.rows.join(" "), s.about])
    };
    shipped::SCENARIOS.iter().filter_map(read).collect()
}
