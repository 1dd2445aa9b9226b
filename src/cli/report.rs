//! `report`: renders the evidence of runs.

use super::exit::Exit;
use super::out::Out;
use super::verify::runs;
use crate::evidence::{bundle, verify};
use crate::report;
use clap::Args;
use std::path::PathBuf;

/// What `report` takes.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Directories of runs, or directories that hold some
    #[arg(default_value = "reports/runs")]
    pub paths: Vec<PathBuf>,
    /// Write the page to this file instead of showing text (one run)
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &ReportArgs, out: &mut Out) -> Exit {
    let mut views = Vec::new();
    let mut exit = Vec::new();
    for dir in args.paths.iter().flat_map(|p| runs(p)) {
        let record = match bundle::load(&dir) {
            Ok(record) => record,
            Err(e) => {
                out.error(&e.to_string(), None);
                exit.push(Exit::Unverified);
                continue;
            }
        };
        let view = verify::recompute(&record);
        if let Some(file) = &args.html {
            let written =
                report::html::run(&record, &view).and_then(|page| std::fs::write(file, page).map_err(|e| format!("write {}: {e}", file.display())));
            if let Err(e) = written {
                out.error(&e, None);
                return Exit::Internal;
            }
        } else if !out.json() {
            let text = report::terminal::run(&view, Some(&dir.join("report.html").display().to_string()), out.style());
            out.data(&text);
        }
        exit.push(Exit::Ok);
        views.push(view);
    }
    if out.json() {
        let text = report::json::runs(&views);
        out.data(&text);
    }
    if exit.is_empty() {
        out.error("no evidence was found", Some("give the directory of a run, or one that holds some"));
    }
    Exit::worst(exit)
}
