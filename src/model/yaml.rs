//! YAML text to a tree in which every value knows its place.
//!
//! Reading stops at the first syntax error, because nothing after it has a meaning; everything else
//! (unknown keys, wrong types, …) is found by [`super::decode`], which reports all of it at once.
//! Limits on size, depth and expanded values make hostile input cheap to refuse.

use super::codes::Code;
use super::diag::{Diagnostic, Diagnostics};
use super::source::{SourceId, Sources, Span, Spanned};
use granit_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

/// Largest text that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// Most values in one text, aliases expanded; long text counts as several.
pub const MAX_NODES: usize = 200_000;
/// Bytes of text that count as one value more.
const BYTES_PER_NODE: usize = 32;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 64;

/// One value with its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Text; `plain` if it was written without quotes, so that it may be a number, a boolean or null.
    Scalar {
        /// The text after escapes.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// A list.
    Seq(Vec<Node>),
    /// A mapping, in the order of the text, duplicates kept for the diagnostics.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// Nothing, written as nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What to call it in a message.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            _ if self.is_null() => "nothing",
            Kind::Scalar { plain: true, text } if text.parse::<f64>().is_ok() => "a number",
            Kind::Scalar { plain: true, text } if matches!(text.as_str(), "true" | "false") => "a boolean",
            Kind::Scalar { .. } => "text",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(k, _)| k.value == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// Reads one document. `None` means that `diags` says why not.
pub fn read(sources: &Sources, id: SourceId, diags: &mut Diagnostics) -> Option<Node> {
    let mut documents = read_all(sources, id, diags)?;
    let whole = Span { source: id, start: 0, end: 0 };
    match documents.len() {
        1 => documents.pop(),
        0 => {
            let what = if sources.get(id).text.trim().is_empty() { "the file is empty" } else { "there are only comments in the file" };
            diags.push(Diagnostic::new(Code::Documents, what, whole).help("write a document, or remove the file"));
            None
        }
        n => {
            let start = documents[1].span.start as usize;
            let line = sources.get(id).lines(start, start);
            let second = Span { source: id, start: start as u32, end: (line.end as u32).min(documents[1].span.end) };
            diags.push(
                Diagnostic::new(Code::Documents, format!("the file holds {n} documents, and one is expected"), second)
                    .label("the second begins here")
                    .help("put each document into a file of its own"),
            );
            None
        }
    }
}

/// Reads every document of a stream (Kubernetes manifests come many to a file).
pub fn read_all(sources: &Sources, id: SourceId, diags: &mut Diagnostics) -> Option<Vec<Node>> {
    let text = sources.get(id).text.clone();
    let whole = Span { source: id, start: 0, end: 0 };
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, the limit is {MAX_BYTES}", text.len());
        diags.push(Diagnostic::new(Code::TooLarge, message, whole).help("split it, or check that it is the file you meant"));
        return None;
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) {
        let span = Span { source: id, start: at as u32, end: (at + c.len_utf8()) as u32 };
        let message = format!("not valid YAML: the control character U+{:04X}", u32::from(c));
        diags.push(Diagnostic::new(Code::Syntax, message, span).help("remove it, and check that this is a text file"));
        return None;
    }
    match (Builder { id, nodes: 0, anchors: HashMap::new() }).documents(&text) {
        Ok(documents) => Some(documents),
        Err(diagnostic) => {
            diags.push(*diagnostic);
            None
        }
    }
}

/// What to do about the parser's complaints, by a word in them; the first that fits counts.
const SYNTAX_HELP: [(&str, &str); 8] = [
    ("tab", "indent with spaces"),
    ("mapping values are not allowed", "quote text in which a colon and a space follow each other"),
    ("quoted scalar", "close the quote on the line on which it begins, or indent what follows"),
    ("bracket", "close each bracket before the one around it"),
    ("unknown anchor", "write the value out where it is needed"),
    ("did not find expected key", "give the keys of one mapping the same indentation"),
    ("did not find expected ','", "close the bracket that is open, or put a comma between what is in it"),
    ("unclosed", "close it"),
];

struct Builder {
    id: SourceId,
    nodes: usize,
    anchors: HashMap<usize, (Node, usize)>,
}

type Built<T> = Result<T, Box<Diagnostic>>;

enum Open {
    Seq { span: Span, anchor: usize, items: Vec<Node>, at: usize },
    Map { span: Span, anchor: usize, entries: Vec<(Spanned<String>, Node)>, key: Option<Spanned<String>>, at: usize },
}

impl Builder {
    fn documents(&mut self, text: &str) -> Built<Vec<Node>> {
        let mut documents = Vec::new();
        let mut stack: Vec<Open> = Vec::new();
        for next in Parser::new_from_str(text) {
            let (event, at) = next.map_err(|e| self.syntax(text, &e))?;
            let range = at.byte_range().unwrap_or(0..0);
            let span = Span { source: self.id, start: range.start as u32, end: range.end as u32 };
            let done = match event {
                Event::Scalar(value, style, anchor, tag) => {
                    self.no_tag(text, tag.is_some(), span)?;
                    let weight = 1 + value.len() / BYTES_PER_NODE;
                    let node = Node { span, kind: Kind::Scalar { text: value.into_owned(), plain: style == ScalarStyle::Plain } };
                    Some((node, anchor, weight, weight))
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.no_tag(text, tag.is_some(), span)?;
                    self.depth(&stack, span)?;
                    stack.push(Open::Seq { span, anchor, items: Vec::new(), at: self.nodes });
                    None
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.no_tag(text, tag.is_some(), span)?;
                    self.depth(&stack, span)?;
                    stack.push(Open::Map { span, anchor, entries: Vec::new(), key: None, at: self.nodes });
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                    Some(Open::Seq { span: open, anchor, items, at }) => {
                        let kind = Kind::Seq(items);
                        Some((Node { span: trimmed(text, open, span), kind }, anchor, self.nodes - at + 1, 1))
                    }
                    Some(Open::Map { span: open, anchor, entries, at, .. }) => {
                        let kind = Kind::Map(entries);
                        Some((Node { span: trimmed(text, open, span), kind }, anchor, self.nodes - at + 1, 1))
                    }
                    None => None,
                },
                Event::Alias(anchor) => match self.anchors.get(&anchor) {
                    Some((node, weight)) if self.nodes + weight <= MAX_NODES => Some((node.clone(), 0, *weight, *weight)),
                    Some(_) => return Err(self.too_many(span)),
                    None => {
                        return Err(Box::new(
                            Diagnostic::new(Code::Bomb, "an alias stands inside of what it names", span)
                                .help("write the value out where it is needed"),
                        ));
                    }
                },
                _ => None,
            };
            // `weight` is the node with all below it; `added` is what was not counted before.
            let Some((node, anchor, weight, added)) = done else { continue };
            self.nodes += added;
            if self.nodes > MAX_NODES {
                return Err(self.too_many(span));
            }
            if anchor != 0 {
                // The copy that is kept takes as much room again.
                self.nodes += weight;
                if self.nodes > MAX_NODES {
                    return Err(self.too_many(span));
                }
                self.anchors.insert(anchor, (node.clone(), weight));
            }
            match stack.last_mut() {
                None => documents.push(node),
                Some(Open::Seq { items, .. }) => items.push(node),
                Some(Open::Map { entries, key, .. }) => match key.take() {
                    Some(name) => entries.push((name, node)),
                    None => match node.kind {
                        Kind::Scalar { text, .. } => *key = Some(Spanned::new(text, node.span)),
                        _ => {
                            return Err(Box::new(
                                Diagnostic::new(Code::WrongType, "a key is a list or a mapping", node.span).help("write a plain word as the key"),
                            ));
                        }
                    },
                },
            }
        }
        Ok(documents)
    }

    fn no_tag(&self, text: &str, tagged: bool, span: Span) -> Built<()> {
        if !tagged {
            return Ok(());
        }
        // The event's place is that of the value; the tag is the word with `!` before it.
        let before = text.get(..span.start as usize).unwrap_or("").trim_end();
        let start = before.rfind(char::is_whitespace).map_or(0, |i| i + 1);
        let tag = match before[start..].find('!') {
            Some(at) => Span { start: (start + at) as u32, end: before.len() as u32, ..span },
            None => span,
        };
        Err(Box::new(Diagnostic::new(Code::Tagged, "YAML tags have no meaning here", tag).help("remove the tag; quote text that begins with `!`")))
    }

    fn too_many(&self, span: Span) -> Box<Diagnostic> {
        let message = format!("the file holds too much: over {MAX_NODES} values, or as much text, once aliases are expanded");
        Box::new(Diagnostic::new(Code::Bomb, message, span).help("write out what is meant, without nested aliases"))
    }

    fn depth(&self, stack: &[Open], span: Span) -> Built<()> {
        if stack.len() >= MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        Ok(())
    }

    fn syntax(&self, text: &str, error: &granit_parser::ScanError) -> Box<Diagnostic> {
        let marker = error.marker();
        let offset = marker.byte_offset().unwrap_or_else(|| text.char_indices().nth(marker.index()).map_or(text.len(), |(i, _)| i));
        // The parser's place, as a whole character of the text.
        let start = text.floor_char_boundary(offset);
        let end = start + text[start..].chars().next().map_or(0, char::len_utf8);
        let span = Span { source: self.id, start: start as u32, end: end as u32 };
        let info = error.info();
        if ["recursion", "nest", "depth"].iter().any(|w| info.contains(w)) {
            return self.too_deep(span);
        }
        let help =
            SYNTAX_HELP.iter().find(|(word, _)| info.contains(word)).map_or("check indentation, quotes and brackets around this place", |(_, h)| h);
        Box::new(Diagnostic::new(Code::Syntax, format!("not valid YAML: {info}"), span).help(help))
    }

    fn too_deep(&self, span: Span) -> Box<Diagnostic> {
        let message = format!("nested more than {MAX_DEPTH} deep");
        Box::new(Diagnostic::new(Code::Bomb, message, span).help("flatten it; nothing that is read here is nested so deep"))
    }
}

/// From the opening to the closing event, without the white space and comments that follow a block.
fn trimmed(text: &str, open: Span, close: Span) -> Span {
    let (start, end) = (open.start as usize, (close.end as usize).min(text.len()));
    let body = text.get(start..end).unwrap_or("");
    let end = start + body.trim_end().len();
    Span { source: open.source, start: open.start, end: end as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<Node>, Diagnostics, Sources) {
        let mut sources = Sources::default();
        let id = sources.add("t.yaml", text);
        let mut diags = Diagnostics::default();
        let node = read(&sources, id, &mut diags);
        (node, diags, sources)
    }

    fn code_of(text: &str) -> &'static str {
        let (node, diags, _) = parse(text);
        assert!(node.is_none());
        diags.iter().next().unwrap().code.id()
    }

    #[test]
    fn values_know_their_place() {
        let (node, _, sources) = parse("a: 1\nlist:\n  - x\n  - {k: \"v\"}\n");
        let node = node.unwrap();
        assert_eq!(sources.place(node.get("a").unwrap().span).to_string(), "1:4");
        let Kind::Seq(items) = &node.get("list").unwrap().kind else { panic!() };
        assert_eq!(sources.slice(items[1].span), "{k: \"v\"}");
        assert_eq!(sources.slice(items[1].get("k").unwrap().span), "\"v\"");
    }

    #[test]
    fn hostile_input_is_refused_quickly() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert_eq!(code_of(&bomb), "PM0005");
        assert_eq!(code_of(&"[".repeat(10_000)), "PM0005");
        assert_eq!(code_of(&format!("a: {}", "x".repeat(10 << 20))), "PM0003");
        assert_eq!(code_of("a: &a [*a]"), "PM0005");
        let much = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
        assert_eq!(code_of(&much), "PM0005");
        assert_eq!(code_of("a: \0"), "PM0004");
        assert_eq!(code_of("a: !!python/object x"), "PM0007");
        assert_eq!(code_of("a: [1"), "PM0004");
        assert_eq!(code_of("a: 1\n---\nb: 2\n"), "PM0006");
        assert_eq!(code_of(""), "PM0006");
    }

    #[test]
    fn aliases_expand() {
        let (node, _, _) = parse("base: &b {k: v}\nuse: *b\n");
        assert_eq!(node.unwrap().get("use").unwrap().get("k").unwrap().text(), Some("v"));
    }
}
