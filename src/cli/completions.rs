//! `completions`: completions for a shell.

use super::exit::Exit;
use super::out::Out;
use clap::Args;
use clap_complete::Shell;

const EXAMPLES: &str = "Examples:
  source <(passmuster completions bash)
  passmuster completions zsh > ~/.zfunc/_passmuster
  passmuster completions fish > ~/.config/fish/completions/passmuster.fish";

/// What `completions` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
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
