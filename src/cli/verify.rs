//! `verify`: the verdict of kept runs, computed again from the raw record.

use super::drill::reason;
use super::exit::Exit;
use super::out::Out;
use crate::evidence::bundle::is_run;
use crate::evidence::verify::verify;
use clap::Args;
use serde::Serialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  passmuster verify                          every run below reports/runs
  passmuster verify evidence/20261121T172800Z-21b337af

Nothing needs to be running. Exit codes: 0 every run verifies, whatever its outcome was; 12 one
does not; 11 one is unfinished: under way, or killed; 2 a path is not there; 3 no run was found.";

/// What `verify` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// Directories of runs, or directories that hold some; `reports/runs` if none is named
    pub paths: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Line {
    directory: String,
    run: Option<String>,
    outcome: Option<String>,
    verifies: bool,
    /// Its run is under way, or was killed: there is nothing to verify yet.
    unfinished: bool,
    differences: Vec<String>,
}

/// Runs the command.
pub fn run(args: &VerifyArgs, out: &mut Out) -> Exit {
    let mut lines = Vec::new();
    let found = runs(&args.paths, out);
    for dir in &found.runs {
        let name = dir.display().to_string();
        lines.push(match verify(dir) {
            Ok(v) => Line {
                directory: name,
                run: Some(v.again.run.clone()),
                // What a record that is not whole seems to say is no outcome.
                outcome: (!v.unfinished).then(|| v.again.verdict.outcome.word().into()),
                verifies: !v.unfinished && v.differences.is_empty(),
                unfinished: v.unfinished,
                differences: v.differences,
            },
            Err(e) => Line { directory: name, run: None, outcome: None, verifies: false, unfinished: false, differences: vec![e.to_string()] },
        });
    }
    if out.json() {
        let text = serde_json::to_string_pretty(&serde_json::json!({"version": 1, "runs": lines})).unwrap_or_default();
        out.data(&(text + "\n"));
    } else {
        let style = out.style();
        let mut text = String::new();
        for line in &lines {
            let word = match (line.verifies, line.unfinished) {
                (true, _) => style.good("verifies"),
                (false, true) => style.doubtful("UNFINISHED"),
                (false, false) => style.bad("DOES NOT VERIFY"),
            };
            text.push_str(&format!("{word}  {}  {}\n", line.outcome.as_deref().unwrap_or("-"), line.directory));
            line.differences.iter().for_each(|d| text.push_str(&format!("  {d}\n")));
        }
        out.data(&text);
    }
    let exits = lines.iter().map(|l| match (l.verifies, l.unfinished) {
        (true, _) => Exit::Ok,
        (false, true) => Exit::Undecided,
        (false, false) => Exit::Unverified,
    });
    Exit::worst(found.exit.into_iter().chain(exits).chain([Exit::Ok]))
}

/// Directories of runs, and what was wrong with the paths that were to hold some.
pub struct Runs {
    /// They, sorted below each path.
    pub runs: Vec<PathBuf>,
    /// How it must end on account of paths without any.
    pub exit: Option<Exit>,
}

/// Where drills write by default.
const DEFAULT: &str = "reports/runs";

/// The runs at or directly below paths. A path without any is said, so that nothing is passed over in silence.
pub fn runs(paths: &[PathBuf], out: &mut Out) -> Runs {
    let default = [PathBuf::from(DEFAULT)];
    let named = if paths.is_empty() { &default[..] } else { paths };
    let mut found = Runs { runs: Vec::new(), exit: None };
    let mut bad = Vec::new();
    for path in named {
        match below(path) {
            Ok(runs) if runs.is_empty() => {
                out.error(&format!("there is no run in {}", path.display()), Some("give the directory of a run, or one that holds some"));
                bad.push(Exit::Nothing);
            }
            Ok(runs) => found.runs.extend(runs),
            Err(e) if paths.is_empty() && e.kind() == ErrorKind::NotFound => {
                out.error(&format!("there is no {DEFAULT} here"), Some("`passmuster drill` writes there; name the directory if it was told another"));
                bad.push(Exit::Nothing);
            }
            Err(e) => {
                out.error(&format!("{} cannot be read: {}", path.display(), reason(&e)), Some("give the directory of a run, or one that holds some"));
                bad.push(Exit::Usage);
            }
        }
    }
    found.exit = (!bad.is_empty()).then(|| Exit::worst(bad));
    found
}

/// The path itself if it is a run, else the runs in it.
fn below(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if is_run(path) {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if is_run(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
