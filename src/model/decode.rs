//! From a tree of values to typed ones, collecting every diagnostic on the way.
//!
//! Each function answers `None` after it has said why; callers go on with the rest of the text, so
//! that one reading reports all that is wrong with it.

use super::codes::Code;
use super::diag::{Diagnostic, Diagnostics, did_you_mean, quoted};
use super::params::SecretRef;
use super::source::{Sources, Span, Spanned};
use super::units;
use super::yaml::{Kind, Node};
use std::collections::HashMap;
use std::time::Duration;

/// Reads typed values and keeps what is wrong with them.
pub struct Reader<'a> {
    /// The texts that the nodes come from.
    pub sources: &'a Sources,
    /// Where findings go.
    pub diags: &'a mut Diagnostics,
}

/// The entries of one mapping while they are being read.
pub struct Fields<'n> {
    what: String,
    /// The whole mapping.
    pub span: Span,
    entries: &'n [(Spanned<String>, Node)],
    asked: Vec<String>,
}

impl Reader<'_> {
    /// Reports a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diags.push(diagnostic);
    }

    /// The value has the wrong shape.
    pub fn wrong(&mut self, node: &Node, expected: &str, example: &str) {
        self.push(
            Diagnostic::new(Code::WrongType, format!("expected {expected}, found {}", node.describe()), node.span)
                .label(format!("{} here", node.describe()))
                .help(format!("for example `{example}`")),
        );
    }

    /// Opens a mapping; `what` names it in messages ("a scenario").
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            self.push(
                Diagnostic::new(Code::WrongType, format!("{what} is a mapping, found {}", node.describe()), node.span)
                    .help("write `key: value` lines, indented below it"),
            );
            return None;
        };
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for (key, _) in entries {
            if let Some(first) = seen.get(key.value.as_str()) {
                self.push(
                    Diagnostic::new(Code::DuplicateKey, format!("{} is here twice", quoted(&key.value)), key.span)
                        .label("again here")
                        .also(*first, "first here")
                        .help("keep one of the two"),
                );
            } else {
                seen.insert(&key.value, key.span);
            }
        }
        Some(Fields { what: what.to_string(), span: node.span, entries, asked: Vec::new() })
    }

    /// Text, a plain word or number included.
    pub fn text(&mut self, node: &Node) -> Option<Spanned<String>> {
        match &node.kind {
            Kind::Scalar { text, plain } if !node.is_null() => {
                if *plain && ambiguous(text).is_some() {
                    self.ambiguous(node, text, format!("quote it if the word itself is meant: \"{text}\""));
                    return None;
                }
                Some(Spanned::new(text.clone(), node.span))
            }
            _ => {
                self.wrong(node, "text", "a-name");
                None
            }
        }
    }

    /// A name: lower-case letters, digits and single dashes.
    pub fn name(&mut self, node: &Node) -> Option<Spanned<String>> {
        let text = self.text(node)?;
        if !is_name(&text.value) {
            self.push(
                Diagnostic::new(Code::BadName, format!("{} is not a usable name", quoted(&text.value)), node.span)
                    .help("use lower-case letters, digits and single dashes, beginning with a letter"),
            );
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node) -> Option<Spanned<bool>> {
        match &node.kind {
            Kind::Scalar { text, plain: true } => match text.as_str() {
                "true" => Some(Spanned::new(true, node.span)),
                "false" => Some(Spanned::new(false, node.span)),
                other => {
                    match ambiguous(other) {
                        Some(meant) => self.ambiguous(node, other, format!("write `{meant}`")),
                        None => self.wrong(node, "a boolean", "true"),
                    }
                    None
                }
            },
            _ => {
                self.wrong(node, "a boolean", "true");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub fn integer(&mut self, node: &Node, min: i64, max: i64) -> Option<Spanned<i64>> {
        let number = match &node.kind {
            Kind::Scalar { text, plain: true } => text.replace('_', "").parse::<i64>().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.wrong(node, "a whole number", &min.max(1).to_string());
            return None;
        };
        if number < min || number > max {
            self.push(
                Diagnostic::new(Code::OutOfRange, format!("{number} is outside of {min} to {max}"), node.span)
                    .help(format!("choose a number from {min} to {max}")),
            );
            return None;
        }
        Some(Spanned::new(number, node.span))
    }

    /// A duration such as `15m`.
    pub fn duration(&mut self, node: &Node) -> Option<Spanned<Duration>> {
        self.unit(node, Code::BadDuration, "a duration", "30s, 15m, 1h30m, 7d, 500ms", units::parse_duration)
    }

    /// A size such as `16MiB`.
    pub fn size(&mut self, node: &Node) -> Option<Spanned<u64>> {
        self.unit(node, Code::BadSize, "a size", "16MiB, 512KiB, 200MB, 2GiB", units::parse_size)
    }

    /// A rate such as `200/s`, in events per second.
    pub fn rate(&mut self, node: &Node) -> Option<Spanned<f64>> {
        self.unit(node, Code::BadRate, "a rate", "200/s, 30/m", units::parse_rate)
    }

    /// A share such as `99.99%` or `0.5`, as a number from 0 to 1.
    pub fn ratio(&mut self, node: &Node) -> Option<Spanned<f64>> {
        self.unit(node, Code::OutOfRange, "a share", "25%, 99.99%, 0.5", units::parse_ratio)
    }

    fn unit<T>(&mut self, node: &Node, code: Code, what: &str, examples: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Spanned<T>> {
        let first = examples.split(',').next().unwrap_or_default();
        let Some(text) = node.text().filter(|_| !node.is_null()) else {
            self.wrong(node, what, first);
            return None;
        };
        match parse(text) {
            Some(value) => Some(Spanned::new(value, node.span)),
            None => {
                let unit = first.trim_start_matches(|c: char| c.is_ascii_digit());
                let help = match parse(&format!("{text}{unit}")) {
                    // A number alone: the unit is what is missing.
                    Some(_) if text.parse::<f64>().is_ok() => format!("write `{text}{unit}`, or another unit as in {examples}"),
                    _ => format!("write {what} as in {examples}"),
                };
                self.push(Diagnostic::new(code, format!("{} is not {what}", quoted(text)), node.span).help(help));
                None
            }
        }
    }

    /// One of a closed list of words.
    pub fn choice<'c>(&mut self, node: &Node, choices: &[&'c str]) -> Option<Spanned<&'c str>> {
        let text = self.text(node)?;
        if let Some(found) = choices.iter().find(|c| **c == text.value) {
            return Some(Spanned::new(*found, node.span));
        }
        let mut d = Diagnostic::new(Code::BadChoice, format!("{} is not one of {}", quoted(&text.value), listed(choices)), node.span);
        d = match did_you_mean(&text.value, choices.iter().copied()) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None => d.help(format!("choose one of {}", listed(choices))),
        };
        self.push(d);
        None
    }

    /// A reference to a secret. A value that stands there in the open is not repeated.
    pub fn secret(&mut self, node: &Node, ephemeral_allowed: bool) -> Option<Spanned<SecretRef>> {
        let parsed = node.text().and_then(SecretRef::parse).filter(|r| ephemeral_allowed || *r != SecretRef::Ephemeral);
        if parsed.is_none() {
            self.diags.conceal(node.span);
            let help = if ephemeral_allowed {
                "write `env:NAME`, `file:PATH`, or `ephemeral` for a key that lives as long as the run; if a real secret stood here, change it"
            } else {
                "write `env:NAME` or `file:PATH`; if a real secret stood here, change it"
            };
            self.push(Diagnostic::new(Code::SecretByValue, "a secret is given by reference, never by value", node.span).help(help));
        }
        parsed.map(|r| Spanned::new(r, node.span))
    }

    /// Every item of a list, each read by `read`; items that cannot be read are left out and reported.
    pub fn list<T>(&mut self, node: &Node, mut read: impl FnMut(&mut Self, &Node) -> Option<T>) -> Option<Vec<T>> {
        let Kind::Seq(items) = &node.kind else {
            self.wrong(node, "a list", "[a, b]");
            return None;
        };
        Some(items.iter().filter_map(|item| read(self, item)).collect())
    }

    fn ambiguous(&mut self, node: &Node, text: &str, help: String) {
        let message = format!("`{text}` is a boolean to some readers and text to others");
        self.push(Diagnostic::new(Code::AmbiguousBoolean, message, node.span).help(help));
    }
}

impl<'n> Fields<'n> {
    /// The value of a key that may be absent.
    pub fn opt(&mut self, key: &str) -> Option<&'n Node> {
        self.asked.push(key.to_string());
        self.entries.iter().find(|(k, _)| k.value == key).map(|(_, v)| v)
    }

    /// The value of a key that must be there.
    pub fn req(&mut self, r: &mut Reader<'_>, key: &str, example: &str) -> Option<&'n Node> {
        let found = self.opt(key);
        if found.is_none() {
            // The first character of what lacks it, whole.
            let text = &r.sources.get(self.span.source).text;
            let first = text.get(self.span.start as usize..).and_then(|t| t.chars().next()).map_or(0, char::len_utf8);
            let start = Span { end: self.span.start + first as u32, ..self.span };
            r.push(Diagnostic::new(Code::MissingKey, format!("{} needs `{key}`", self.what), start).help(format!("add `{key}: {example}`")));
        }
        found
    }

    /// The keys that were written, in order, with their values.
    pub fn all(&self) -> &'n [(Spanned<String>, Node)] {
        self.entries
    }

    /// Marks a key as known without reading it.
    pub fn know(&mut self, key: &str) {
        self.asked.push(key.to_string());
    }

    /// Calls the mapping something more precise in what follows.
    pub fn rename(&mut self, what: String) {
        self.what = what;
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self, r: &mut Reader<'_>) {
        for (key, _) in self.entries {
            if self.asked.contains(&key.value) {
                continue;
            }
            if r.diags.is_full(key.span.source) {
                r.diags.leave_out(Code::UnknownKey.severity());
                continue;
            }
            let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
            let mut d = Diagnostic::new(Code::UnknownKey, format!("{} has no key {}", self.what, quoted(&key.value)), key.span);
            d = match did_you_mean(&key.value, known.iter().copied()) {
                _ if key.value == "<<" => d.help("merge keys have no meaning here; write the values out"),
                Some(near) => d.help(format!("did you mean `{near}`?")),
                None if known.is_empty() => d.help("it takes no keys"),
                None => d.help(format!("known here: {}", listed(&known))),
            };
            r.push(d);
        }
    }
}

/// Lower-case letters, digits and single dashes, beginning with a letter.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.len() <= 80
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// `a`, `b` or `c`, in backticks.
pub fn listed(words: &[&str]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}

/// What a word is to readers that take it for a boolean.
fn ambiguous(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" => Some(true),
        "no" | "off" | "n" => Some(false),
        _ => None,
    }
}
