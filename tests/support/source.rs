//! Reads Rust source as tokens, and the paths in it as absolute ones: enough to see who uses whom, without a compiler.

/// A token that matters here. Comments and white space are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A word: identifier, keyword or number.
    Word(String),
    /// A string literal's content, escapes left as they are.
    Text(String),
    /// `::`
    PathSep,
    /// Any other character.
    Mark(char),
}

/// A token with its line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What.
    pub kind: Kind,
    /// Where.
    pub line: usize,
}

/// A path as used, absolute from the crate's root where it began with `crate`, `self` or `super`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Whether it leads from the root of this crate.
    pub of_crate: bool,
    /// Its segments, `*` for a glob; `as` if the root itself was given another name.
    pub segments: Vec<String>,
    /// Line, from 1.
    pub line: usize,
}

/// Splits Rust source into tokens.
pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0, line: 1, out: Vec::new() };
    lexer.run();
    lexer.out
}

struct Lexer<'c> {
    chars: &'c [char],
    at: usize,
    line: usize,
    out: Vec<Token>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) -> char {
        let c = self.peek(0);
        self.line += usize::from(c == '\n');
        self.at += 1;
        c
    }

    fn push(&mut self, kind: Kind, line: usize) {
        self.out.push(Token { kind, line });
    }

    fn run(&mut self) {
        while self.at < self.chars.len() {
            let (c, line) = (self.peek(0), self.line);
            match c {
                '/' if self.peek(1) == '/' => {
                    while self.at < self.chars.len() && self.peek(0) != '\n' {
                        self.bump();
                    }
                }
                '/' if self.peek(1) == '*' => self.block_comment(),
                '"' => self.string(line),
                '\'' => self.quote(),
                _ if self.raw_string() => {}
                'b' | 'c' if self.peek(1) == '"' => {
                    self.bump();
                    self.string(line);
                }
                _ if c == '_' || c.is_alphanumeric() => {
                    if c == 'r' && self.peek(1) == '#' && (self.peek(2) == '_' || self.peek(2).is_alphabetic()) {
                        self.at += 2;
                    }
                    let mut word = String::new();
                    while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
                        word.push(self.bump());
                    }
                    self.push(Kind::Word(word), line);
                }
                ':' if self.peek(1) == ':' => {
                    self.at += 2;
                    self.push(Kind::PathSep, line);
                }
                _ if c.is_whitespace() => {
                    self.bump();
                }
                _ => {
                    self.bump();
                    self.push(Kind::Mark(c), line);
                }
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => (depth, self.at) = (depth + 1, self.at + 2),
                ('*', '/') => (depth, self.at) = (depth - 1, self.at + 2),
                _ => {
                    self.bump();
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self, line: usize) {
        self.bump();
        let mut text = String::new();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                text.push(self.bump());
            }
            text.push(self.bump());
        }
        self.bump();
        self.push(Kind::Text(text), line);
    }

    /// `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`; `false` if there is none here.
    fn raw_string(&mut self) -> bool {
        let prefix = match (self.peek(0), self.peek(1)) {
            ('r', '"' | '#') => 1,
            ('b' | 'c', 'r') => 2,
            _ => return false,
        };
        let hashes = (0..).take_while(|i| self.peek(prefix + i) == '#').count();
        if self.peek(prefix + hashes) != '"' {
            return false;
        }
        let line = self.line;
        self.at += prefix + hashes + 1;
        let mut text = String::new();
        while self.at < self.chars.len() && !(self.peek(0) == '"' && (1..=hashes).all(|i| self.peek(i) == '#')) {
            text.push(self.bump());
        }
        self.at += 1 + hashes;
        self.push(Kind::Text(text), line);
        true
    }

    /// A character literal or a lifetime.
    fn quote(&mut self) {
        let literal = self.peek(1) == '\\' || self.peek(2) == '\'';
        self.bump();
        if literal {
            if self.peek(0) == '\\' {
                self.bump();
            }
            self.bump();
            while self.at < self.chars.len() && self.bump() != '\'' {}
        }
    }
}

/// Every path that a file uses. `file` is its place below `src`, as in `harness/fault/crash.rs`.
pub fn uses(file: &str, text: &str) -> Vec<Use> {
    let tokens = tokens(text);
    let mut walk = Walk { tokens: &tokens, module: module_of(file), inline: Vec::new(), depth: 0, out: Vec::new() };
    walk.run();
    walk.out
}

/// `harness/fault/crash.rs` → harness, fault, crash; `harness/mod.rs` → harness; `lib.rs` and `main.rs` → the root.
fn module_of(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(String::from).collect();
    if matches!(parts.last().map(String::as_str), Some("mod")) || matches!(file, "lib.rs" | "main.rs") {
        parts.pop();
    }
    parts
}

struct Walk<'t> {
    tokens: &'t [Token],
    module: Vec<String>,
    /// Depths of braces at which inline modules began.
    inline: Vec<usize>,
    depth: usize,
    out: Vec<Use>,
}

impl Walk<'_> {
    fn kind(&self, at: usize) -> Option<&Kind> {
        self.tokens.get(at).map(|t| &t.kind)
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.kind(at) {
            Some(Kind::Word(w)) => Some(w),
            _ => None,
        }
    }

    fn mark(&self, at: usize, c: char) -> bool {
        self.kind(at) == Some(&Kind::Mark(c))
    }

    fn run(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            if self.word(at) == Some("mod") && self.mark(at + 2, '{') {
                self.module.extend(self.word(at + 1).map(String::from));
                self.inline.push(self.depth);
                self.depth += 1;
                at += 3;
                continue;
            }
            match &self.tokens[at].kind {
                Kind::Mark('{') => self.depth += 1,
                Kind::Mark('}') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.inline.last() == Some(&self.depth) {
                        self.inline.pop();
                        self.module.pop();
                    }
                }
                Kind::Word(_) if at == 0 || !self.mark(at - 1, '.') => {
                    at = self.tree(at, &[]);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads a path or a tree of them from `at`; gives back the first token after it.
    fn tree(&mut self, mut at: usize, prefix: &[String]) -> usize {
        let line = self.tokens[at].line;
        let mut path = prefix.to_vec();
        loop {
            match self.kind(at) {
                Some(Kind::Word(w)) => path.push(w.clone()),
                Some(Kind::Mark('*')) => path.push("*".into()),
                _ => break,
            }
            at += 1;
            if self.kind(at) != Some(&Kind::PathSep) {
                break;
            }
            at += 1;
            if self.mark(at, '{') {
                at += 1;
                while at < self.tokens.len() && !self.mark(at, '}') {
                    let before = at;
                    at = if self.mark(at, ',') { at + 1 } else { self.tree(at, &path) };
                    at = at.max(before + 1);
                }
                return at + 1;
            }
            if !matches!(self.kind(at), Some(Kind::Word(_) | Kind::Mark('*'))) {
                break;
            }
        }
        if self.word(at) == Some("as") && matches!(path.last().map(String::as_str), Some("crate" | "self" | "super")) {
            path.push("as".into());
        }
        self.add(path, line);
        at
    }

    fn add(&mut self, path: Vec<String>, line: usize) {
        let (of_crate, mut base) = match path.first().map(String::as_str) {
            Some("crate") => (true, Vec::new()),
            Some("self" | "super") => (true, self.module.clone()),
            _ => (false, Vec::new()),
        };
        let skip = usize::from(of_crate && path[0] != "super");
        for segment in &path[skip..] {
            match segment.as_str() {
                "super" if of_crate => {
                    base.pop();
                }
                "self" => {}
                other => base.push(other.into()),
            }
        }
        if !base.is_empty() {
            self.out.push(Use { of_crate, segments: base, line });
        }
    }
}
