//! Checking evidence: the seal of every file, and the verdict computed again from the raw record, compared value by value.

use super::bundle::{self, EvidenceError};
use super::seal;
use super::view::{RunView, view};
use crate::verdict::{Record, judge};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// What a verification found.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The view, computed again.
    pub again: RunView,
    /// Differences from what is kept, as lines for people; none: it verifies.
    pub differences: Vec<String>,
    /// The run has not ended: it is under way, or was killed. There is no verdict yet that could be compared.
    pub unfinished: bool,
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
    let unfinished = is_partial(dir);
    if unfinished {
        differences = vec!["the directory is partial: its run is under way, or was killed".into()];
    }
    Ok(Verified { again, differences, unfinished })
}

/// Whether a directory is still called partial, by whatever path it is given.
fn is_partial(dir: &Path) -> bool {
    let named = |path: &Path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".partial-"));
    // `.` and links say nothing about the name.
    named(dir) || dir.canonicalize().is_ok_and(|whole| named(&whole))
}

/// The view of a record, judged now.
pub fn recompute(record: &Record) -> RunView {
    view(record, judge(record))
}

/// Lines in which two JSON texts differ, by the path of the value.
fn compare(kept: &str, again: &str) -> Vec<String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text);
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
    if out.len() > MOST {
        let more = out.len() - MOST;
        out.truncate(MOST);
        out.push(format!("and {more} more {}", if more == 1 { "difference" } else { "differences" }));
    }
    out
}

/// Differences that are told one by one.
const MOST: usize = 40;

fn differ(path: &str, kept: &Value, again: &Value, out: &mut Vec<String>) {
    use Value::{Array, Object};
    match (kept, again) {
        (a, b) if a == b => {}
        (Object(a), Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let path = format!("{path}/{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differ(&path, a, b, out),
                    (Some(a), None) => out.push(format!("{path}: kept {}, not computed again", short(a))),
                    (None, Some(b)) => out.push(format!("{path}: not kept, computed again {}", short(b))),
                    (None, None) => {}
                }
            }
        }
        (Array(a), Array(b)) => match (ids(a), ids(b)) {
            (Some(a_ids), Some(b_ids)) => by_id(path, (a, &a_ids), (b, &b_ids), out),
            _ if a.len() == b.len() => a.iter().zip(b).enumerate().for_each(|(i, (x, y))| differ(&format!("{path}/{i}"), x, y, out)),
            _ => {
                // Where one is longer, what comes after the first difference is only moved.
                let at = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
                let entry = |list: &[Value]| list.get(at).map_or("nothing".into(), short);
                let (n, m) = (a.len(), b.len());
                out.push(format!("{path}: kept {n} entries, computed again {m}; number {at}: kept {}, computed again {}", entry(a), entry(b)));
            }
        },
        (a, b) => out.push(format!("{path}: kept {}, computed again {}", short(a), short(b))),
    }
}

/// The ids of a list's entries, if each has one of its own.
fn ids(list: &[Value]) -> Option<Vec<&str>> {
    let ids: Vec<&str> = list.iter().map(|entry| entry.get("id").and_then(Value::as_str)).collect::<Option<_>>()?;
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    (!ids.is_empty() && distinct.len() == ids.len()).then_some(ids)
}

fn by_id(path: &str, (a, a_ids): (&[Value], &[&str]), (b, b_ids): (&[Value], &[&str]), out: &mut Vec<String>) {
    let of = |entry: &Value| entry.get("outcome").map_or(String::new(), |o| format!(": {}", short(o)));
    let before = out.len();
    for (id, entry) in a_ids.iter().zip(a) {
        match b_ids.iter().position(|other| other == id) {
            Some(at) => differ(&format!("{path}/{id}"), entry, &b[at], out),
            None => out.push(format!("{path}/{id}: kept, not computed again{}", of(entry))),
        }
    }
    for (id, entry) in b_ids.iter().zip(b).filter(|(id, _)| !a_ids.contains(id)) {
        out.push(format!("{path}/{id}: not kept, computed again{}", of(entry)));
    }
    if out.len() == before {
        out.push(format!("{path}: the same entries in another order"));
    }
}

fn short(value: &Value) -> String {
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
        assert_eq!(lines, vec!["/a/b/1: kept 2, computed again 3", "/a/c: not kept, computed again 4"]);
        assert_eq!(compare("{", "{}"), vec!["run.json is not JSON"]);
        assert_eq!(compare(r#"{"a":1}"#, r#"{"a":1}"#), Vec::<String>::new());
    }

    #[test]
    fn lists_of_different_lengths_are_told_in_one_line_each() {
        let lines = compare(r#"{"l":[1,2,4]}"#, r#"{"l":[1,2,3,4]}"#);
        assert_eq!(lines, vec!["/l: kept 3 entries, computed again 4; number 2: kept 4, computed again 3"]);
        assert_eq!(compare(r#"{"l":[]}"#, r#"{"l":[7]}"#), vec!["/l: kept 0 entries, computed again 1; number 0: kept nothing, computed again 7"]);
        let kept = r#"{"l":[{"id":"rto","outcome":"pass"},{"id":"exact","outcome":"pass","n":1}]}"#;
        let again = r#"{"l":[{"id":"rto","outcome":"fail"},{"id":"slack","outcome":"fail"},{"id":"exact","outcome":"pass","n":1}]}"#;
        assert_eq!(
            compare(kept, again),
            vec![r#"/l/rto/outcome: kept "pass", computed again "fail""#, r#"/l/slack: not kept, computed again: "fail""#]
        );
        assert_eq!(compare(again, kept)[1], r#"/l/slack: kept, not computed again: "fail""#);
        let moved = compare(r#"{"l":[{"id":"a"},{"id":"b"}]}"#, r#"{"l":[{"id":"b"},{"id":"a"}]}"#);
        assert_eq!(moved, vec!["/l: the same entries in another order"]);
    }

    #[test]
    fn very_many_differences_are_counted() {
        let list = |x: u32| serde_json::json!({"l": (0..100).map(|n| n * 2 + x).collect::<Vec<_>>()}).to_string();
        let lines = compare(&list(0), &list(1));
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (MOST + 1, Some("and 60 more differences")));
    }

    #[test]
    fn a_partial_directory_is_known_by_any_of_its_paths() {
        let dir = tempfile::tempdir().unwrap();
        let partial = dir.path().join(".partial-20261121T000000Z-00000000");
        std::fs::create_dir(&partial).unwrap();
        std::fs::write(partial.join("events.jsonl"), "").unwrap();
        for path in [partial.clone(), partial.join("."), partial.join("../.partial-20261121T000000Z-00000000")] {
            let v = verify(&path).unwrap();
            assert!(v.unfinished, "{}", path.display());
            assert_eq!(v.differences.len(), 1, "it does not verify: {:?}", v.differences);
        }
        let whole = dir.path().join("20261121T000000Z-00000000");
        std::fs::rename(&partial, &whole).unwrap();
        assert!(!verify(&whole).unwrap().unfinished);
    }
}
