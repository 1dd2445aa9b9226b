//! Checking evidence: the seal of every file, and the verdict computed again from the raw record, compared value by value.

use super::bundle::{self, EvidenceError};
use super::seal;
use super::view::{RunView, view};
use crate::verdict::{Record, judge};
use std::path::Path;

/// What a verification found.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The view, computed again.
    pub again: RunView,
    /// Differences from what is kept, as lines for people; none: it verifies.
    pub differences: Vec<String>,
}

/// Judges a directory again.
pub fn verify(dir: &Path) -> Result<Verified, EvidenceError> {
    let record = bundle::load(dir)?;
    let again = recompute(&record);
    let mut differences = seal::check(dir)?;
    match bundle::read(dir, "run.json") {
        Ok(kept) => differences.extend(compare(&String::from_utf8_lossy(&kept), &again.to_json())),
        Err(e) => differences.push(format!("the verdict that was kept cannot be read: {e}")),
    }
    if dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".partial-")) {
        differences.push("the directory is partial: its run never ended".into());
    }
    Ok(Verified { again, differences })
}

/// The view of a record, judged now.
pub fn recompute(record: &Record) -> RunView {
    view(record, judge(record))
}

/// Lines in which two JSON texts differ, by the path of the value.
fn compare(kept: &str, again: &str) -> Vec<String> {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text);
    let (mut kept, again) = match (parse(kept), parse(again)) {
        (Ok(a), Ok(b)) => (a, b),
        _ => return vec!["run.json is not JSON".into()],
    };
    // Evidence outlives the program that made it: its version is no part of the verdict.
    if let (Some(k), Some(a)) = (kept.get_mut("tool"), again.get("tool")) {
        *k = a.clone();
    }
    let mut out = Vec::new();
    differ("", &kept, &again, &mut out);
    out
}

fn differ(path: &str, kept: &serde_json::Value, again: &serde_json::Value, out: &mut Vec<String>) {
    use serde_json::Value::{Array, Object};
    match (kept, again) {
        (Object(a), Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let null = serde_json::Value::Null;
                differ(&format!("{path}/{key}"), a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null), out);
            }
        }
        (Array(a), Array(b)) if a.len() == b.len() => {
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                differ(&format!("{path}/{i}"), x, y, out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(format!("{path}: kept {}, computed again {}", short(a), short(b))),
    }
}

fn short(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((i, _)) => format!("{}…", &text[..i]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_their_place() {
        let lines = compare(r#"{"a":{"b":[1,2]},"tool":1}"#, r#"{"a":{"b":[1,3],"c":4},"tool":2}"#);
        assert_eq!(lines, vec!["/a/b/1: kept 2, computed again 3", "/a/c: kept null, computed again 4"]);
        assert_eq!(compare("{", "{}"), vec!["run.json is not JSON"]);
    }
}
