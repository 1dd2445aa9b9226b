//! Where results and messages go: data on standard output, everything else on standard error.

use super::exit::Exit;
use super::{Colour, Common, Format};
use crate::report::style::Style;
use std::io::{IsTerminal, Write};

/// The two streams, and how to write to them.
pub struct Out {
    /// What was typed.
    pub common: Common,
    unwritten: Option<std::io::Error>,
}

impl Out {
    /// For what was typed.
    pub fn new(common: Common) -> Out {
        Out { common, unwritten: None }
    }

    /// Whether programs read the results.
    pub fn json(&self) -> bool {
        self.common.format == Format::Json
    }

    /// Style of standard output.
    pub fn style(&self) -> Style {
        Style { colour: self.colour(std::io::stdout().is_terminal()), width: width() }
    }

    /// Style of standard error.
    pub fn error_style(&self) -> Style {
        Style { colour: self.colour(std::io::stderr().is_terminal()), width: width() }
    }

    fn colour(&self, terminal: bool) -> bool {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        match self.common.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !no_color && std::env::var_os("TERM").is_none_or(|t| t != "dumb"),
        }
    }

    /// Writes a result. A reader that went away (`| head`) is no error.
    pub fn data(&mut self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => self.unwritten = Some(e),
            _ => {}
        }
    }

    /// Whether all results could be written; says so if not. A result that nobody has is no success.
    pub fn written(&mut self) -> Exit {
        match self.unwritten.take() {
            None => Exit::Ok,
            Some(e) => {
                self.error(&format!("the result could not be written to standard output: {e}"), None);
                Exit::Internal
            }
        }
    }

    /// Writes a message for people.
    pub fn say(&mut self, text: &str) {
        if !self.common.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Writes an error, and apart from it what to do.
    pub fn error(&mut self, message: &str, hint: Option<&str>) {
        let style = self.error_style();
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "{} {message}", style.bold(&style.bad("error:")));
        if let Some(hint) = hint {
            let _ = writeln!(stderr, "\n{} {hint}", style.bold("what to do:"));
        }
    }
}

/// Columns of the terminal, from COLUMNS where a shell exports it.
fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    columns.unwrap_or(110).clamp(60, 160)
}
