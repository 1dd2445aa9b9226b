//! `verify`: the verdict of kept runs, computed again from the raw record.

use super::exit::Exit;
use super::out::Out;
use crate::evidence::verify::verify;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `verify` takes.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Directories of runs, or directories that hold some
    #[arg(default_value = "reports/runs")]
    pub paths: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Line {
    directory: String,
    run: Option<String>,
    outcome: Option<String>,
    verifies: bool,
    differences: Vec<String>,
}

/// Runs the command.
pub fn run(args: &VerifyArgs, out: &mut Out) -> Exit {
    let mut lines = Vec::new();
    for path in &args.paths {
        for dir in runs(path) {
            let name = dir.display().to_string();
            lines.push(match verify(&dir) {
                Ok(v) => Line {
                    directory: name,
                    run: Some(v.again.run.clone()),
                    outcome: Some(v.again.verdict.outcome.word().into()),
                    verifies: v.differences.is_empty(),
                    differences: v.differences,
                },
                Err(e) => Line { directory: name, run: None, outcome: None, verifies: false, differences: vec![e.to_string()] },
            });
        }
    }
    if out.json() {
        let text = serde_json::to_string_pretty(&serde_json::json!({"version": 1, "runs": lines})).unwrap_or_default();
        out.data(&(text + "\n"));
    } else {
        let style = out.style();
        let mut text = String::new();
        for line in &lines {
            let word = if line.verifies { style.good("verifies") } else { style.bad("DOES NOT VERIFY") };
            text.push_str(&format!("{word}  {}  {}\n", line.outcome.as_deref().unwrap_or("-"), line.directory));
            line.differences.iter().for_each(|d| text.push_str(&format!("  {d}\n")));
        }
        out.data(&text);
    }
    if lines.is_empty() {
        out.error("no evidence was found", Some("give the directory of a run, or one that holds some; `passmuster drill` writes to reports/runs"));
        return Exit::Nothing;
    }
    if lines.iter().all(|l| l.verifies) { Exit::Ok } else { Exit::Unverified }
}

/// The path itself if it is a run, else the runs in it, sorted.
pub fn runs(path: &Path) -> Vec<PathBuf> {
    let is_run = |p: &Path| p.join("events.jsonl").exists() || p.join("plan.json").exists();
    if is_run(path) {
        return vec![path.to_path_buf()];
    }
    let Ok(entries) = std::fs::read_dir(path) else { return vec![path.to_path_buf()] };
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_run(p)).collect();
    found.sort();
    found
}
