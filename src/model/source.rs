//! Source texts and places in them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Index of a source in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SourceId(pub u32);

/// A half-open byte range in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The source that the range is in.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A value and the place where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Pairs a value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place, another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), span: self.span }
    }
}

/// One text with the name under which people know it (a path, `--set`, `<embedded>/…`).
#[derive(Debug, Clone)]
pub struct Source {
    /// Name shown in diagnostics.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
    line_starts: Vec<u32>,
}

/// A line and column, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// All texts of one invocation.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    all: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its id.
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> SourceId {
        let text: Arc<str> = text.into();
        let mut line_starts = vec![0];
        line_starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        self.all.push(Source { name: name.into(), text, line_starts });
        SourceId(self.all.len() as u32 - 1)
    }

    /// The source of an id that this registry gave out.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.all[id.0 as usize]
    }

    /// Every source, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.all.iter()
    }

    /// Line and column where the span starts.
    pub fn place(&self, span: Span) -> Place {
        self.get(span.source).place(span.start as usize)
    }

    /// The first character of a span: where something is that lacks something.
    pub fn first_character(&self, span: Span) -> Span {
        let len = self.slice(span).chars().next().map_or(0, char::len_utf8);
        Span { end: span.start + len as u32, ..span }
    }

    /// The text under the span.
    pub fn slice(&self, span: Span) -> &str {
        let text = &self.get(span.source).text;
        text.get(span.start as usize..span.end as usize).unwrap_or("")
    }
}

impl Source {
    /// Line and column of a byte offset.
    pub fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start as usize <= offset).max(1);
        let start = self.line_starts[line - 1] as usize;
        let column = self.text.get(start..offset).map_or(0, |s| s.chars().count()) + 1;
        Place { line, column }
    }

    /// The bytes of the whole lines that a range of bytes touches, without the last line break.
    pub fn lines(&self, from: usize, to: usize) -> Range<usize> {
        let at = |offset: usize| self.line_starts.partition_point(|start| *start as usize <= offset).max(1) - 1;
        let (first, last) = (at(from), at(to.saturating_sub(1).max(from)));
        let end = self.line_starts.get(last + 1).map_or(self.text.len(), |next| *next as usize - 1);
        let start = self.line_starts[first] as usize;
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let mut sources = Sources::default();
        let id = sources.add("x", "a\nüb: 1\n");
        let at = |start| sources.place(Span { source: id, start, end: start + 1 });
        assert_eq!(at(0), Place { line: 1, column: 1 });
        assert_eq!(at(2), Place { line: 2, column: 1 });
        assert_eq!(at(4), Place { line: 2, column: 2 });
        assert_eq!(sources.slice(Span { source: id, start: 4, end: 5 }), "b");
        let source = sources.get(id);
        assert_eq!((source.lines(0, 1), source.lines(3, 4), source.lines(0, 4)), (0..1, 2..8, 0..8));
        assert_eq!((source.lines(9, 9), source.lines(1, 2)), (9..9, 0..1));
    }
}
