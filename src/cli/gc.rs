//! `gc`: removes what a killed run left behind.

use super::drill::runtime;
use super::exit::Exit;
use super::lint::counted;
use super::out::Out;
use crate::harness::lab::journal::{scratch_base, scratch_path, sweep};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  passmuster gc --dry-run    what a killed run left behind
  passmuster gc              removes it: processes, directories, containers, volumes, networks

Runs that are still alive are left alone.";

/// What `gc` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct GcArgs {
    /// Directory that was given as `--scratch`
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs the command.
pub fn run(args: &GcArgs, out: &mut Out) -> Exit {
    if let Some(dir) = args.scratch.as_deref().filter(|d| !d.is_dir()) {
        out.error(&format!("there is no directory {}", dir.display()), Some("give the directory that the drill was given as `--scratch`"));
        return Exit::Usage;
    }
    let Some(runtime) = runtime(out) else { return Exit::Internal };
    let scratch = args.scratch.as_deref();
    let swept = match scratch_path(scratch).is_dir() {
        true => scratch_base(scratch).and_then(|base| runtime.block_on(sweep(&base, args.dry_run))),
        false => Ok(Vec::new()),
    };
    let swept = match swept {
        Ok(swept) => swept,
        Err(e) => {
            out.error(&e.to_string(), e.hint().as_deref());
            return Exit::Undecided;
        }
    };
    if out.json() {
        let text = serde_json::to_string_pretty(&serde_json::json!({"version": 1, "dry_run": args.dry_run, "runs": swept})).unwrap_or_default();
        out.data(&(text + "\n"));
    } else {
        let mut text = String::new();
        for run in &swept {
            let verb = if args.dry_run { "would remove" } else { "removed" };
            text.push_str(&format!("{}: {verb} {}\n", run.run, run.removed.join(", ")));
            run.left.iter().for_each(|l| text.push_str(&format!("  left: {l}\n")));
        }
        out.data(&text);
        let nothing = if swept.is_empty() { ": nothing to do" } else { "" };
        out.say(&format!("{}{nothing}", counted(swept.len(), "dead run")));
    }
    if swept.iter().all(|s| s.left.is_empty()) { Exit::Ok } else { Exit::Undecided }
}
