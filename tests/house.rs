//! The house keeps its own rules: which room may use which, where programs are started, and what an extension brings along.

#![allow(clippy::unwrap_used, clippy::panic)] // what helps a test may fail aloud, too

#[path = "support/source.rs"]
mod source;

use passmuster::cli::catalog::catalog;
use passmuster::cli::shipped::SCENARIOS;
use passmuster::harness::sabotage;
use passmuster::model::catalog::{Catalog, Class, Consequence, KindSpec};
use passmuster::model::codes::Code;
use passmuster::model::diag::Diagnostics;
use passmuster::model::event::FailureClass;
use passmuster::model::params::default_value;
use passmuster::model::scenario::{self, Action, Scenario};
use passmuster::model::source::Sources;
use source::{Kind, tokens, uses};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Who may use whom, itself apart (docs/EXTENDING.md). `cli` may use all.
const ARROWS: [(&str, &[&str]); 6] = [
    ("model", &[]),
    ("harness", &["model"]),
    ("verdict", &["model"]),
    ("evidence", &["model", "verdict"]),
    ("report", &["model", "verdict", "evidence"]),
    ("cli", &["model", "harness", "verdict", "evidence", "report"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every Rust file below a folder, by its place below it.
fn rust_files(folder: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut queue = vec![String::new()];
    while let Some(below) = queue.pop() {
        for entry in std::fs::read_dir(root().join(folder).join(&below)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let place = if below.is_empty() { name } else { format!("{below}/{name}") };
            if entry.file_type().unwrap().is_dir() {
                queue.push(place);
            } else if place.ends_with(".rs") {
                let text = read(Path::new(folder).join(&place));
                found.insert(place, text);
            }
        }
    }
    found
}

// ---- arrows -------------------------------------------------------------------------------------------------------

/// What a file of the library uses and may not.
fn against_the_arrows(file: &str, text: &str) -> Vec<String> {
    let room = file.split('/').next().unwrap_or_default();
    let allowed = ARROWS.iter().find(|(name, _)| *name == room).map(|(_, may)| *may);
    let mut found = Vec::new();
    for used in uses(file, text) {
        let first = used.segments[0].as_str();
        let bad = match (used.of_crate, allowed) {
            // A crate does not name itself: that would hide a room from this test.
            (false, _) => first == "passmuster" && used.segments.len() > 1,
            (true, Some(may)) => first != room && !may.contains(&first),
            (true, None) => true,
        };
        if bad {
            found.push(format!("src/{file}:{}: {room} uses {}", used.line, used.segments.join("::")));
        }
    }
    found
}

#[test]
fn rooms_use_each_other_one_way() {
    let files = rust_files("src");
    for (room, _) in ARROWS {
        assert!(files.contains_key(&format!("{room}/mod.rs")), "there is no room {room}");
    }
    let rooms: BTreeSet<&str> = files.keys().filter(|f| f.contains('/')).filter_map(|f| f.split('/').next()).collect();
    assert_eq!(rooms, ARROWS.iter().map(|(r, _)| *r).collect(), "every folder of src/ is a room with its arrows");
    let bad: Vec<String> = files.iter().filter(|(f, _)| f.contains('/')).flat_map(|(f, text)| against_the_arrows(f, text)).collect();
    assert_eq!(bad, Vec::<String>::new());
    let outside: Vec<&String> = files.keys().filter(|f| !f.contains('/')).collect();
    assert_eq!(outside, ["lib.rs", "main.rs"]);
}

#[test]
fn the_binary_only_calls_the_command_line_and_the_root_holds_nothing_but_rooms() {
    let called: Vec<Vec<String>> =
        uses("main.rs", &read("src/main.rs")).into_iter().map(|u| u.segments).filter(|s| s[0] == "passmuster" || s.len() > 1).collect();
    assert_eq!(called, [vec!["std", "process", "ExitCode"], vec!["passmuster", "cli", "main"]]);
    // Anything re-exported at the root would lead past the arrows.
    let root: Vec<Kind> = tokens(&read("src/lib.rs")).into_iter().map(|t| t.kind).collect();
    let rooms: Vec<Kind> = ["cli", "evidence", "harness", "model", "report", "verdict"]
        .into_iter()
        .flat_map(|r| [Kind::Word("pub".into()), Kind::Word("mod".into()), Kind::Word(r.into()), Kind::Mark(';')])
        .collect();
    assert_eq!(root, rooms);
}

#[test]
fn the_detector_of_arrows_can_fail() {
    let offends = |file: &str, text: &str| against_the_arrows(file, text).len();
    for (file, text) in [
        ("verdict/judge.rs", "use crate::harness::engine;"),
        ("verdict/judge.rs", "fn f() { crate::harness::engine::run() }"),
        ("verdict/judge.rs", "fn f(x: &crate::report::style::Style) {}"),
        ("verdict/judge.rs", "use crate::{model::time::Stamp, harness::{engine, lab}};"),
        ("verdict/judge.rs", "use super::super::harness::engine;"),
        ("verdict/mod.rs", "use super::harness;"),
        ("verdict/judge.rs", "#[cfg(test)] mod tests { fn f() { super::super::super::harness::engine::run() } }"),
        ("verdict/deep/mod.rs", "use super::super::evidence::view;"),
        ("model/time.rs", "use crate::verdict::Record;"),
        ("model/time.rs", "use crate::*;"),
        ("model/time.rs", "use crate as house; use house::harness::engine;"),
        ("model/time.rs", "use crate::{self as house};"),
        ("model/time.rs", "use passmuster::harness::engine;"),
        ("model/time.rs", "use r#crate::x; use crate::r#harness::engine;"),
        ("harness/engine.rs", "use crate::verdict::judge;"),
        ("harness/fault/crash.rs", "use super::super::super::cli::out::Out;"),
        ("evidence/bundle.rs", "use crate::report::html;"),
        ("report/html.rs", "pub use crate::harness::engine;"),
        ("attic/mod.rs", "use crate::model::time::Stamp;"),
    ] {
        assert!(offends(file, text) > 0, "{file}: {text}");
    }
    for (file, text) in [
        ("verdict/judge.rs", "//! [`crate::harness`] emits events\nuse crate::model::time::Stamp; // crate::harness"),
        ("verdict/judge.rs", "/* crate::harness /* nested */ */ const A: &str = \"crate::harness\"; const B: &str = r#\"crate::harness::\"x\"#;"),
        ("verdict/judge.rs", "mod tests { use super::*; use super::super::loss; } use super::loss; use self::tests;"),
        ("verdict/judge.rs", "fn f<'a>(x: &'a str) -> char { 'c' } pub(crate) fn g() {} pub(super) fn h() {}"),
        ("cli/drill.rs", "use crate::{harness::engine, verdict, evidence::view, report};"),
        ("harness/fault/crash.rs", "use super::super::drill::Drill; use super::Fault; use crate::model::event::Event;"),
    ] {
        assert_eq!(against_the_arrows(file, text), Vec::<String>::new(), "{file}: {text}");
    }
}

// ---- programs -----------------------------------------------------------------------------------------------------

/// Where programs are started past `harness::process`, which drops privileges, journals and cleans up.
fn starts_programs(file: &str, text: &str) -> Vec<String> {
    let names = |s: &[String], module: &str, item: &dyn Fn(&str) -> bool| s.windows(2).any(|w| w[0] == module && item(&w[1]));
    let mut found = Vec::new();
    for used in uses(file, text) {
        let s = &used.segments;
        let outer = s.iter().take(2).map(String::as_str).collect::<Vec<_>>();
        let whole = matches!(outer[..], ["std" | "tokio" | "async_process", "process"]) && (s.len() == 2 || s[2] == "*");
        let bad = !used.of_crate && (whole || matches!(outer[..], ["tokio", "process"]))
            || names(s, "process", &|i| matches!(i, "Command" | "CommandExt"))
            || names(s, "unistd", &|i| i.starts_with("fork") || i.starts_with("exec") || i == "*")
            || names(s, "libc", &|i| i.contains("fork") || i.contains("exec") || i.contains("spawn") || i == "system" || i == "*")
            || names(s, "clippy", &|i| i == "disallowed_methods") && !MAY_USE_DISALLOWED.contains(&file);
        if bad {
            found.push(format!("src/{file}:{}: {}", used.line, s.join("::")));
        }
    }
    found
}

/// The one clock, the one label of wall-clock time, and the one place that starts programs.
const MAY_USE_DISALLOWED: [&str; 3] = ["harness/process.rs", "harness/recorder.rs", "model/time.rs"];

#[test]
fn programs_are_started_in_one_place() {
    let files = rust_files("src");
    let bad: Vec<String> = files.iter().filter(|(f, _)| *f != "harness/process.rs").flat_map(|(f, text)| starts_programs(f, text)).collect();
    assert_eq!(bad, Vec::<String>::new());
    assert!(!starts_programs("harness/other.rs", &files["harness/process.rs"]).is_empty(), "the one place would be seen elsewhere");
}

#[test]
fn the_detector_of_programs_can_fail() {
    for text in [
        "fn f() { std::process::Command::new(\"rm\"); }",
        "use tokio::process::Command;",
        "use std::{io, process::{Command, ExitCode}};",
        "use std::process; fn f() { process::Command::new(\"rm\"); }",
        "use std::process::*;",
        "use tokio::process::Child;",
        "use nix::unistd::{fork, getpid};",
        "fn f() { nix::unistd::execvp(a, b); }",
        "fn f() { libc::posix_spawn(); }",
        "#[allow(clippy::disallowed_methods)] fn f() {}",
        "use std::os::unix::process::CommandExt;",
    ] {
        assert!(!starts_programs("harness/lab/local.rs", text).is_empty(), "{text}");
    }
    for text in
        ["use super::super::process::{self, Spec};", "use std::process::ExitCode;", "fn f() { std::process::id(); clap::Command::new(\"x\"); }"]
    {
        assert_eq!(starts_programs("harness/lab/local.rs", text), Vec::<String>::new(), "{text}");
    }
}

// ---- registries ---------------------------------------------------------------------------------------------------

fn shipped() -> Vec<Scenario> {
    let catalog = catalog();
    let mut sources = Sources::default();
    let mut diags = Diagnostics::default();
    let mut read = |(name, text): &(&str, &str)| {
        let id = sources.add(*name, *text);
        scenario::read(&sources, id, &catalog, &[], &mut diags)
    };
    let all: Vec<Scenario> = SCENARIOS.iter().filter_map(&mut read).collect();
    assert!(diags.is_empty(), "{:?}", diags.iter().map(|d| &d.message).collect::<Vec<_>>());
    assert_eq!(all.len(), SCENARIOS.len());
    all
}

/// The kinds that a scenario uses.
fn used_by(s: &Scenario) -> BTreeSet<(Class, &str)> {
    let mut used = BTreeSet::from([
        (Class::Workload, s.workload.kind.as_str()),
        (Class::Method, s.backup.method.as_str()),
        (Class::Probe, s.steady.probe.as_str()),
    ]);
    used.extend(s.systems.values().map(|d| (Class::System, d.kind.as_str())));
    used.extend(s.steps.iter().map(|step| match &step.action {
        Action::Fault { kind, .. } => (Class::Fault, kind.as_str()),
        Action::Detect { probe, .. } => (Class::Probe, probe.as_str()),
        Action::Recover { kind, .. } => (Class::Recovery, kind.as_str()),
    }));
    used
}

/// Ids of the reasons to doubt.
fn doubts() -> BTreeSet<String> {
    passmuster::verdict::trust::DOUBTS.iter().map(|d| d.id.to_string()).collect()
}

/// Names without their one allowed reader, for a message that says what to do.
fn nothing(left: Vec<String>, what: &str) {
    assert_eq!(left, Vec::<String>::new(), "{what}");
}

#[test]
fn everything_registered_says_what_it_is() {
    let catalog = catalog();
    let sentence = |s: &str| s.trim().len() > 10;
    let mut bad = Vec::new();
    for k in &catalog.kinds {
        if !sentence(k.summary) || !sentence(k.doc) {
            bad.push(format!("{}: summary or doc", k.name));
        }
        for p in k.params {
            if p.doc.trim().is_empty() {
                bad.push(format!("{}.{}: doc", k.name, p.name));
            }
            if p.default.is_some_and(|d| default_value(p.kind, d).is_none()) {
                bad.push(format!("{}.{}: its default cannot be read", k.name, p.name));
            }
            if p.optional && p.default.is_some() {
                bad.push(format!("{}.{}: optional, with a default", k.name, p.name));
            }
        }
        for on in k.on {
            if catalog.kind(Class::System, on).is_none() {
                bad.push(format!("{}: works on `{on}`, which is no kind of system", k.name));
            }
        }
    }
    bad.extend(catalog.sabotages.iter().filter(|s| !sentence(s.summary)).map(|s| s.name.to_string()));
    bad.extend(catalog.expectations.iter().filter(|e| !sentence(e.summary)).map(|e| e.id.to_string()));
    bad.extend(shipped().iter().filter(|s| !sentence(&s.about) || s.rows.is_empty()).map(|s| format!("{}: about or rows", s.name)));
    bad.extend(FailureClass::ALL.iter().filter(|c| !sentence(c.advice())).map(|c| c.word().to_string()));
    bad.extend(Code::ALL.iter().filter(|c| !sentence(c.explanation()) || c.title().is_empty()).map(|c| c.id().to_string()));
    nothing(bad, "these lack a doc, or it contradicts itself");
}

#[test]
fn names_are_unique() {
    let catalog = catalog();
    let mut all: Vec<String> = catalog.kinds.iter().map(|k| format!("{} {}", k.class.plural(), k.name)).collect();
    all.extend(catalog.sabotages.iter().map(|s| format!("sabotage {}", s.name)));
    all.extend(catalog.expectations.iter().map(|e| format!("judged {}", e.id)));
    all.extend(doubts().into_iter().map(|d| format!("judged {d}")));
    all.extend(SCENARIOS.iter().map(|(n, _)| format!("scenario {n}")));
    let twice: Vec<String> = all.iter().filter(|a| all.iter().filter(|b| a == b).count() > 1).cloned().collect();
    nothing(twice, "one name, one thing");
}

#[test]
fn every_kind_has_a_shipped_example() {
    let catalog = catalog();
    let scenarios = shipped();
    let used: BTreeSet<(Class, &str)> = scenarios.iter().flat_map(used_by).collect();
    let lacking = catalog.kinds.iter().filter(|k| !used.contains(&(k.class, k.name)) && !documented_example(k));
    nothing(lacking.map(|k| format!("{} {}", k.class.plural(), k.name)).collect(), "neither in a shipped scenario nor in an example of the docs");
    let asked: BTreeSet<&str> = scenarios.iter().flat_map(|s| &s.expect).map(String::as_str).collect();
    let unasked = catalog.expectations.iter().filter(|e| !e.always && !asked.contains(e.id));
    nothing(unasked.map(|e| e.id.to_string()).collect(), "judged only on request, and no shipped scenario requests it");
}

/// Whether a YAML block in the docs uses a kind that no shipped scenario does.
fn documented_example(k: &KindSpec) -> bool {
    let Ok(docs) = std::fs::read_dir(root().join("docs")) else { return false };
    let texts = docs.filter_map(|e| std::fs::read_to_string(e.unwrap().path()).ok());
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    texts.into_iter().any(|t| t.split("```yaml").skip(1).any(|b| b.split("```").next().unwrap_or("").split(|c| !is_part(c)).any(|w| w == k.name)))
}

#[test]
fn scenarios_are_files_of_their_own_name() {
    let mut files: Vec<String> =
        std::fs::read_dir(root().join("scenarios")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let mut names: Vec<String> = shipped().into_iter().map(|s| format!("{}.yaml", s.name)).collect();
    names.sort();
    assert_eq!(files, names, "every file in scenarios/ is shipped under the name that it gives itself");
    assert!(SCENARIOS.iter().zip(shipped()).all(|((name, _), s)| *name == s.name));
}

#[test]
fn every_fault_method_and_scenario_can_go_red() {
    let catalog = catalog();
    let scenarios = shipped();
    let mut bad = Vec::new();
    for k in &catalog.kinds {
        if matches!(k.class, Class::Fault | Class::Method) && k.sabotages.is_empty() {
            bad.push(format!("{} {} has no sabotage", k.class.plural(), k.name));
        }
        for name in k.sabotages {
            let Some(s) = catalog.sabotage(name) else {
                bad.push(format!("{}: there is no sabotage `{name}`", k.name));
                continue;
            };
            let runs_with_it = scenarios.iter().any(|x| s.scenarios.contains(&x.name.as_str()) && used_by(x).contains(&(k.class, k.name)));
            if !runs_with_it {
                bad.push(format!("{}: `{name}` runs in no scenario that uses it", k.name));
            }
        }
    }
    for x in &scenarios {
        if !catalog.sabotages.iter().any(|s| s.scenarios.contains(&x.name.as_str())) {
            bad.push(format!("scenario {} has no sabotage", x.name));
        }
    }
    nothing(bad, "green that cannot go red says nothing");
}

#[test]
fn every_sabotage_names_a_scenario_and_what_must_catch_it() {
    let catalog = catalog();
    let doubts = doubts();
    assert!(doubts.len() >= 8, "the reasons to doubt were not found in verdict/trust.rs: {doubts:?}");
    nothing(caught_by_nothing(&catalog, &doubts), "a sabotage that nothing can catch survives");
}

fn caught_by_nothing(catalog: &Catalog, doubts: &BTreeSet<String>) -> Vec<String> {
    let mut bad = Vec::new();
    for s in &catalog.sabotages {
        let known = |id: &str| match s.consequence {
            Consequence::Fail => catalog.expectations.iter().any(|e| e.id == id) || FailureClass::ALL.iter().any(|c| c.word() == id),
            Consequence::Inconclusive => catalog.expectations.iter().any(|e| e.id == id) || doubts.contains(id),
            Consequence::Healed => id == "healed",
        };
        bad.extend(s.caught_by.iter().filter(|id| !known(id)).map(|id| format!("{}: `{id}` cannot make it {:?}", s.name, s.consequence)));
        bad.extend(s.scenarios.iter().filter(|n| !SCENARIOS.iter().any(|(x, _)| x == *n)).map(|n| format!("{}: there is no scenario `{n}`", s.name)));
        if s.caught_by.is_empty() || s.scenarios.is_empty() {
            bad.push(format!("{}: caught by nothing, or in no scenario", s.name));
        }
    }
    bad
}

#[test]
fn the_detector_of_what_nothing_can_catch_can_fail() {
    let mut broken = catalog();
    let count = |c: &Catalog| caught_by_nothing(c, &doubts()).len();
    broken.sabotages[0].caught_by = &["no-such-expectation"];
    assert_eq!(count(&broken), 1);
    broken.sabotages[1].scenarios = &["no-such-scenario"];
    assert_eq!(count(&broken), 2);
    broken.sabotages[2].caught_by = &[];
    assert_eq!(count(&broken), 3);
    // A doubt makes no run fail.
    broken.sabotages[3].caught_by = &["recorder-stalled"];
    assert_eq!(count(&broken), 4);
}

/// Names that a file declares, in its `KindSpec { …, name: "crash", … }` or `SabotageSpec`.
fn declared_in(text: &str) -> Vec<String> {
    let all = tokens(text);
    let opens = |i: usize| matches!(&all[i].kind, Kind::Word(w) if w == "KindSpec" || w == "SabotageSpec") && all[i + 1].kind == Kind::Mark('{');
    let name = |w: &[source::Token]| match [&w[0].kind, &w[1].kind, &w[2].kind] {
        [Kind::Word(key), Kind::Mark(':'), Kind::Text(text)] if key == "name" => Some(text.clone()),
        _ => None,
    };
    (0..all.len().saturating_sub(1)).filter(|i| opens(*i)).filter_map(|i| all[i..].windows(3).find_map(name)).collect()
}

/// Modules whose items a registry lists, once for each line: `= &[crash::FAULT, …]` or `vec![Arc::new(crash::Crash), …]`.
fn registered_in(text: &str) -> Vec<String> {
    let all = tokens(text);
    let is = |i: usize, kind: &Kind| all.get(i).map(|t| &t.kind) == Some(kind);
    let word = |i: usize| match all.get(i).map(|t| &t.kind) {
        Some(Kind::Word(w)) => w.as_str(),
        _ => "",
    };
    let list = (0..all.len())
        .find(|i| is(*i, &Kind::Mark('[')) && (word(i.wrapping_sub(2)) == "vec" || is(i.wrapping_sub(2), &Kind::Mark('='))))
        .unwrap_or(all.len());
    let until = (list..all.len()).find(|i| is(*i, &Kind::Mark(']'))).unwrap_or(list);
    let first = |i: &usize| is(i + 1, &Kind::PathSep) && !is(i - 1, &Kind::PathSep) && word(*i) != "Arc";
    (list..until).filter(first).map(|i| word(i).to_string()).collect()
}

/// How a folder of extensions and what is registered differ.
fn against_the_registry(files: &BTreeMap<String, String>, names: &[&str], variants: bool) -> Vec<String> {
    let declared: Vec<(&str, String)> =
        files.iter().filter(|(f, _)| *f != "mod.rs").flat_map(|(f, text)| declared_in(text).into_iter().map(move |n| (f.as_str(), n))).collect();
    let lines = registered_in(&files["mod.rs"]);
    let mut bad = Vec::new();
    for name in names {
        let places: Vec<&str> = declared.iter().filter(|(_, n)| n == name).map(|(f, _)| *f).collect();
        let own = format!("{}.rs", name.replace('-', "_"));
        if places.len() != 1 || !variants && places != [own.as_str()] {
            bad.push(format!("`{name}` is declared in {places:?}"));
        }
    }
    for (file, name) in &declared {
        let here = declared.iter().filter(|(f, _)| f == file).count();
        let registered = lines.iter().filter(|m| *m == file.trim_end_matches(".rs")).count();
        if !names.contains(&name.as_str()) || here != registered || here > 1 && !variants {
            bad.push(format!("{file} declares `{name}` among {here}, the registry has {registered} lines for it"));
        }
    }
    if lines.len() != names.len() {
        bad.push(format!("{} lines of the registry for {} names", lines.len(), names.len()));
    }
    bad
}

#[test]
fn extensions_are_a_file_and_a_line() {
    let catalog = catalog();
    let mut bad = Vec::new();
    for (class, folder) in [
        (Class::System, "system"),
        (Class::Fault, "fault"),
        (Class::Probe, "probe"),
        (Class::Recovery, "recovery"),
        (Class::Method, "backup"),
        (Class::Workload, "workload"),
    ] {
        bad.extend(against_the_registry(&rust_files(&format!("src/harness/{folder}")), &catalog.names(class), false));
    }
    // Variants of one defect share a file; each has a line of its own.
    let names: Vec<&str> = catalog.sabotages.iter().map(|s| s.name).collect();
    let files = rust_files("src/harness/sabotage");
    bad.extend(against_the_registry(&files, &names, true));
    bad.extend(files.iter().filter(|(f, text)| *f != "mod.rs" && declared_in(text).is_empty()).map(|(f, _)| format!("{f} declares no sabotage")));
    nothing(bad, "one file and one registry line per extension");
    assert!(names.iter().all(|n| sabotage::find(n).is_some_and(|found| found.spec().name == *n)));
}

#[test]
fn the_detector_of_unregistered_extensions_can_fail() {
    let spec = |name: &str| format!("const SPEC: KindSpec = KindSpec {{ class: Class::Fault, name: \"{name}\", on: &[] }};");
    let registry = |list: &str| format!("//! Faults\npub const ALL: &[Fault] = &[{list}];\npub fn find() -> [u8; 2] {{ other::X }}");
    let folder = |list: &str, files: &[(&str, &str)]| {
        let mut all: BTreeMap<String, String> = files.iter().map(|(f, n)| (f.to_string(), spec(n))).collect();
        all.insert("mod.rs".into(), registry(list));
        all
    };
    let good = folder("crash::FAULT, drop_table::FAULT", &[("crash.rs", "crash"), ("drop_table.rs", "drop-table")]);
    assert_eq!(against_the_registry(&good, &["crash", "drop-table"], false), Vec::<String>::new());
    for (list, files, names) in [
        ("crash::FAULT", &[("crash.rs", "crash"), ("drop_table.rs", "drop-table")][..], &["crash"][..]),
        ("crash::FAULT", &[("crash.rs", "crash"), ("drop_table.rs", "drop-table")], &["crash", "drop-table"]),
        ("crash::FAULT, drop::FAULT", &[("crash.rs", "crash"), ("drop.rs", "drop-table")], &["crash", "drop-table"]),
        ("crash::FAULT, crash::FAULT", &[("crash.rs", "crash")], &["crash"]),
        ("crash::FAULT", &[("crash.rs", "crash"), ("crash2.rs", "crash")], &["crash"]),
    ] {
        assert!(!against_the_registry(&folder(list, files), names, false).is_empty(), "{list}");
    }
}

// ---- docs ---------------------------------------------------------------------------------------------------------

/// Names with a heading `### name` or a row of a table that begins with "| `name`".
fn documented(text: &str) -> BTreeSet<String> {
    let heading = |l: &str| l.strip_prefix("### ").map(|n| n.trim().trim_matches('`').to_string());
    let row = |l: &str| l.strip_prefix("| `").and_then(|r| r.split_once('`')).map(|(n, _)| n.to_string());
    text.lines().filter_map(|l| heading(l).or_else(|| row(l))).collect()
}

#[test]
fn everything_registered_is_documented() {
    let catalog = catalog();
    let there = documented(&read("docs/SCENARIOS.md"));
    let mut wanted: Vec<&str> = catalog.kinds.iter().map(|k| k.name).collect();
    wanted.extend(catalog.sabotages.iter().map(|s| s.name));
    wanted.extend(catalog.expectations.iter().map(|e| e.id));
    wanted.extend(SCENARIOS.iter().map(|(n, _)| *n));
    nothing(wanted.into_iter().filter(|n| !there.contains(*n)).map(String::from).collect(), "without a heading or a row in docs/SCENARIOS.md");
}

#[test]
fn every_diagnostic_is_documented_and_none_that_is_not() {
    let there = documented(&read("docs/DIAGNOSTICS.md"));
    let mentioned: BTreeSet<&str> = there.iter().filter_map(|h| h.split([' ', ':']).next()).filter(|c| c.starts_with("PM")).collect();
    assert_eq!(mentioned, Code::ALL.iter().map(|c| c.id()).collect());
}

#[test]
fn the_reader_of_docs_finds_headings_and_rows_only() {
    let text = "# x\n### drop-table\nabout `crash`\n| `wrong-key` | x |\n|`torn`|\n#### pitr\n### `archive-end`\n";
    assert_eq!(documented(text), BTreeSet::from(["drop-table", "wrong-key", "archive-end"].map(String::from)));
}
