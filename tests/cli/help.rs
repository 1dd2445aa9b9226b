//! Help, lists, explanations, completions: what a new user reads first.

use super::{command, run, snapshot};
use passmuster::cli::{self, list};
use passmuster::model::codes::Code;
use passmuster::model::event::FailureClass;
use passmuster::verdict::trust;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;

/// One of each kind of thing that can be explained.
const EXPLAINED: [&str; 13] = [
    "PM0301",
    "postgres",
    "drop-table",
    "table-readable",
    "pitr",
    "basebackup-wal",
    "linked",
    "archive-skips-segment",
    "base-page-flipped-healed",
    "exact",
    "archive-gap",
    "recorder-stalled",
    "postgres-crash",
];

fn subcommands() -> Vec<String> {
    cli::command().get_subcommands().map(|c| c.get_name().to_string()).collect()
}

/// The snapshots of this file.
pub fn snapshots() -> Vec<String> {
    let mut all = vec!["help".to_string(), "codes-explained".to_string()];
    all.extend(subcommands().iter().map(|c| format!("help-{c}")));
    all.extend(list::WHAT.iter().flat_map(|w| [format!("list-{w}"), format!("list-{w}-json")]));
    all.extend(EXPLAINED.iter().map(|id| format!("explain-{id}")));
    all
}

#[test]
fn every_command_has_help_that_fits_and_shows_how_it_is_used() {
    snapshot("help", &run(&["--help"]).result(&["--help"]));
    let expected = ["drill", "falsify", "lint", "verify", "report", "list", "explain", "doctor", "gc", "completions"];
    let commands = subcommands();
    expected.iter().for_each(|c| assert!(commands.iter().any(|x| x == c), "{c} is gone"));
    for command in &commands {
        let help = run(&[command, "--help"]).result(&[command, "--help"]);
        assert_eq!(help, run(&[command, "-h"]).stdout, "{command}: -h");
        assert_eq!(help, run(&["help", command]).stdout, "help {command}");
        assert!(help.contains("passmuster ") && (help.contains("Examples:") || help.contains("Exit codes:")), "{command}");
        let wide: Vec<&str> = help.lines().filter(|l| l.chars().count() > 100).collect();
        assert_eq!(wide, Vec::<&str>::new(), "{command}");
        snapshot(&format!("help-{command}"), &help);
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(run(&["--version"]).result(&["--version"]), format!("passmuster {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn everything_that_exists_can_be_listed() {
    for what in list::WHAT {
        let text = run(&["list", what]).result(&["list", what]);
        snapshot(&format!("list-{what}"), &text);
        let json = run(&["list", what, "--format", "json"]);
        snapshot(&format!("list-{what}-json"), &json.stdout);
        let value = json.json();
        assert_eq!(value["version"], 1, "{what}");
        let all = value[what].as_array().unwrap();
        assert!(!all.is_empty(), "{what}");
        for one in all {
            let fields = one.as_object().unwrap();
            assert!(fields.keys().all(|k| k.chars().all(|c| c.is_ascii_lowercase() || c == '_')), "{one}");
            // The name stands whole at the beginning of a line of the table.
            let name = fields.values().next().unwrap().as_str().unwrap();
            assert!(text.lines().any(|l| l.split_whitespace().next() == Some(name)), "{what}: {name}");
        }
    }
    assert_eq!(run(&["list"]).stdout, run(&["list", "scenarios"]).stdout);
}

#[test]
fn one_of_each_kind_is_explained() {
    for id in EXPLAINED {
        snapshot(&format!("explain-{id}"), &run(&["explain", id]).result(&["explain", id]));
    }
}

#[test]
fn the_codes_and_what_they_mean_are_fixed() {
    let pages: Vec<String> = Code::ALL.iter().map(|c| run(&["explain", c.id()]).result(&[c.id()])).collect();
    snapshot("codes-explained", &pages.join("\n"));
    assert_eq!(run(&["explain", "pm0101"]).stdout, run(&["explain", "PM0101"]).stdout);
}

/// `docs/DIAGNOSTICS.md` has a section for each code, and shows what the program printed in one of these tests.
#[test]
fn the_page_of_diagnostics_is_what_the_program_says() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/DIAGNOSTICS.md")).unwrap();
    let printed: Vec<String> =
        std::fs::read_dir(root.join("tests/snapshots")).unwrap().map(|e| std::fs::read_to_string(e.unwrap().path()).unwrap()).collect();
    let sections: Vec<&str> = page.split("\n### ").skip(1).collect();
    let codes: Vec<&str> = sections.iter().map(|s| s.lines().next().unwrap()).collect();
    assert_eq!(codes, Code::ALL.iter().map(|c| c.id()).collect::<Vec<_>>());
    for (code, section) in Code::ALL.iter().zip(sections) {
        let severity = format!("{:?}", code.severity()).to_lowercase();
        assert!(section.contains(&format!("\n**{}** ({severity})\n", code.title())), "{code}: heading");
        let (_, example) = section.split_once("```text\n").unwrap_or_else(|| panic!("{code} has no example"));
        let (example, fix) = example.split_once("```\n").unwrap();
        assert!(example.starts_with(&format!("{severity}[{code}]: ")), "{code}: {example}");
        assert!(printed.iter().any(|p| p.contains(example)), "{code}: the program does not print\n{example}");
        assert!(fix.contains("**Fix.**"), "{code}: no fix");
    }
}

/// Everything that a list, a report or a sabotage names.
#[test]
fn whatever_is_named_anywhere_can_be_explained() {
    let catalog = cli::catalog::catalog();
    let mut ids: BTreeSet<&str> = Code::ALL.iter().map(|c| c.id()).collect();
    ids.extend(catalog.kinds.iter().map(|k| k.name));
    ids.extend(catalog.kinds.iter().flat_map(|k| k.sabotages.iter().copied().chain(k.on.iter().copied())));
    ids.extend(catalog.expectations.iter().map(|e| e.id));
    ids.extend(catalog.sabotages.iter().map(|s| s.name));
    ids.extend(catalog.sabotages.iter().flat_map(|s| s.caught_by.iter().copied().chain(s.scenarios.iter().copied())));
    ids.extend(FailureClass::ALL.iter().map(|c| c.word()));
    ids.extend(trust::DOUBTS.iter().map(|d| d.id));
    ids.extend(cli::shipped::SCENARIOS.iter().map(|(name, _)| *name));
    assert!(ids.len() > 100, "only {} names", ids.len());
    for id in ids {
        let page = run(&["explain", id]).result(&["explain", id]);
        let (heading, rest) = page.split_once("\n\n").unwrap_or_else(|| panic!("{id}: {page}"));
        assert!(heading.starts_with(id) && heading.ends_with(')'), "{id}: {heading}");
        assert!(rest.trim().len() > 30, "{id}: {rest}");
        let json = run(&["explain", id, "--format", "json"]).json();
        assert_eq!((&json["version"], &json["id"]), (&1.into(), &id.into()));
        assert_eq!(json["pages"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect::<Vec<_>>().join("\n"), page, "{id}");
    }
}

#[test]
fn completions_are_scripts_that_the_shell_can_read() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).result(&["completions", shell]);
        for command in subcommands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
    let script = run(&["completions", "bash"]).stdout;
    let mut bash = command("/bin/bash", &std::env::temp_dir()).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let ended = bash.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    // `bash -n` must be able to refuse: the same script, cut off, does not parse.
    let mut bash = command("/bin/bash", &std::env::temp_dir()).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(&script.as_bytes()[..script.len() / 2]).unwrap();
    assert!(!bash.wait_with_output().unwrap().status.success());
}
