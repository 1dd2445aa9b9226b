//! What the archive must hold, and how it must be kept.

use super::record::Record;
use crate::model::event::Event;
use crate::model::wal::WalFile;
use std::collections::{BTreeMap, BTreeSet};

/// Files that PostgreSQL was told are archived, and that the listing at the recovery does not have. Only files that were
/// acknowledged before the listing, and that the base backup needs, count; the number says how many these are.
pub fn acknowledged_and_missing(r: &Record) -> Option<(usize, Vec<String>)> {
    let (listed_at, files) = r.events.iter().find_map(|e| match &e.event {
        Event::ArchiveListed { files } => Some((e.t, files)),
        _ => None,
    })?;
    let there: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let from = first_needed(r);
    let acknowledged = r.events.iter().filter(|e| e.t <= listed_at).filter_map(|e| match &e.event {
        Event::SegmentAcknowledged { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let due: BTreeSet<&str> = acknowledged.filter(|n| needed(n, from.as_deref())).collect();
    Some((due.len(), due.iter().filter(|n| !there.contains(**n)).map(|n| n.to_string()).collect()))
}

/// Whether a file is one that the base backup needs: names of segments sort within a timeline.
fn needed(name: &str, from: Option<&str>) -> bool {
    match from {
        Some(first) if name.len() == 24 && name.get(..8) == first.get(..8) => name >= first,
        _ => true,
    }
}

/// Name of the segment in which the base backup begins.
fn first_needed(r: &Record) -> Option<String> {
    let (timeline, start) = r.events.iter().find_map(|e| match &e.event {
        Event::BaseBackup { timeline, start, .. } => Some((*timeline, *start)),
        _ => None,
    })?;
    let segment = segment_size(r)?;
    Some(WalFile::segment_name(timeline, start.0 / segment, segment))
}

/// Bytes of a segment, from the recorded setting (`16MB`, `1MB`).
fn segment_size(r: &Record) -> Option<u64> {
    let text = r.settings(crate::model::event::Role::Origin)?.get("wal_segment_size")?;
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let unit = match &text[digits.len()..] {
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "kB" => 1 << 10,
        _ => 1,
    };
    // What no server has is not divided by.
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|n| (1 << 20..=1 << 30).contains(n))
}

/// Objects whose stored bytes were looked at: key → cipher by header.
pub fn ciphers(r: &Record) -> BTreeMap<&str, &str> {
    let inspected = r.events.iter().filter_map(|e| match &e.event {
        Event::ObjectInspected { key, cipher, .. } if !cipher.is_empty() => Some((key.as_str(), cipher.as_str())),
        _ => None,
    });
    inspected.collect()
}

/// Objects that were opened with the key and read to their end.
pub fn opened(r: &Record) -> usize {
    with(r, true).len()
}

/// Objects that could not be opened with the key, or not be read to their end.
pub fn unopened(r: &Record) -> Vec<String> {
    with(r, false).into_iter().map(String::from).collect()
}

fn with(r: &Record, wanted: bool) -> BTreeSet<&str> {
    let keys = r.events.iter().filter_map(|e| match &e.event {
        Event::ObjectInspected { key, opened: Some(opened), .. } if *opened == wanted => Some(key.as_str()),
        _ => None,
    });
    keys.collect()
}
