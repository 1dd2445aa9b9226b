//! Diagnostics: what is wrong with a text, where, and how to mend it.

use super::codes::Code;
use super::source::{Sources, Span};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; changes nothing.
    Note,
    /// Suspicious, or an interval too wide to decide.
    Warning,
    /// The text is readable, and the promise in it cannot hold.
    Contradiction,
    /// The text cannot be used.
    Error,
}

/// A place that a diagnostic points at.
#[derive(Debug, Clone)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to say under it; may be empty.
    pub text: String,
    /// The place the diagnostic is about, or one that explains it.
    pub primary: bool,
}

/// One finding about a text.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Stable code; its page is `explain CODE`.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, no full stop.
    pub message: String,
    /// Places, the primary one first.
    pub labels: Vec<Label>,
    /// How the arithmetic went, if there was any.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic about one place, with the severity of its code. A message that repeats a very long text is cut.
    pub fn new(code: Code, message: impl Into<String>, span: Span) -> Self {
        const LONGEST: usize = 400;
        let mut message = message.into();
        if message.len() > LONGEST {
            message.truncate(message.floor_char_boundary(LONGEST));
            message.push('…');
        }
        Self {
            code,
            severity: code.severity(),
            message,
            labels: vec![Label { span, text: String::new(), primary: true }],
            notes: Vec::new(),
            help: None,
        }
    }

    /// Says something under the primary place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some(first) = self.labels.first_mut() {
            first.text = text.into();
        }
        self
    }

    /// Points at a second place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds a line of arithmetic or context.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// The primary place.
    pub fn span(&self) -> Span {
        self.labels.first().map(|l| l.span).unwrap_or_default()
    }
}

/// Most diagnostics that are kept; the rest is counted. Nobody reads more, and each costs a search for its place.
const KEPT: usize = 500;

/// All diagnostics of one invocation.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
    errors: usize,
    contradictions: usize,
    left_out: usize,
}

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.contradictions += usize::from(diagnostic.severity == Severity::Contradiction);
        if self.all.len() < KEPT {
            self.all.push(diagnostic);
        } else {
            self.left_out += 1;
        }
    }

    /// Takes all of another collection.
    pub fn extend(&mut self, other: Diagnostics) {
        self.all.extend(other.all);
        self.errors += other.errors;
        self.contradictions += other.contradictions;
        self.left_out += other.left_out;
    }

    /// In the order of the text, worst first at one place.
    pub fn sorted(&self, sources: &Sources) -> Vec<&Diagnostic> {
        let mut all: Vec<_> = self.all.iter().collect();
        all.sort_by(|a, b| {
            let key = |d: &Diagnostic| (sources.get(d.span().source).name.clone(), d.span().start);
            key(a).cmp(&key(b)).then(b.severity.cmp(&a.severity)).then(a.code.cmp(&b.code))
        });
        all
    }

    /// Every diagnostic, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.all.iter()
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.all.len() + self.left_out
    }

    /// How many of them are not kept.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// How many make the text unusable.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether anything makes the text unusable.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether a promise in the text cannot hold.
    pub fn has_contradictions(&self) -> bool {
        self.contradictions > 0
    }
}

/// The candidate nearest to what was typed, if it is near enough to be what was meant.
///
/// Damerau-Levenshtein distance (optimal string alignment), at most a third of the length. A text that is longer than any
/// name is no slip of the finger, and would take long to compare.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 200;
    let limit = (typed.chars().count() / 3).max(1);
    let near = candidates.into_iter().filter(|c| typed.len().max(c.len()) <= LONGEST).map(|c| (distance(typed, c), c));
    near.filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant_and_nothing_far_fetched() {
        let known = ["archive_timeout", "data", "version"];
        assert_eq!(did_you_mean("archive_timout", known), Some("archive_timeout"));
        assert_eq!(did_you_mean("adta", known), Some("data"));
        assert_eq!(did_you_mean("colour", known), None);
    }
}
