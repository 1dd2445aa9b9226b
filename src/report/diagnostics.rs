//! Diagnostics as text, with the place underlined.

use super::style::Style;
use crate::model::diag::{Diagnostic, Diagnostics, Label, Severity};
use crate::model::secrecy;
use crate::model::source::{Source, SourceId, Sources, Span};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;
use std::ops::Range;

/// Most bytes of a text that one finding shows.
const SHOWN: usize = 16 << 10;

/// All diagnostics for people, in the order of the text.
pub fn human(diags: &Diagnostics, sources: &Sources, style: Style) -> String {
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii).term_width(style.width);
    let mut out = String::new();
    for d in diags.sorted(sources) {
        out.push_str(&one(d, diags.concealed(), sources, &renderer));
        out.push_str("\n\n");
    }
    if diags.left_out() > 0 {
        out.push_str(&format!("and {} more, which are not shown\n\n", diags.left_out()));
    }
    let mut codes: Vec<&str> = diags.iter().map(|d| d.code.id()).collect();
    codes.sort_unstable();
    codes.dedup();
    out.push_str(&match codes.as_slice() {
        [] => String::new(),
        [one] => format!("more about it: passmuster explain {one}\n"),
        several => format!("more about each: passmuster explain CODE ({})\n", several.join(", ")),
    });
    out
}

fn one(d: &Diagnostic, concealed: &[Span], sources: &Sources, renderer: &Renderer) -> String {
    let level = match d.severity {
        Severity::Error => Level::ERROR,
        Severity::Contradiction => Level::ERROR.with_name("contradiction"),
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = level.primary_title(d.message.clone()).id(d.code.id()).elements(Vec::<annotate_snippets::Message<'_>>::new());
    // Labels of one text share a snippet.
    let mut by_source: Vec<(SourceId, Vec<&Label>)> = Vec::new();
    for label in &d.labels {
        match by_source.iter_mut().find(|(id, _)| *id == label.span.source) {
            Some((_, labels)) => labels.push(label),
            None => by_source.push((label.span.source, vec![label])),
        }
    }
    // Where a line was cut at its beginning, the renderer counts the column from there.
    let mut places: Vec<(String, String)> = Vec::new();
    for (id, labels) in by_source {
        let source = sources.get(id);
        let name = printable(&source.name);
        let Some(first) = labels.first().filter(|_| !source.text.is_empty()) else {
            group = group.element(Origin::path(name));
            continue;
        };
        let window = window(source, &labels);
        let line = source.place(window.start).line;
        if source.lines(window.start, window.start).start != window.start {
            let start = first.span.start as usize;
            let wrong = source.text.get(window.start..start).map_or(0, |s| s.chars().count()) + 1;
            places.push((format!("{name}:{line}:{wrong}"), format!("{name}:{}", source.place(start))));
        }
        let mut snippet = Snippet::source(text(source, id, &window, concealed)).path(name).line_start(line);
        for label in labels {
            let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let (start, end) = (label.span.start as usize, (label.span.end as usize).max(label.span.start as usize));
            if start > window.end || start < window.start {
                continue;
            }
            let range = start - window.start..end.min(window.end).max(start) - window.start;
            snippet = snippet.annotation(kind.span(range).label((!label.text.is_empty()).then(|| label.text.clone())));
        }
        group = group.element(snippet);
    }
    for note in &d.notes {
        group = group.element(Level::NOTE.message(note.clone()));
    }
    if let Some(help) = &d.help {
        group = group.element(Level::HELP.message(help.clone()));
    }
    let mut text = renderer.render(&[group]);
    if d.labels.iter().all(|l| sources.get(l.span.source).text.is_empty()) {
        // Without a line of text there is no margin: indent as everywhere else.
        text = text.replace("\n", "\n ");
    }
    places.iter().fold(text, |text, (wrong, right)| text.replacen(wrong, right, 1))
}

/// The lines that the labels touch; of very much text, only what lies around the first label.
fn window(source: &Source, labels: &[&Label]) -> Range<usize> {
    let len = source.text.len();
    let from = labels.iter().map(|l| l.span.start as usize).min().unwrap_or(0).min(len);
    let to = labels.iter().map(|l| l.span.end as usize).max().unwrap_or(0).clamp(from, len);
    let lines = source.lines(from, to);
    if lines.len() <= SHOWN {
        return lines;
    }
    let start = labels.first().map_or(0, |l| l.span.start as usize).min(len);
    let line = source.lines(start, start);
    let boundary = |at: usize| (0..=at).rev().find(|i| source.text.is_char_boundary(*i)).unwrap_or(0);
    boundary(start.saturating_sub(SHOWN / 8)).max(line.start)..boundary((start + SHOWN / 4).min(line.end))
}

/// The text of a window, with secrets masked.
fn text(source: &Source, id: SourceId, window: &Range<usize>, concealed: &[Span]) -> String {
    let hidden: Vec<Range<usize>> = concealed.iter().filter(|s| s.source == id).map(|s| s.start as usize..s.end as usize).collect();
    let shown = secrecy::masked(source.text.get(window.clone()).unwrap_or(""));
    secrecy::apply(&shown, |at| hidden.iter().any(|range| range.contains(&(at + window.start))))
}

/// A file's name without what would move the cursor.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A diagnostic as programs read it.
#[derive(Debug, Serialize)]
pub struct DiagnosticView {
    /// Stable code.
    pub code: String,
    /// `error`, `contradiction`, `warning`, `note`.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Context and arithmetic.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// Other places: file, line, column, text.
    pub also: Vec<(String, usize, usize, String)>,
}

/// All diagnostics for programs.
pub fn views(diags: &Diagnostics, sources: &Sources) -> Vec<DiagnosticView> {
    let of = |d: &&Diagnostic| {
        let place = sources.place(d.span());
        let also = d.labels.iter().skip(1).map(|l| {
            let p = sources.place(l.span);
            (sources.get(l.span.source).name.to_string(), p.line, p.column, l.text.clone())
        });
        DiagnosticView {
            code: d.code.id().into(),
            severity: d.severity,
            message: d.message.clone(),
            file: sources.get(d.span().source).name.to_string(),
            line: place.line,
            column: place.column,
            notes: d.notes.clone(),
            help: d.help.clone(),
            also: also.collect(),
        }
    };
    diags.sorted(sources).iter().map(of).collect()
}
