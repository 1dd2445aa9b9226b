//! The seal of a finished directory: SHA-256 of every file in it, as `sha256sum -c SHA256SUMS` reads it.
//!
//! The verdict is computed from a few of the files, and not from every byte of them. The seal covers the rest: logs, the
//! page, the located target, events that no judgement looks at. It shows what was changed by accident or without care;
//! whoever can write the directory can write the seal, too, so it is no signature.

use super::bundle::{self, EvidenceError};
use crate::model::seed::hex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The file that holds the seal.
pub const SEAL: &str = "SHA256SUMS";

/// Seals a directory: nothing in it may change from now on.
pub fn seal(dir: &Path) -> Result<(), EvidenceError> {
    let mut text = String::new();
    for name in files(dir)? {
        text.push_str(&format!("{}  {name}\n", sum(dir, &name)?));
    }
    bundle::write(dir, SEAL, text.as_bytes())
}

/// What changed since a directory was sealed, as lines for people; none: nothing did.
pub fn check(dir: &Path) -> Result<Vec<String>, EvidenceError> {
    if !dir.join(SEAL).is_file() {
        return Ok(vec![format!("{SEAL} is not there: the directory was never sealed")]);
    }
    let mut differences = Vec::new();
    let text = bundle::read(dir, SEAL)?;
    let mut sealed: BTreeMap<&str, &str> = BTreeMap::new();
    let text = String::from_utf8_lossy(&text);
    for (i, line) in text.lines().enumerate() {
        match line.split_once("  ").filter(|(digits, name)| digits.len() == 64 && !name.is_empty()) {
            Some((digits, name)) if sealed.insert(name, digits).is_none() => {}
            _ => differences.push(format!("{SEAL} line {}: not the sum of one more file", i + 1)),
        }
    }
    for name in files(dir)? {
        match sealed.remove(name.as_str()) {
            None => differences.push(format!("{name}: it came after the directory was sealed")),
            Some(digits) if sum(dir, &name)? != digits => differences.push(format!("{name}: it changed after the directory was sealed")),
            Some(_) => {}
        }
    }
    differences.extend(sealed.into_keys().map(|name| format!("{name}: it was sealed, and is not there")));
    Ok(differences)
}

/// Everything below a directory but the seal, sorted, with `/` between names. What is no plain file is listed, too, so
/// that a check finds it; sealing it fails.
fn files(dir: &Path) -> Result<Vec<String>, EvidenceError> {
    let mut found = Vec::new();
    let mut queue = vec![String::new()];
    while let Some(below) = queue.pop() {
        let listing = bundle::doing(std::fs::read_dir(dir.join(&below)), || format!("list {below}"))?;
        for entry in listing {
            let entry = bundle::doing(entry, || format!("list {below}"))?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            // The type of the entry itself: a link is not followed.
            if bundle::doing(entry.file_type(), || format!("look at {name}"))?.is_dir() {
                queue.push(name + "/");
            } else if name != SEAL {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn sum(dir: &Path, name: &str) -> Result<String, EvidenceError> {
    let work = || -> io::Result<String> {
        let path = dir.join(name);
        if !path.symlink_metadata()?.is_file() {
            return Err(io::Error::other("not a plain file"));
        }
        let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 64 << 10]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&hash.finalize())),
                n => hash.update(&buffer[..n]),
            }
        }
    };
    bundle::doing(work(), || format!("hash {name}"))
}
