//! What is shipped inside of the program, and finding what people name: their own files first.

use crate::model::codes::Code;
use crate::model::diag::{Diagnostic, Diagnostics, did_you_mean, quoted};
use crate::model::source::{SourceId, Sources, Span};
use crate::model::units::human_size;
use crate::model::yaml::MAX_BYTES;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Scenarios by name, with their text.
pub const SCENARIOS: &[(&str, &str)] = &[
    ("postgres-drop-table", include_str!("../../scenarios/postgres-drop-table.yaml")),
    ("postgres-instance-lost", include_str!("../../scenarios/postgres-instance-lost.yaml")),
    ("postgres-crash", include_str!("../../scenarios/postgres-crash.yaml")),
];

/// The drills of a first run.
pub const FIRST_LIGHT: [&str; 2] = ["postgres-drop-table", "postgres-instance-lost"];

/// Loads a scenario by path, by name from `scenarios/` below the current directory, or the shipped one.
pub fn scenario(name: &str, sources: &mut Sources, diags: &mut Diagnostics) -> Option<SourceId> {
    let as_path = Path::new(name);
    if name.ends_with(".yaml") || name.ends_with(".yml") || name.contains('/') {
        return file(as_path, sources, diags);
    }
    let own = PathBuf::from("scenarios").join(format!("{name}.yaml"));
    if own.is_file() {
        return file(&own, sources, diags);
    }
    if let Some((name, text)) = SCENARIOS.iter().find(|(n, _)| *n == name) {
        return Some(sources.add(format!("<shipped>/scenarios/{name}.yaml"), *text));
    }
    if as_path.exists() {
        return file(as_path, sources, diags);
    }
    let id = sources.add("command line", name);
    let span = Span { source: id, start: 0, end: name.len() as u32 };
    let mut d = Diagnostic::new(Code::UnknownScenario, format!("there is no scenario {}", quoted(name)), span);
    let others = own_names();
    d = match did_you_mean(name, SCENARIOS.iter().map(|(n, _)| *n).chain(others.iter().map(String::as_str))) {
        Some(near) => d.help(format!("did you mean `{near}`?")),
        None => d.help("`passmuster list scenarios` names those that there are; a file is given by its path"),
    };
    diags.push(d);
    None
}

/// Names of the scenarios below the current directory.
fn own_names() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("scenarios") else { return Vec::new() };
    let stem = |p: PathBuf| p.file_stem().map(|s| s.to_string_lossy().into_owned());
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "yaml")).filter_map(stem).collect();
    names.sort();
    names
}

/// Reads a file that people wrote.
pub fn file(path: &Path, sources: &mut Sources, diags: &mut Diagnostics) -> Option<SourceId> {
    let name = path.display().to_string();
    let mut refuse = |sources: &mut Sources, code: Code, message: String, help: &str| {
        let id = sources.add(name.clone(), "");
        diags.push(Diagnostic::new(code, message, Span { source: id, start: 0, end: 0 }).help(help));
        None
    };
    let bytes = match read_limited(path) {
        Ok(bytes) => bytes,
        Err(e) => {
            let (why, help) = unreadable(path, &e);
            return refuse(sources, Code::Unreadable, why, &help);
        }
    };
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has more than {}", human_size(MAX_BYTES as u64));
        return refuse(sources, Code::TooLarge, message, "split it, or check that it is the file you meant");
    }
    if let Some(what) = other_encoding(&bytes) {
        return refuse(sources, Code::NotUtf8, format!("the file is {what}, not UTF-8"), "save it as UTF-8");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(sources.add(name, text)),
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            // Up to the place, this has the same bytes; there it has a mark of three bytes.
            let id = sources.add(name, String::from_utf8_lossy(e.as_bytes()).into_owned());
            let span = Span { source: id, start: at as u32, end: at as u32 + 3 };
            let byte = e.as_bytes().get(at).copied().unwrap_or_default();
            let d = Diagnostic::new(Code::NotUtf8, format!("the file is not UTF-8: byte 0x{byte:02X} cannot stand here"), span);
            diags.push(d.help("save it as UTF-8"));
            None
        }
    }
}

/// Why a file cannot be read, and what to do.
fn unreadable(path: &Path, e: &std::io::Error) -> (String, String) {
    use std::io::ErrorKind;
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    match e.kind() {
        ErrorKind::NotFound if SCENARIOS.iter().any(|(n, _)| *n == stem) => {
            ("there is no such file".into(), format!("for the shipped scenario leave out path and `.yaml`: `{stem}`"))
        }
        ErrorKind::NotFound => ("there is no such file".into(), "check the path".into()),
        ErrorKind::IsADirectory => ("this is a directory, not a file".into(), "name a file in it".into()),
        ErrorKind::PermissionDenied => ("the file may not be read".into(), "check its permissions".into()),
        _ => (format!("the file cannot be read: {e}"), "check the path".into()),
    }
}

/// UTF-16 and UTF-32, by their mark or by the zeros that plain text has in them.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    let start = &bytes[..bytes.len().min(64)];
    let zeros = |from: usize| start.iter().skip(from).step_by(2).filter(|b| **b == 0).count();
    let many = start.len() / 3;
    match start {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ if start.len() >= 4 && zeros(0).max(zeros(1)) > many => Some("UTF-16 by the look of it"),
        _ => None,
    }
}

/// Reads at most one byte more than the limit: a huge file is refused without being read.
fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
