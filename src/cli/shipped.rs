//! What is shipped inside of the program, and finding what people name: their own files first.

use crate::model::codes::Code;
use crate::model::diag::{Diagnostic, Diagnostics, did_you_mean};
use crate::model::source::{SourceId, Sources, Span};
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
    let id = sources.add("command line", name);
    let span = Span { source: id, start: 0, end: name.len() as u32 };
    let mut d = Diagnostic::new(Code::Unreadable, format!("there is no scenario `{name}`"), span);
    d = match did_you_mean(name, SCENARIOS.iter().map(|(n, _)| *n)) {
        Some(near) => d.help(format!("did you mean `{near}`?")),
        None => d.help("`passmuster list scenarios` names those that there are; a file is given by its path"),
    };
    diags.push(d);
    None
}

/// Reads a file that people wrote.
pub fn file(path: &Path, sources: &mut Sources, diags: &mut Diagnostics) -> Option<SourceId> {
    let name = path.display().to_string();
    let mut refuse = |sources: &mut Sources, code: Code, message: String, help: &str| {
        let id = sources.add(name.clone(), "");
        diags.push(Diagnostic::new(code, message, Span { source: id, start: 0, end: 0 }).help(help));
    };
    let bytes = match read_limited(path) {
        Ok(bytes) => bytes,
        Err(e) => {
            refuse(sources, Code::Unreadable, format!("{name} cannot be read: {e}"), "check the path and the permissions");
            return None;
        }
    };
    if bytes.len() > MAX_BYTES {
        refuse(sources, Code::TooLarge, format!("{name} has more than {MAX_BYTES} bytes"), "split it, or check that it is the file you meant");
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(sources.add(name, text)),
        Err(e) => {
            let marks = [(&[0xff, 0xfe][..], "UTF-16"), (&[0xfe, 0xff], "UTF-16")];
            let found = marks.iter().find(|(mark, _)| e.as_bytes().starts_with(mark)).map(|(_, name)| *name);
            let place = e.utf8_error().valid_up_to();
            let message = found.map_or_else(|| format!("{name} is not UTF-8: byte {place} cannot be read"), |f| format!("{name} is {f}, not UTF-8"));
            refuse(sources, Code::NotUtf8, message, "save it as UTF-8");
            None
        }
    }
}

/// Reads at most one byte more than the limit: a huge file is refused without being read.
fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
