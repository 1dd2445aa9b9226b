//! A byte of the base backup is flipped before it is encrypted: in a page that nothing can heal, with a manifest that was
//! made to fit, or in a page that the log's full-page image heals.

use super::{BaseEdit, Deed, Point, Sabotage, Stage, told};
use crate::harness::backup::basebackup_wal::MANIFEST_NAME;
use crate::harness::error::Doing;
use crate::model::catalog::{Consequence, SabotageSpec};
use crate::model::seed::sha256;
use std::sync::{Mutex, PoisonError};

const COLD: SabotageSpec = SabotageSpec {
    name: "base-page-flipped",
    summary: "A byte is flipped before encryption, in a page that nothing can heal",
    consequence: Consequence::Fail,
    caught_by: &["page-corrupt"],
    scenarios: &["postgres-drop-table", "postgres-instance-lost"],
    differs_by_lab: false,
};

const FITS: SabotageSpec = SabotageSpec {
    name: "base-page-flipped-manifest-fits",
    summary: "The same, and the manifest was edited to fit",
    consequence: Consequence::Fail,
    caught_by: &["readable", "base-data"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: false,
};

const HEALED: SabotageSpec = SabotageSpec {
    name: "base-page-flipped-healed",
    summary: "A byte is flipped before encryption, in a page of which the log holds a full-page image",
    consequence: Consequence::Healed,
    caught_by: &["healed"],
    scenarios: &["postgres-drop-table"],
    differs_by_lab: false,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Cold,
    ManifestFits,
    Healed,
}

/// Flips a byte of a page.
pub struct BasePageFlipped {
    which: Which,
    /// Path of the relation's file below the data directory.
    file: Mutex<Option<String>>,
}

impl BasePageFlipped {
    /// In a page that nothing writes to afterwards.
    pub fn cold() -> BasePageFlipped {
        BasePageFlipped { which: Which::Cold, file: Mutex::default() }
    }

    /// The same, with a manifest that fits.
    pub fn manifest_fits() -> BasePageFlipped {
        BasePageFlipped { which: Which::ManifestFits, file: Mutex::default() }
    }

    /// In a page that is written to afterwards.
    pub fn healed() -> BasePageFlipped {
        BasePageFlipped { which: Which::Healed, file: Mutex::default() }
    }

    fn table(&self) -> &'static str {
        if self.which == Which::Healed { "presence" } else { "base_data" }
    }
}

/// Within a tuple of the first page: rows fill a page from its end.
const AT: usize = 8000;

impl Sabotage for BasePageFlipped {
    fn spec(&self) -> &'static SabotageSpec {
        match self.which {
            Which::Cold => &COLD,
            Which::ManifestFits => &FITS,
            Which::Healed => &HEALED,
        }
    }

    fn base_edit(&self) -> Option<BaseEdit> {
        // The recovered server's own backup, later, is left alone.
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let fits = self.which == Which::ManifestFits;
        let mut sums: Option<(String, String)> = None;
        Some(Box::new(move |path, content| {
            if path.to_str() == Some(file.as_str()) && content.len() > AT {
                let before = sha256(content);
                content[AT] ^= 0x01;
                sums = Some((before, sha256(content)));
            }
            if fits
                && path.to_str() == Some(MANIFEST_NAME)
                && let Some((before, after)) = &sums
            {
                *content = refit(content, before, after);
            }
            true
        }))
    }

    fn at<'a>(&'a self, point: Point, stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async move {
            let client = match point {
                Point::BeforeBackup | Point::BackedUp => stage.origin.connect().await.doing(|| "connect to the server".into())?,
                _ => return Ok(()),
            };
            if point == Point::BeforeBackup {
                let row = client
                    .query_one("SELECT pg_relation_filepath($1::text::regclass)", &[&self.table()])
                    .await
                    .doing(|| "ask for the table's file".into())?;
                let file: String = row.get(0);
                told(self, stage, format!("flips a byte in block 0 of {file} ({})", self.table()));
                *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
            } else if self.which == Which::Healed {
                // The first change of a page after the backup's checkpoint puts its whole image into the log.
                client.batch_execute("UPDATE presence SET n = n WHERE ctid = '(0,1)'").await.doing(|| "write to the page".into())?;
            }
            Ok(())
        })
    }
}

/// Puts another checksum into a manifest, and makes the manifest's own checksum anew.
fn refit(manifest: &[u8], before: &str, after: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(manifest).replace(before, after);
    let marker = "\"Manifest-Checksum\": \"";
    match text.find(marker) {
        Some(at) => format!("{}{marker}{}\"}}\n", &text[..at], sha256(&text.as_bytes()[..at])).into_bytes(),
        None => text.into_bytes(),
    }
}
