//! The manifest of a base backup (`backup_manifest`, PostgreSQL 13 and later), and what differs from it.

use super::super::error::{Error, Outcome};
use crate::model::wal::Lsn;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A manifest as `pg_basebackup` writes it.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// Every file of the backup.
    #[serde(rename = "Files")]
    pub files: Vec<ManifestFile>,
    /// The log that is needed.
    #[serde(rename = "WAL-Ranges", default)]
    pub wal: Vec<WalRange>,
    /// The cluster, from PostgreSQL 17 on.
    #[serde(rename = "System-Identifier", default)]
    pub system_identifier: Option<u64>,
}

/// One file of a manifest.
#[derive(Debug, Clone, Deserialize)]
pub struct ManifestFile {
    /// Path below the data directory; absent where the name is not UTF-8 (`Encoded-Path`).
    #[serde(rename = "Path", default)]
    pub path: Option<String>,
    /// Bytes.
    #[serde(rename = "Size")]
    pub size: u64,
    /// `SHA256`, `CRC32C`, …
    #[serde(rename = "Checksum-Algorithm", default)]
    pub algorithm: Option<String>,
    /// In hexadecimal.
    #[serde(rename = "Checksum", default)]
    pub checksum: Option<String>,
}

/// A stretch of log.
#[derive(Debug, Clone, Deserialize)]
pub struct WalRange {
    /// Timeline.
    #[serde(rename = "Timeline")]
    pub timeline: u32,
    /// From here.
    #[serde(rename = "Start-LSN")]
    pub start: Lsn,
    /// To here.
    #[serde(rename = "End-LSN")]
    pub end: Lsn,
}

/// What was found of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads a manifest and checks its own checksum.
    pub fn read(bytes: &[u8]) -> Outcome<Manifest> {
        let bad = |why: String| Error::Other(format!("the backup's manifest cannot be used: {why}"));
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        // "the checksum of the manifest itself", over everything up to the line that carries it.
        let marker = b"\"Manifest-Checksum\": \"";
        let at = bytes.windows(marker.len()).rposition(|w| w == marker).ok_or_else(|| bad("it has no checksum of its own".into()))?;
        let digest = crate::model::seed::hex(&Sha256::digest(&bytes[..at]));
        let said = bytes.get(at + marker.len()..at + marker.len() + 64).unwrap_or_default();
        if said != digest.as_bytes() {
            return Err(bad("it does not match its own checksum".into()));
        }
        Ok(manifest)
    }

    /// Everything in which the files found differ from the manifest: `(path, problem)`, sorted.
    ///
    /// Files that the manifest does not list are differences, too, the two exceptions of `pg_verifybackup`
    /// apart: the log itself, and what the server writes while it starts.
    pub fn differences(&self, found: &BTreeMap<String, Found>) -> Vec<(String, String)> {
        let mut out = Vec::new();
        let mut listed = std::collections::BTreeSet::new();
        for file in &self.files {
            let Some(path) = &file.path else { continue };
            listed.insert(path.as_str());
            match found.get(path) {
                None => out.push((path.clone(), "missing".to_string())),
                Some(f) if f.size != file.size => out.push((path.clone(), format!("{} bytes instead of {}", f.size, file.size))),
                Some(f) => {
                    if file.algorithm.as_deref() == Some("SHA256") && file.checksum.as_deref() != Some(f.sha256.as_str()) {
                        out.push((path.clone(), "other content".to_string()));
                    }
                }
            }
        }
        for path in found.keys() {
            if !listed.contains(path.as_str()) && !path.starts_with("pg_wal/") && path != "backup_manifest" {
                out.push((path.clone(), "not in the manifest".to_string()));
            }
        }
        out.sort();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Vec<u8> {
        let body = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n\
            { \"Path\": \"base/5/1\", \"Size\": 3, \"Last-Modified\": \"x\", \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\" }\n],\n\
            \"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }\n],\n";
        let digest = crate::model::seed::sha256(body.as_bytes());
        format!("{body}\"Manifest-Checksum\": \"{digest}\"}}\n").into_bytes()
    }

    #[test]
    fn differences_are_named() {
        let m = Manifest::read(&manifest()).unwrap();
        let good = Found { size: 3, sha256: crate::model::seed::sha256(b"abc") };
        let with = |files: &[(&str, Found)]| m.differences(&files.iter().map(|(p, f)| (p.to_string(), f.clone())).collect());
        assert_eq!(with(&[("base/5/1", good.clone()), ("pg_wal/000000010000000000000002", good.clone())]), vec![]);
        assert_eq!(with(&[]), vec![("base/5/1".to_string(), "missing".to_string())]);
        assert_eq!(with(&[("base/5/1", Found { sha256: "0".into(), ..good.clone() })])[0].1, "other content");
        assert_eq!(with(&[("base/5/1", Found { size: 4, ..good.clone() })])[0].1, "4 bytes instead of 3");
        assert_eq!(with(&[("base/5/1", good.clone()), ("base/5/2", good)])[0].1, "not in the manifest");
    }

    #[test]
    fn an_edited_manifest_is_refused() {
        let text = String::from_utf8(manifest()).unwrap().replace("\"Size\": 3", "\"Size\": 4");
        assert!(Manifest::read(text.as_bytes()).unwrap_err().to_string().contains("own checksum"));
    }
}
