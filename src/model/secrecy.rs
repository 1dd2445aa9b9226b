//! Masking what looks like a secret in a text that people wrote and that is shown to them again.
//!
//! Where a secret is expected, the reader knows its place and conceals it ([`super::diag::Diagnostics::conceal`]).
//! This is for the rest: a password under a misspelt key, a key in a line with a syntax error. It keeps the number
//! of bytes, so that places stay right.

/// Beginnings of secrets that can be told by themselves, with what may follow.
const TOKENS: [&str; 3] = ["AGE-SECRET-KEY-", "AKIA", "ASIA"];

/// Ends of names after which a secret stands.
const NAMES: [&str; 10] = ["password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "credentials", "private_key", "api_key"];

/// Whole names after which a secret stands: as the end of another word (`storage`) they mean nothing.
const WHOLE: [&str; 1] = ["age"];

/// Ends of longer names: `secret_access_key`, `secret-key`.
const LONGER: [&str; 4] = ["access_key", "access-key", "secret_key", "secret-key"];

/// The text with everything that looks like a secret replaced by asterisks, byte by byte.
pub fn masked(text: &str) -> String {
    let mut mask = vec![false; text.len()];
    tokens(text, &mut mask);
    named(text, &mut mask);
    in_urls(text, &mut mask);
    apply(text, |at| mask.get(at).copied().unwrap_or(false))
}

/// The text with the bytes that `hidden` names replaced by asterisks; line breaks stay.
pub fn apply(text: &str, hidden: impl Fn(usize) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if hidden(at) && c != '\n' && c != '\r' {
            (0..c.len_utf8()).for_each(|_| out.push('*'));
        } else {
            out.push(c);
        }
    }
    out
}

fn hide(mask: &mut [bool], from: usize, to: usize) {
    mask[from..to].iter_mut().for_each(|m| *m = true);
}

fn tokens(text: &str, mask: &mut [bool]) {
    for token in TOKENS {
        for (at, _) in text.match_indices(token) {
            let rest = &text[at..];
            let len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
            // A word that only begins so is no key.
            if len >= token.len() + 6 {
                hide(mask, at + token.len(), at + len);
            }
        }
    }
}

/// `password: …`, `db_password=…`, `"secret": "…"`, unless a reference follows.
fn named(text: &str, mask: &mut [bool]) {
    for (at, _) in text.match_indices([':', '=']) {
        let name = text[..at].trim_end_matches([' ', '"', '\'']);
        let tail: String = name.chars().rev().take(16).collect::<Vec<_>>().into_iter().rev().collect::<String>().to_ascii_lowercase();
        let ends_a_word = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
        let whole = WHOLE.iter().any(|n| tail.strip_suffix(*n).is_some_and(ends_a_word));
        if !whole && !NAMES.iter().chain(&LONGER).any(|n| tail.ends_with(n)) {
            continue;
        }
        let after = &text[at + 1..];
        let value = after.trim_start_matches([' ', '"', '\'']);
        let from = at + 1 + (after.len() - value.len());
        let len = value.find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']' | '"' | '\'')).unwrap_or(value.len());
        if !["env:", "file:", "ephemeral", "{", "["].iter().any(|r| value.starts_with(r)) {
            hide(mask, from, from + len);
        }
    }
}

/// The password of `scheme://user:password@host`.
fn in_urls(text: &str, mask: &mut [bool]) {
    for (at, sep) in text.match_indices("://") {
        let from = at + sep.len();
        let end = text[from..].find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | ',' | '}')).map_or(text.len(), |i| from + i);
        let Some(host) = text[from..end].rfind('@') else { continue };
        if let Some(colon) = text[from..from + host].find(':') {
            hide(mask, from + colon + 1, from + host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked_and_places_stay() {
        for (text, shown) in [
            ("keys: [AGE-SECRET-KEY-1CANARY]", "keys: [AGE-SECRET-KEY-*******]"),
            ("password: canary, x: 1", "password: ******, x: 1"),
            ("db_passwd = 'canary'", "db_passwd = '******'"),
            ("\"secret_access_key\": \"canary/+\"", "\"secret_access_key\": \"********\""),
            ("dsn: postgres://me:canary@db/x", "dsn: postgres://me:******@db/x"),
            ("key: AKIACANARYCANARY", "key: AKIA************"),
            ("encrypt: {age: canary}", "encrypt: {age: ******}"),
            ("age=canary", "age=******"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn references_and_plain_text_stay_readable() {
        for text in [
            "password: env:NAME",
            "token: file:/x/y",
            "age: ephemeral",
            "storage: x",
            "max_age: 3d",
            "about: AKIA is a town",
            "https://host:8080/x",
            "secrets: [a, b]",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
