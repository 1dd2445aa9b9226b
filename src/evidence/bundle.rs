//! The directory of one run: reading its record back, and sealing it.

use crate::model::event::Stamped;
use crate::model::plan::{PLAN_VERSION, Plan};
use crate::model::readback::ReadLine;
use crate::model::wal::WalLine;
use crate::verdict::Record;
use crate::verdict::book::BookReader;
use crate::verdict::seen::{Seen, SeenReader};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What can go wrong with evidence.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// A file could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {why}")]
    Malformed {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
    /// The directory is not evidence at all.
    #[error("{0}: the raw record is gone: there is no plan.json and no events.jsonl in it")]
    NotEvidence(String),
}

type Result<T> = std::result::Result<T, EvidenceError>;

/// Files that are compressed when a run is sealed.
const COMPRESSED: [&str; 4] = ["ledger.jsonl", "readback-recovered.jsonl", "readback-control.jsonl", "commits.jsonl"];

/// Files by which a directory is known as that of a run, also one whose raw record somebody removed.
const MARKS: [&str; 7] =
    ["plan.json", "events.jsonl", "run.json", "environment.json", "ledger.jsonl", "ledger.jsonl.zst", "readback-recovered.jsonl.zst"];

/// Whether a directory holds the evidence of a run, or what is left of it.
pub fn is_run(dir: &Path) -> bool {
    MARKS.iter().any(|name| dir.join(name).exists())
}

pub(super) fn doing<T>(result: io::Result<T>, what: impl FnOnce() -> String) -> Result<T> {
    result.map_err(|source| EvidenceError::Io { what: what(), source })
}

/// Opens `name`, or `name.zst`; `None` if neither is there.
fn open(dir: &Path, name: &str) -> Result<Option<Box<dyn BufRead>>> {
    let plain = dir.join(name);
    if plain.exists() {
        let file = doing(File::open(&plain), || format!("open {}", plain.display()))?;
        return Ok(Some(Box::new(BufReader::with_capacity(256 << 10, file))));
    }
    let packed = dir.join(format!("{name}.zst"));
    if !packed.exists() {
        return Ok(None);
    }
    let file = doing(File::open(&packed), || format!("open {}", packed.display()))?;
    let decoder = doing(zstd::Decoder::new(file), || format!("open {}", packed.display()))?;
    Ok(Some(Box::new(BufReader::with_capacity(256 << 10, decoder))))
}

/// Reads the record of a run. Lines that cannot be read are named in it, never passed over in silence.
pub fn load(dir: &Path) -> Result<Record> {
    if !dir.join("plan.json").exists() && !dir.join("events.jsonl").exists() {
        return Err(EvidenceError::NotEvidence(dir.display().to_string()));
    }
    let mut record = Record::default();
    if dir.join("plan.json").exists() {
        let text = doing(std::fs::read_to_string(dir.join("plan.json")), || "read plan.json".into())?;
        match serde_json::from_str::<Plan>(&text) {
            Ok(plan) if plan.plan == PLAN_VERSION => record.plan = Some(plan),
            Ok(plan) => record.unreadable.push(format!("plan.json is of version {}, this program reads {PLAN_VERSION}", plan.plan)),
            Err(e) => record.unreadable.push(format!("plan.json: {e}")),
        }
    }
    each::<Stamped>(dir, "events.jsonl", &mut record.unreadable, |e| record.events.push(e))?;
    check_order(&mut record);
    record.book = read_book(dir)?;
    let data = record.plan.as_ref().map_or(0, |p| p.data_bytes);
    let destroyed = destroyed_table(&record);
    if let Some(book) = &record.book {
        let mut bad = Vec::new();
        let mut seen = |name: &str, exempt: Option<&str>| -> Result<Option<Seen>> {
            let mut reader = SeenReader::new(book, data);
            let found = each::<ReadLine>(dir, name, &mut bad, |line| reader.take(line))?;
            Ok(found.then(|| reader.finish(exempt)))
        };
        let recovered = seen("readback-recovered.jsonl", None)?;
        let control = seen("readback-control.jsonl", destroyed.as_deref())?;
        (record.recovered, record.control) = (recovered, control);
        record.unreadable.extend(bad);
    }
    let mut wal = Vec::new();
    if each::<WalLine>(dir, "commits.jsonl", &mut record.unreadable, |line| wal.push(line))? {
        record.wal = Some(wal);
    }
    Ok(record)
}

/// The table that the damage destroys: the control restore replays that, too.
fn destroyed_table(record: &Record) -> Option<String> {
    let step = record.plan.as_ref()?.steps.iter().find(|s| s.action == "fault" && s.name == "drop-table")?;
    Some(step.params.get("table").and_then(|t| t.as_str()).unwrap_or("ledger_b").to_string())
}

/// Stamps of one recorder never go back by more than the time between taking a stamp and writing it; an event out of
/// order was moved.
fn check_order(record: &mut Record) {
    const LATE: u64 = 5_000_000_000;
    let mut latest = 0;
    for (i, e) in record.events.iter().enumerate() {
        if e.t.0.saturating_add(LATE) < latest {
            record.unreadable.push(format!("events.jsonl line {}: its stamp lies {} ns before an earlier line's", i + 1, latest - e.t.0));
            return;
        }
        latest = latest.max(e.t.0);
    }
}

fn read_book(dir: &Path) -> Result<Option<crate::verdict::book::Book>> {
    let Some(input) = open(dir, "ledger.jsonl")? else { return Ok(None) };
    let mut reader = BookReader::default();
    let read = each_line(input, |line| {
        reader.take(line);
        ControlFlow::Continue(())
    });
    doing(read.map_err(|(_, e)| e), || "read the ledger".into())?;
    Ok(Some(reader.finish()))
}

/// Longest line of a record. The longest that is written is the listing of an archive; a small file that unpacks to one
/// line without an end is refused.
const LONGEST_LINE: u64 = 64 << 20;

/// Gives each line to `take`, without its line break, until that breaks off. An error comes with the line's number, from 1.
fn each_line(mut input: impl BufRead, mut take: impl FnMut(&str) -> ControlFlow<()>) -> std::result::Result<(), (usize, io::Error)> {
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        match (&mut input).take(LONGEST_LINE).read_line(&mut line) {
            Ok(0) => break,
            Ok(n) if n as u64 == LONGEST_LINE => return Err((number, io::Error::other(format!("a line of {LONGEST_LINE} bytes or more")))),
            Ok(_) => {}
            Err(e) => return Err((number, e)),
        }
        let text = line.strip_suffix('\n').unwrap_or(&line);
        if take(text).is_break() {
            break;
        }
    }
    Ok(())
}

/// Reads a file of JSON lines; `false` if it is not there. The first line that cannot be read ends it.
fn each<T: DeserializeOwned>(dir: &Path, name: &str, bad: &mut Vec<String>, mut take: impl FnMut(T)) -> Result<bool> {
    let Some(input) = open(dir, name)? else { return Ok(false) };
    let (mut number, mut malformed) = (0, None);
    let read = each_line(input, |line| {
        number += 1;
        match serde_json::from_str(line) {
            Ok(value) => take(value),
            Err(e) => malformed = Some((number, e.into())),
        }
        if malformed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Some((number, e)) = read.err().or(malformed) {
        bad.push(format!("{name} line {number}: {e}"));
    }
    Ok(true)
}

/// Compresses the large files of a finished run. What was there before is removed only after its successor is durable.
pub fn compress(dir: &Path) -> Result<()> {
    for name in COMPRESSED {
        let plain = dir.join(name);
        if !plain.exists() {
            continue;
        }
        let packed = dir.join(format!("{name}.zst"));
        let work = || -> io::Result<()> {
            let mut from = File::open(&plain)?;
            let mut encoder = zstd::Encoder::new(File::create(&packed)?, 3)?;
            io::copy(&mut from, &mut encoder)?;
            encoder.finish()?.sync_all()?;
            std::fs::remove_file(&plain)
        };
        doing(work(), || format!("compress {name}"))?;
    }
    Ok(())
}

/// Writes a file of the evidence durably.
pub fn write(dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let work = || -> io::Result<()> {
        let mut file = File::create(&path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    doing(work(), || format!("write {}", path.display()))
}

/// Reads a file of the evidence.
pub fn read(dir: &Path, name: &str) -> Result<Vec<u8>> {
    let path = dir.join(name);
    let mut content = Vec::new();
    let mut work = || File::open(&path)?.read_to_end(&mut content);
    doing(work(), || format!("read {}", path.display()))?;
    Ok(content)
}

/// Gives a finished directory its final name: until then it is marked as partial, and never mistaken for a whole one.
pub fn publish(partial: &Path, whole: &Path) -> Result<PathBuf> {
    let work = || -> io::Result<()> {
        std::fs::rename(partial, whole)?;
        if let Some(parent) = whole.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    doing(work(), || format!("publish {}", whole.display()))?;
    Ok(whole.to_path_buf())
}
