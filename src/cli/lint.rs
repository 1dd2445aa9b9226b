//! `lint`: reads and cross-checks files, static algebra included; touches nothing else.

use super::exit::Exit;
use super::out::Out;
use super::{catalog, shipped};
use crate::model::codes::Code;
use crate::model::diag::{Diagnostic, Diagnostics};
use crate::model::scenario;
use crate::model::source::{Sources, Span};
use crate::report::diagnostics;
use clap::Args;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  passmuster lint                       the shipped files
  passmuster lint scenarios/ my.yaml    every .yaml and .yml file below a directory, and a file

Exit codes: 0 all can be used, 2 a file cannot be used, 10 a promise in one cannot hold (PM03xx),
3 there was nothing to read.";

/// What `lint` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct LintArgs {
    /// Files and directories; the shipped files if none is named
    pub paths: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &LintArgs, out: &mut Out) -> Exit {
    let catalog = catalog::catalog();
    let mut sources = Sources::default();
    let mut diags = Diagnostics::default();
    let mut files = 0;
    if args.paths.is_empty() {
        for (name, text) in shipped::SCENARIOS {
            let id = sources.add(format!("<shipped>/scenarios/{name}.yaml"), *text);
            scenario::read(&sources, id, &catalog, &[], &mut diags);
            files += 1;
        }
    }
    let mut once = BTreeSet::new();
    for path in &args.paths {
        for file in walk(path, &mut sources, &mut diags) {
            if !once.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                continue;
            }
            if let Some(id) = shipped::file(&file, &mut sources, &mut diags) {
                scenario::read(&sources, id, &catalog, &[], &mut diags);
            }
            files += usize::from(file.is_file());
        }
    }
    if out.json() {
        let views = diagnostics::views(&diags, &sources);
        let value = serde_json::json!({"version": 1, "files": files, "diagnostics": views, "left_out": diags.left_out()});
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        out.data(&(text + "\n"));
    } else {
        show(&diags, &sources, out);
        let findings = diags.len() + diags.left_out();
        let findings = if findings == 0 { "nothing found".into() } else { counted(findings, "finding") };
        if files > 0 {
            out.say(&format!("{} read, {findings}", counted(files, "file")));
        }
    }
    if diags.has_errors() {
        Exit::Usage
    } else if diags.has_contradictions() {
        Exit::Failed
    } else if files == 0 {
        out.error("nothing was read", Some("name files, or directories with .yaml files below them"));
        Exit::Nothing
    } else {
        Exit::Ok
    }
}

/// `1 file`, `2 files`.
pub fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("{n} {what}") } else { format!("{n} {what}s") }
}

/// Writes diagnostics for people on standard error.
pub fn show(diags: &Diagnostics, sources: &Sources, out: &mut Out) {
    if !diags.is_empty() {
        let text = diagnostics::human(diags, sources, out.error_style());
        let quiet = std::mem::replace(&mut out.common.quiet, false);
        out.say(text.trim_end());
        out.say("");
        out.common.quiet = quiet;
    }
}

/// YAML files at or below a path, each once; links that lead back are reported.
fn walk(path: &Path, sources: &mut Sources, diags: &mut Diagnostics) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut queue = vec![path.to_path_buf()];
    while let Some(next) = queue.pop() {
        if !next.is_dir() {
            found.push(next);
            continue;
        }
        let Ok(real) = next.canonicalize() else { continue };
        if !seen.insert(real) {
            let id = sources.add(next.display().to_string(), "");
            let d = Diagnostic::new(Code::Cycle, "this leads back to a directory that was read already", Span { source: id, start: 0, end: 0 });
            diags.push(d.help("remove the link"));
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&next) else {
            found.push(next);
            continue;
        };
        for entry in entries.flatten() {
            let p = entry.path();
            let yaml = p.extension().is_some_and(|x| x == "yaml" || x == "yml");
            if p.is_dir() || yaml {
                queue.push(p);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROP: &str = shipped::SCENARIOS[0].1;
    const LOST: &str = shipped::SCENARIOS[1].1;

    /// `CODE at what is underlined`, for every finding about a text in which some words were replaced.
    fn found(text: &str, replace: &[(&str, &str)]) -> Vec<String> {
        let mut text = text.to_string();
        for (from, to) in replace {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let (mut sources, mut diags) = (Sources::default(), Diagnostics::default());
        let id = sources.add("t.yaml", text);
        let read = scenario::read(&sources, id, &catalog::catalog(), &[], &mut diags);
        assert_eq!(read.is_none(), diags.has_errors());
        diags.sorted(&sources).iter().map(|d| format!("{} at {}", d.code, sources.slice(d.span()))).collect()
    }

    #[test]
    fn every_shipped_file_is_without_a_finding() {
        for (_, text) in shipped::SCENARIOS {
            assert_eq!(found(text, &[]), Vec::<String>::new());
        }
    }

    #[test]
    fn systems_that_the_drill_would_not_run_are_refused() {
        let second = [("  store:", "  db2: {postgres: {}}\n  store:")];
        assert_eq!(found(DROP, &second), ["PM0216 at {postgres: {}}"]);
        // A fault on it does not make it run.
        let faulty = [second[0], ("fault: drop-table, on: db,", "fault: drop-table, on: db2,")];
        assert_eq!(found(DROP, &faulty), ["PM0216 at {postgres: {}}"]);
        assert_eq!(found(DROP, &[("  store:", "  other: {s3: {}}\n  store:")]), ["PM0216 at {s3: {}}"]);
        // Where the backup cannot be read, nobody knows which is meant.
        assert_eq!(found(DROP, &[second[0], ("of: db,", "of: dbb,")]), ["PM0202 at dbb"]);
        assert_eq!(found(DROP, &[("of: db, to: store", "of: store, to: db")]), ["PM0212 at store", "PM0212 at db"]);
        assert_eq!(found(DROP, &[("drop-table, on: db,", "drop-table, on: store,")]), ["PM0212 at store"]);
        assert_eq!(found(DROP, &[("pitr, on: db,", "pitr, on: store,")]), ["PM0212 at store"]);
    }

    #[test]
    fn what_no_step_can_show_is_refused() {
        let expect = |what: &str| found(LOST, &[("within: 30m}", &format!("within: 30m}}\nexpect: [{what}]"))]);
        for id in ["exact", "control-restore-differs", "rewind", "slack", "control-complete"] {
            assert_eq!(expect(id), [format!("PM0217 at {id}")]);
        }
        assert_eq!(expect("no-holes, archive-complete"), Vec::<String>::new());
        assert_eq!(found(LOST, &[("rpo: 30m", "rpo: 30m, rewind: 1m")]), ["PM0217 at 1m"]);
        assert_eq!(found(DROP, &[("{age: ephemeral}", "none"), ("[exact,", "[encrypted-at-rest,")]), ["PM0217 at encrypted-at-rest"]);
        assert_eq!(found(DROP, &[("rewind: 15m", "rewind: 15m, human_delay: 5m")]), ["PM0217 at 5m"]);
        let human = "{detect: table-readable, within: 30s, human: true}";
        assert_eq!(found(DROP, &[("{detect: table-readable, within: 30s}", human)]), [format!("PM0103 at {human}")]);
        // With a step that cannot be read it may well apply.
        assert_eq!(found(DROP, &[("recover: pitr", "recover: pit")]), ["PM0205 at pit"]);
    }

    #[test]
    fn an_alert_needs_its_detection_and_a_margin() {
        let alert = ("known_from: wal", "known_from: alert, margin: 1s");
        assert_eq!(found(DROP, &[alert]), Vec::<String>::new());
        let without = ("  - {detect: table-readable, within: 30s}\n", "");
        assert_eq!(found(DROP, &[alert, without]), ["PM0210 at alert"]);
        let before = ("  - {fault: drop", "  - {fault: crash, on: db}\n  - {detect: reachable, within: 1s}\n  - {fault: drop");
        assert_eq!(found(DROP, &[alert, without, before]), ["PM0210 at alert"]);
        assert_eq!(found(DROP, &[("known_from: wal", "known_from: alert")]), ["PM0211 at alert"]);
        assert_eq!(found(DROP, &[("known_from: wal", "known_from: alert, margin: 0s")]), ["PM0211 at 0s"]);
        assert_eq!(found(DROP, &[("known_from: wal", "known_from: wal, margin: 2s")]), ["PM0217 at 2s"]);
        assert_eq!(found(DROP, &[("known_from: wal", "known_from: oracle, timeline: located")]), ["PM0217 at located"]);
    }

    #[test]
    fn no_secret_is_shown_wherever_it_stands() {
        const CANARY: &str = "canary-8f31c2";
        let encrypt = "encrypt: {age: ephemeral}";
        for written in [
            "encrypt: {age: canary-8f31c2}",
            "encrypt: {age: \"canary-8f31c2\"}",
            "encrypt: canary-8f31c2",
            "encrypt: {agee: canary-8f31c2}",
            "encrypt: {age: [x, canary-8f31c2]}",
            "encrypt: {age: {key: canary-8f31c2}}",
            "encrypt: {age: canary-8f31c2, age: canary-8f31c2}",
            "encrypt: {age: ephemeral, age: canary-8f31c2}",
            "encrypt: {age: canary-8f31c2\n  canary-8f31c2}",
            "encrypt: {age: env:canary-8f31c2}",
            "encrpyt: {age: canary-8f31c2}",
            "password: canary-8f31c2",
            "encrypt: {age: canary-8f31c2, ]",
        ] {
            let text = DROP.replace(encrypt, written);
            let (mut sources, mut diags) = (Sources::default(), Diagnostics::default());
            let id = sources.add("t.yaml", text);
            assert!(scenario::read(&sources, id, &catalog::catalog(), &[], &mut diags).is_none(), "{written}");
            let human = diagnostics::human(&diags, &sources, crate::report::style::Style::PLAIN);
            let json = serde_json::to_string(&diagnostics::views(&diags, &sources)).unwrap();
            assert!(human.contains("t.yaml:9:"), "{human}");
            assert!(!human.contains(CANARY) && !json.contains(CANARY), "{written}\n{human}\n{json}");
        }
        for set in ["age=canary-8f31c2", "backup.encrypt=canary-8f31c2", "encrypt={age: canary-8f31c2}", "encrypt.agee=canary-8f31c2"] {
            let (mut sources, mut diags) = (Sources::default(), Diagnostics::default());
            sources.add("--set", set);
            let id = sources.add("t.yaml", DROP);
            assert!(scenario::read(&sources, id, &catalog::catalog(), &[set.to_string()], &mut diags).is_none(), "{set}");
            let human = diagnostics::human(&diags, &sources, crate::report::style::Style::PLAIN);
            assert!(!human.contains(CANARY), "{set}\n{human}");
        }
    }

    #[test]
    fn nothing_comes_after_the_recovery() {
        let later = "{fault: crash, on: db}";
        assert_eq!(found(DROP, &[("expect:", &format!("  - {later}\nexpect:"))]), [format!("PM0210 at {later}")]);
    }

    #[test]
    fn a_load_that_never_ran_is_found_whatever_is_promised() {
        for rpo in ["", ", rpo: 15m"] {
            assert_eq!(found(DROP, &[("lead: 2s", "lead: 0s"), (", rpo: 15m", rpo)]), ["PM0302 at 0s"]);
        }
        for (from, to) in
            [("wal_segment: 1MiB", "3MiB"), ("wal_segment: 1MiB", "512KiB"), ("archive_timeout: 5s", "500ms"), ("archive_timeout: 5s", "0s")]
        {
            let (key, _) = from.split_once(' ').unwrap();
            assert_eq!(found(DROP, &[(from, &format!("{key} {to}"))]), [format!("PM0109 at {to}")]);
        }
    }

    #[test]
    fn one_mistake_has_one_finding() {
        for (from, to, only) in [
            ("drop-table, on: db", "drop-tabel, on: db", "PM0203 at drop-tabel"),
            ("db: {postgres:", "db: {postgre:", "PM0201 at postgre"),
            ("recover: pitr", "recover: pit", "PM0205 at pit"),
            ("detect: table-readable", "detect: readable", "PM0204 at readable"),
            ("with: basebackup-wal", "with: pg_dump", "PM0206 at pg_dump"),
            ("before: drop-table", "before: drop-tables", "PM0210 at drop-tables"),
        ] {
            assert_eq!(found(DROP, &[(from, to)]), [only]);
        }
        let systems = DROP.split_once("systems:").unwrap().1.split_once("workload:").unwrap().0;
        assert_eq!(found(DROP, &[(systems, " oops\n")]), ["PM0104 at oops"]);
        assert_eq!(found(DROP, &[(systems, " {}\n")]), ["PM0202 at db", "PM0202 at store", "PM0202 at db", "PM0202 at db"]);
    }
}
