//! `report`: renders the evidence of runs.

use super::drill::reason;
use super::exit::Exit;
use super::out::Out;
use super::verify::runs;
use crate::evidence::{bundle, verify};
use crate::report;
use clap::Args;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  passmuster report evidence/20261121T172800Z-21b337af
  passmuster report evidence/20261121T172800Z-21b337af --html page.html
  passmuster report evidence/20261121T172800Z-21b337af --format json

The verdict is computed again from the record, with nothing running. Exit codes: 0 all could be
rendered, whatever the outcome was; 12 a record cannot be read; 2 a path is not there; 3 no run
was found.";

/// What `report` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// Directories of runs, or directories that hold some; `reports/runs` if none is named
    pub paths: Vec<PathBuf>,
    /// Write the page of one run to this file instead of showing text
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &ReportArgs, out: &mut Out) -> Exit {
    let mut views = Vec::new();
    let mut exit = Vec::new();
    let found = runs(&args.paths, out);
    exit.extend(found.exit);
    if args.html.is_some() && found.runs.len() > 1 {
        out.error(&format!("{} runs do not fit into one page", found.runs.len()), Some("name the directory of one run with `--html`"));
        return Exit::Usage;
    }
    for dir in &found.runs {
        let record = match bundle::load(dir) {
            Ok(record) => record,
            Err(e) => {
                out.error(&e.to_string(), None);
                exit.push(Exit::Unverified);
                continue;
            }
        };
        let view = verify::recompute(&record);
        if let Some(file) = &args.html {
            let written = report::html::run(&record, &view).map(|page| std::fs::write(file, page));
            match written {
                Ok(Ok(())) => {}
                Ok(Err(e)) => {
                    out.error(&format!("{} cannot be written: {}", file.display(), reason(&e)), Some("name another file with `--html`"));
                    return Exit::Usage;
                }
                Err(defect) => {
                    out.error(&defect, None);
                    return Exit::Internal;
                }
            }
        } else if !out.json() {
            let text = report::terminal::run(&view, page(dir).as_deref(), out.style());
            out.data(&text);
        }
        exit.push(Exit::Ok);
        views.push(view);
    }
    if out.json() {
        let text = report::json::runs(&views);
        out.data(&text);
    }
    Exit::worst(exit)
}

/// The page beside the record, if it is there.
fn page(dir: &Path) -> Option<String> {
    let page = dir.join("report.html");
    page.is_file().then(|| page.display().to_string())
}
