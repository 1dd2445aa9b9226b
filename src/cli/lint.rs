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
