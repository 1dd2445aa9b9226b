//! Diagnostics: what is wrong with a text, where, and how to mend it.

use super::codes::Code;
use super::secrecy;
use super::source::{SourceId, Sources, Span};
use serde::Serialize;
use std::collections::BTreeMap;

/// Most findings that are kept about one text: what makes more is one mistake, or hostile.
pub const MAX_PER_SOURCE: usize = 100;

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
    /// A diagnostic about one place, with the severity of its code.
    pub fn new(code: Code, message: impl Into<String>, span: Span) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
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

/// All diagnostics of one invocation.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
    per_source: BTreeMap<SourceId, usize>,
    left_out: Vec<Severity>,
    concealed: Vec<Span>,
}

impl Diagnostics {
    /// Adds one. The same finding at the same place (one `--set` for several scenarios) is kept once.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let same = |d: &Diagnostic| d.code == diagnostic.code && d.span() == diagnostic.span() && d.message == diagnostic.message;
        let source = diagnostic.span().source;
        if self.is_full(source) {
            self.leave_out(diagnostic.severity);
        } else if !self.all.iter().any(same) {
            *self.per_source.entry(source).or_default() += 1;
            self.all.push(diagnostic);
        }
    }

    /// Whether a text has so many findings that further ones are only counted.
    pub fn is_full(&self, source: SourceId) -> bool {
        self.per_source.get(&source).is_some_and(|count| *count >= MAX_PER_SOURCE)
    }

    /// Counts a finding that is not kept.
    pub fn leave_out(&mut self, severity: Severity) {
        self.left_out.push(severity);
    }

    /// Takes all of another collection.
    pub fn extend(&mut self, other: Diagnostics) {
        other.all.into_iter().for_each(|d| self.push(d));
        self.left_out.extend(other.left_out);
        self.concealed.extend(other.concealed);
    }

    /// A place that holds a secret: it is masked wherever its text is shown.
    pub fn conceal(&mut self, span: Span) {
        self.concealed.push(span);
    }

    /// Places that hold secrets.
    pub fn concealed(&self) -> &[Span] {
        &self.concealed
    }

    /// How many findings were left out, because a text had too many.
    pub fn left_out(&self) -> usize {
        self.left_out.len()
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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether anything makes the text unusable.
    pub fn has_errors(&self) -> bool {
        self.severities().any(|s| s == Severity::Error)
    }

    /// Whether a promise in the text cannot hold.
    pub fn has_contradictions(&self) -> bool {
        self.severities().any(|s| s == Severity::Contradiction)
    }

    fn severities(&self) -> impl Iterator<Item = Severity> {
        self.all.iter().map(|d| d.severity).chain(self.left_out.iter().copied())
    }
}

/// The candidate nearest to what was typed, if it is near enough to be what was meant.
///
/// Damerau-Levenshtein distance (optimal string alignment), at most a third of the length.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing that can be meant is so long, and the distance costs time and memory.
    if typed.is_empty() || typed.len() > 100 {
        return None;
    }
    let limit = (typed.chars().count() / 3).max(1);
    candidates.into_iter().map(|c| (distance(typed, c), c)).filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

/// What was written, for a message: in backticks, short, without control characters and secrets.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let start: String = text.chars().take(4 * SHOWN).collect();
    let masked: String = secrecy::masked(&start).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match masked.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &masked[..end]),
        None => format!("`{masked}`"),
    }
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
        assert_eq!(did_you_mean("", ["a"]), None);
    }

    #[test]
    fn what_is_quoted_is_short_and_harmless() {
        assert_eq!(quoted("wal"), "`wal`");
        assert_eq!(quoted(&"x".repeat(1 << 20)), format!("`{}…`", "x".repeat(60)));
        assert_eq!(quoted("a\x1b[31mb"), "`a\u{fffd}[31mb`");
        assert!(!quoted("AGE-SECRET-KEY-1CANARY").contains("CANARY"));
    }

    #[test]
    fn a_text_with_too_many_findings_still_has_errors() {
        let mut diags = Diagnostics::default();
        let at = |i: u32| Span { start: i, end: i, ..Span::default() };
        (0..150).for_each(|i| diags.push(Diagnostic::new(Code::UnknownKey, "x", at(i))));
        diags.push(Diagnostic::new(Code::RpoBelowWorstCase, "x", at(0)));
        assert_eq!((diags.len(), diags.left_out()), (MAX_PER_SOURCE, 51));
        assert!(diags.has_errors() && diags.has_contradictions());
    }
}
