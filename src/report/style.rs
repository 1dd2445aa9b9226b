//! Colour and symbols on a terminal. Everything is readable without: a word always says what a colour does.

use crate::verdict::Outcome;

/// How text is decorated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Style {
    /// No colour, 100 columns: for files and pipes.
    pub const PLAIN: Style = Style { colour: false, width: 100 };

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// Strong text.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Less important text.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Something good.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Something bad.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Something undecided.
    pub fn doubtful(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// An outcome's word.
    pub fn outcome(self, outcome: Outcome) -> String {
        let word = outcome.word();
        match outcome {
            Outcome::Pass => self.good(word),
            Outcome::Fail | Outcome::Error => self.bad(word),
            Outcome::Inconclusive | Outcome::Skipped => self.doubtful(word),
        }
    }
}
