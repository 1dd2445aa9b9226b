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
    let sums = files(dir)?.into_iter().map(|name| Ok((sum(dir, &name)?, name))).collect::<Result<Vec<_>, EvidenceError>>()?;
    bundle::write(dir, SEAL, written(&sums).as_bytes())
}

fn written(sums: &[(String, String)]) -> String {
    sums.iter().map(|(digits, name)| format!("{digits}  {name}\n")).collect()
}

/// What changed since a directory was sealed, as lines for people; none: nothing did.
pub fn check(dir: &Path) -> Result<Vec<String>, EvidenceError> {
    if !dir.join(SEAL).is_file() {
        return Ok(vec![format!("{SEAL} is not there: the directory was never sealed")]);
    }
    let kept = bundle::read(dir, SEAL)?;
    let kept = String::from_utf8_lossy(&kept);
    let mut sealed: BTreeMap<&str, &str> = kept.lines().filter_map(|l| l.split_once("  ")).map(|(digits, name)| (name, digits)).collect();
    let (mut differences, mut sums) = (Vec::new(), Vec::new());
    for name in files(dir)? {
        let digits = sum(dir, &name)?;
        match sealed.remove(name.as_str()) {
            None => differences.push(format!("{name}: it came after the directory was sealed")),
            Some(then) if then != digits => differences.push(format!("{name}: it changed after the directory was sealed")),
            Some(_) => {}
        }
        sums.push((digits, name));
    }
    differences.extend(sealed.into_keys().map(|name| format!("{name}: it was sealed, and is not there")));
    if differences.is_empty() && kept != written(&sums) {
        differences.push(format!("{SEAL}: it is not as it was written"));
    }
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
