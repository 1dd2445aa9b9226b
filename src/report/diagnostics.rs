//! Diagnostics as text, with the place underlined.

use super::style::Style;
use crate::model::diag::{Diagnostic, Diagnostics, Severity};
use crate::model::source::Sources;
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

/// Most diagnostics that are shown to people.
const SHOWN: usize = 100;

/// The diagnostics for people, in the order of the text.
pub fn human(diags: &Diagnostics, sources: &Sources, style: Style) -> String {
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii).term_width(style.width);
    let mut out = String::new();
    for d in diags.sorted(sources).into_iter().take(SHOWN) {
        out.push_str(&one(d, sources, &renderer));
        out.push_str("\n\n");
    }
    if diags.len() > SHOWN {
        out.push_str(&format!("and {} more findings that are not shown\n\n", diags.len() - SHOWN));
    }
    out
}

fn one(d: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match d.severity {
        Severity::Error => Level::ERROR,
        Severity::Contradiction => Level::ERROR.with_name("contradiction"),
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = level.primary_title(d.message.clone()).id(d.code.id()).elements(Vec::<annotate_snippets::Message<'_>>::new());
    // Labels of one text share a snippet.
    let mut by_source: Vec<(crate::model::source::SourceId, Vec<&crate::model::diag::Label>)> = Vec::new();
    for label in &d.labels {
        match by_source.iter_mut().find(|(id, _)| *id == label.span.source) {
            Some((_, labels)) => labels.push(label),
            None => by_source.push((label.span.source, vec![label])),
        }
    }
    for (id, labels) in by_source {
        let source = sources.get(id);
        let mut snippet = Snippet::source(&*source.text).path(&*source.name).line_start(1);
        for label in labels {
            let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let (start, end) = (label.span.start as usize, (label.span.end as usize).max(label.span.start as usize));
            snippet = snippet.annotation(kind.span(start.min(source.text.len())..end.min(source.text.len())).label(label.text.clone()));
        }
        group = group.element(snippet);
    }
    for note in &d.notes {
        group = group.element(Level::NOTE.message(note.clone()));
    }
    if let Some(help) = &d.help {
        group = group.element(Level::HELP.message(help.clone()));
    }
    renderer.render(&[group])
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
