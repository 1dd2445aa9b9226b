//! The command line: what was typed, and what it means. One file for each subcommand; `main.rs` only calls
//! [`main`].

pub mod catalog;
pub mod completions;
pub mod doctor;
pub mod drill;
pub mod exit;
pub mod explain;
pub mod falsify;
pub mod gc;
pub mod lint;
pub mod list;
pub mod out;
pub mod report;
pub mod shipped;
pub mod verify;

use clap::{Args, Parser, Subcommand, ValueEnum};
use exit::Exit;
use out::Out;

const EXAMPLES: &str = "Examples:
  passmuster drill                                    rehearse two real disasters, no Docker needed
  passmuster drill postgres-drop-table --sabotage archive-skips-segment
                                                      the same, broken on purpose: must end red
  passmuster drill --lab docker                       PostgreSQL and MinIO in containers
  passmuster falsify postgres-drop-table              every sabotage, and what caught it
  passmuster verify reports/runs                      compute every verdict again from its record
  passmuster doctor                                   what this machine has and lacks

Exit codes:
    0  everything asked for passed        10  something failed
    1  internal error                     11  something could not be judged
    2  usage, or invalid input            12  evidence does not verify
    3  nothing was selected              130  interrupted, after clean-up

What a word means: passmuster explain WORD (a code, a fault, a sabotage, an expectation, …)";

/// Makes recovery promises testable: rehearses disasters for real, measures RTO and loss from acknowledged
/// writes, and keeps evidence that can be recomputed.
#[derive(Debug, Parser)]
#[command(name = "passmuster", bin_name = "passmuster", version, about, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "For every command")]
pub struct Common {
    /// How results are written
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// When colour is used; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Say less: results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: every event of a run
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[value(help = NO_HELP)]
    Human,
    /// For programs.
    #[value(help = NO_HELP)]
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal.
    #[value(help = NO_HELP)]
    Auto,
    /// Always.
    #[value(help = NO_HELP)]
    Always,
    /// Never.
    #[value(help = NO_HELP)]
    Never,
}

/// Values that explain themselves: with a text for each, `--help` takes three times the room.
pub(crate) const NO_HELP: Option<&'static str> = None;

#[derive(Debug, Subcommand)]
enum Command {
    /// Run drills now; with no name, the two first-light drills
    Drill(drill::DrillArgs),
    /// Show that green can go red: every sabotage, and what caught it
    Falsify(falsify::FalsifyArgs),
    /// Read and cross-check files; touches nothing else
    Lint(lint::LintArgs),
    /// Compute the verdict of kept runs again, from the raw record
    Verify(verify::VerifyArgs),
    /// Render the evidence of a run
    Report(report::ReportArgs),
    /// What there is: scenarios, faults, probes, sabotages, expectations, …
    List(list::ListArgs),
    /// What one thing means: a code, a fault, a probe, a sabotage, an expectation, a scenario
    Explain(explain::ExplainArgs),
    /// What this machine has and lacks for each lab and system, and the command that adds it
    Doctor(doctor::DoctorArgs),
    /// Remove what a killed run left behind
    Gc(gc::GcArgs),
    /// Completions for a shell
    Completions(completions::CompletionsArgs),
}

/// Parses the command line and does what it says.
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are answers; everything else is a usage error.
            let code = if e.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = e.print();
            return code.into();
        }
    };
    let mut out = Out::new(cli.common.clone());
    let exit = run(cli.command, &mut out);
    Exit::worst([exit, out.written()]).into()
}

fn run(command: Command, out: &mut Out) -> Exit {
    match command {
        Command::Drill(args) => drill::run(&args, out),
        Command::Falsify(args) => falsify::run(&args, out),
        Command::Lint(args) => lint::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Report(args) => report::run(&args, out),
        Command::List(args) => list::run(&args, out),
        Command::Explain(args) => explain::run(&args, out),
        Command::Doctor(args) => doctor::run(&args, out),
        Command::Gc(args) => gc::run(&args, out),
        Command::Completions(args) => completions::run(&args, out),
    }
}

/// The command line as clap sees it, for completions and docs.
pub fn command() -> clap::Command {
    use clap::CommandFactory;
    Cli::command()
}
