//! `falsify`: green, then each sabotage, then green again; what was killed, by what, and what survived.

use super::catalog;
use super::drill::{self, How, LabArgs, read, runtime, signals};
use super::exit::Exit;
use super::out::Out;
use crate::evidence::view::RunView;
use crate::harness::sabotage;
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::report::table;
use crate::verdict::Outcome;
use clap::Args;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  passmuster falsify                        all sabotages of all shipped scenarios: minutes
  passmuster falsify postgres-crash         those of one scenario
  passmuster falsify postgres-drop-table --only target-too-late --only target-too-early

A sabotage is killed if the run ends as it must, by one of what the sabotage names. Caught by
anything else, or by an error of the harness, it survived: exit code 10.";

/// What `falsify` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct FalsifyArgs {
    /// Scenarios; all shipped ones that have sabotages if none is named
    pub scenarios: Vec<String>,
    /// Only this sabotage; can be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Override a setting of the scenario, by its path or the end of it; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = drill::whole::<0, { u64::MAX }>, allow_negative_numbers = true)]
    pub seed: u64,
    /// Where evidence is written
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    pub out: PathBuf,
    /// Where it runs.
    #[command(flatten)]
    pub lab: LabArgs,
}

/// What became of a sabotage.
#[derive(Debug, Clone, Serialize)]
struct Fate {
    scenario: String,
    sabotage: String,
    /// `killed`, `survived`.
    fate: &'static str,
    /// What caught it, of what it names.
    by: Vec<String>,
    /// Everything that was red or undecided.
    seen: Vec<String>,
    outcome: String,
    why: Option<String>,
}

/// Runs the command.
pub fn run(args: &FalsifyArgs, out: &mut Out) -> Exit {
    let catalog = catalog::catalog();
    let names: Vec<String> = if args.scenarios.is_empty() {
        let all: BTreeSet<&str> = catalog.sabotages.iter().flat_map(|s| s.scenarios.iter().copied()).collect();
        all.into_iter().map(String::from).collect()
    } else {
        args.scenarios.clone()
    };
    for name in &args.only {
        if let Err(exit) = drill::find_sabotage(Some(name), &catalog, out) {
            return exit;
        }
    }
    let ready = match read(&names, &args.set, &catalog, out) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    if let Err(exit) = drill::places(&args.out, &args.lab, out) {
        return exit;
    }
    let Some(runtime) = runtime(out) else { return Exit::Internal };
    let mut fates: Vec<Fate> = Vec::new();
    let mut green: Vec<(String, &'static str, String)> = Vec::new();
    let mut left = false;
    let interrupted = runtime.block_on(async {
        let cancel = signals();
        for r in &ready {
            let name = r.scenario.name.as_str();
            let mine: Vec<&SabotageSpec> = catalog
                .sabotages
                .iter()
                .filter(|s| s.scenarios.contains(&name) && (args.only.is_empty() || args.only.iter().any(|o| o == s.name)))
                .collect();
            if mine.is_empty() {
                continue;
            }
            let how =
                |sabotage| How { lab: &args.lab, seed: args.seed, series: None, sabotage, quick: false, set: &args.set, out: &args.out, show: false };
            for when in ["before", "after"] {
                if when == "after" {
                    for spec in &mine {
                        let done = drill::one(r, &how(sabotage::find(spec.name)), cancel.clone(), out).await;
                        left |= done.left;
                        if done.exit == Exit::Interrupted {
                            return true;
                        }
                        let fate = fate(name, spec, done.view.as_ref());
                        let by = if fate.by.is_empty() { String::new() } else { format!(" by {}", fate.by.join(", ")) };
                        out.say(&format!("{}: {}{by}", spec.name, fate.fate));
                        fates.push(fate);
                    }
                }
                let done = drill::one(r, &how(None), cancel.clone(), out).await;
                left |= done.left;
                if done.exit == Exit::Interrupted {
                    return true;
                }
                green.push((name.to_string(), when, done.view.map_or("error".into(), |v| v.verdict.outcome.word().to_string())));
            }
        }
        false
    });
    show(&fates, &green, out);
    if interrupted {
        return Exit::Interrupted;
    }
    if fates.is_empty() {
        out.error("no sabotage applies to what was named", Some("`passmuster list sabotages` says which scenarios they are for"));
        return Exit::Nothing;
    }
    let not_green = green.iter().any(|(_, _, outcome)| outcome != "pass");
    if not_green {
        out.error("the drill is not green without a sabotage, so nothing that turned red says anything", None);
    }
    if fates.iter().any(|f| f.fate == "survived") {
        Exit::Failed
    } else if not_green || left {
        Exit::Undecided
    } else {
        Exit::Ok
    }
}

/// Killed if it acted, ended as it must, and one of what it names was red (or said the healing). Caught by anything else,
/// or by an error of the harness, it survived.
fn fate(scenario: &str, spec: &SabotageSpec, view: Option<&RunView>) -> Fate {
    let mut f = Fate {
        scenario: scenario.into(),
        sabotage: spec.name.into(),
        fate: "survived",
        by: Vec::new(),
        seen: Vec::new(),
        outcome: "error".into(),
        why: None,
    };
    let Some(view) = view else {
        f.why = Some("there is no evidence of the run".into());
        return f;
    };
    let v = &view.verdict;
    f.outcome = v.outcome.word().into();
    f.seen = v.judgements.iter().filter(|j| j.outcome != Outcome::Pass).map(|j| j.id.clone()).chain(v.failures.iter().cloned()).collect();
    let red: BTreeSet<&str> = match spec.consequence {
        Consequence::Fail => {
            v.judgements.iter().filter(|j| j.outcome == Outcome::Fail).map(|j| j.id.as_str()).chain(v.failures.iter().map(String::as_str)).collect()
        }
        Consequence::Inconclusive => v.judgements.iter().filter(|j| j.outcome == Outcome::Inconclusive).map(|j| j.id.as_str()).collect(),
        Consequence::Healed => {
            if v.healed.is_empty() {
                BTreeSet::new()
            } else {
                BTreeSet::from(["healed"])
            }
        }
    };
    f.by = spec.caught_by.iter().filter(|c| red.contains(*c)).map(|c| c.to_string()).collect();
    let ended_as_it_must = match spec.consequence {
        Consequence::Fail => v.outcome == Outcome::Fail,
        Consequence::Inconclusive => v.outcome == Outcome::Inconclusive,
        Consequence::Healed => v.outcome == Outcome::Pass,
    };
    f.why = if v.sabotaged.is_empty() {
        Some("it never acted".into())
    } else if !v.errors.is_empty() {
        Some(format!("the harness broke: {}", v.errors[0].0))
    } else if !ended_as_it_must {
        Some(format!("the run ended {}", f.outcome))
    } else if f.by.is_empty() {
        Some(format!("it was caught, but not by {}", spec.caught_by.join(" or ")))
    } else {
        None
    };
    if f.why.is_none() {
        f.fate = "killed";
    }
    f
}

fn show(fates: &[Fate], green: &[(String, &'static str, String)], out: &mut Out) {
    let killed = fates.iter().filter(|f| f.fate == "killed").count();
    if out.json() {
        let without: Vec<_> = green.iter().map(|(s, when, o)| serde_json::json!({"scenario": s, "when": when, "outcome": o})).collect();
        let value = serde_json::json!({"version": 1, "killed": killed, "of": fates.len(), "without_sabotage": without, "sabotages": fates});
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        out.data(&(text + "\n"));
        return;
    }
    let style = out.style();
    let mut t = table::table(&["scenario", "sabotage", "fate", "by", "run"], style);
    for (scenario, when, outcome) in green {
        t.add_row([scenario.clone(), format!("(none, {when})"), String::new(), String::new(), outcome.clone()]);
    }
    for f in fates {
        let by = f.why.clone().unwrap_or_else(|| f.by.join(", "));
        t.add_row([f.scenario.clone(), f.sabotage.clone(), f.fate.to_string(), by, f.outcome.clone()]);
    }
    table::keep_whole(&mut t, 0);
    table::keep_whole(&mut t, 1);
    let text = format!("{}\n{killed} of {} killed\n", table::render(&t, style), fates.len());
    out.data(&text);
}
