//! `completions`: completions for a shell.

use super::exit::Exit;
use super::out::Out;
use clap::Args;
use clap_complete::Shell;

/// What `completions` takes.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: Shell,
}

/// Runs the command.
pub fn run(args: &CompletionsArgs, out: &mut Out) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "passmuster", &mut text);
    out.data(&String::from_utf8_lossy(&text));
    Exit::Ok
}
