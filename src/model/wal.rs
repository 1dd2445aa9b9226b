//! Positions, commits and targets in PostgreSQL's write-ahead log, as recorded.

use super::time::{Stamp, Wall};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A log sequence number: a byte position in the write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:08X}", self.0 >> 32, self.0 as u32)
    }
}

impl FromStr for Lsn {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.trim().split_once('/').ok_or(())?;
        if high.is_empty() || low.is_empty() || high.len() > 8 || low.len() > 8 {
            return Err(());
        }
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u64::from_str_radix(s, 16).ok()).flatten().ok_or(());
        Ok(Lsn((digits(high)? << 32) | digits(low)?))
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(|()| serde::de::Error::custom(format!("`{text}` is not an LSN such as 0/3000028")))
    }
}

/// The name of a file in the archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WalFile {
    /// A whole segment: timeline and segment number.
    Segment(u32, u64),
    /// The last, partly filled segment of a timeline that ended there.
    Partial(u32, u64),
    /// The history of a timeline.
    History(u32),
    /// The record of a base backup's end.
    Backup(String),
}

impl WalFile {
    /// Reads a file name as PostgreSQL gives it to `archive_command`; `None` for anything else, another spelling of the
    /// same number included: one file has one name.
    ///
    /// `segment_size` in bytes; the number of segments per 4 GiB "xlogid" depends on it.
    pub fn parse(name: &str, segment_size: u64) -> Option<WalFile> {
        let digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
        let hex = |s: &str| (s.len() == 8 && s.bytes().all(digit)).then(|| u32::from_str_radix(s, 16).ok()).flatten();
        if let Some(timeline) = name.strip_suffix(".history") {
            return hex(timeline).map(WalFile::History);
        }
        if name.len() < 24 || !name.is_char_boundary(24) {
            return None;
        }
        let (segment, rest) = name.split_at(24);
        let per_id = segments_per_id(segment_size);
        let (timeline, high, low) = (hex(segment.get(..8)?)?, hex(segment.get(8..16)?)?, hex(segment.get(16..)?)?);
        let number = u64::from(high) * per_id + Some(u64::from(low)).filter(|l| *l < per_id)?;
        match rest {
            "" => Some(WalFile::Segment(timeline, number)),
            ".partial" => Some(WalFile::Partial(timeline, number)),
            _ => {
                let offset = rest.strip_prefix('.').and_then(|r| r.strip_suffix(".backup"))?;
                hex(offset).map(|_| WalFile::Backup(name.to_string()))
            }
        }
    }

    /// The name of a segment.
    pub fn segment_name(timeline: u32, number: u64, segment_size: u64) -> String {
        let per_id = segments_per_id(segment_size);
        format!("{timeline:08X}{:08X}{:08X}", number / per_id, number % per_id)
    }
}

/// Segments per 4 GiB; a size that no server has counts as the nearest that could be.
fn segments_per_id(segment_size: u64) -> u64 {
    ((1u64 << 32) / segment_size.max(1)).max(1)
}

/// One transaction's end in the archive, in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Where the record begins.
    pub lsn: Lsn,
    /// Timeline of the segment that it was read from.
    pub tli: u32,
    /// Transaction id, 32 bits as the log has it.
    #[serde(rename = "x")]
    pub xid: u32,
    /// The server's wall clock at the end of the transaction.
    pub ts: Wall,
    /// False for an abort.
    #[serde(rename = "c")]
    pub committed: bool,
}

/// What was read from the archive, one line of `commits.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "kebab-case")]
pub enum WalLine {
    /// A transaction's end.
    Commit(Commit),
    /// A named restore point.
    RestorePoint {
        /// Where the record begins.
        lsn: Lsn,
        /// Its name.
        name: String,
    },
    /// What was read.
    Range {
        /// First position that was read.
        from: Lsn,
        /// End of what was readable.
        to: Lsn,
        /// Timeline.
        tli: u32,
        /// The program that read it.
        by: String,
    },
}

/// How a recovery is told where to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A restore point.
    Name,
    /// A position.
    Lsn,
    /// A moment on the server's wall clock.
    Time,
    /// A transaction.
    Xid,
    /// The end of the archive.
    End,
}

impl TargetKind {
    /// As it is written in scenarios.
    pub fn word(self) -> &'static str {
        match self {
            TargetKind::Name => "name",
            TargetKind::Lsn => "lsn",
            TargetKind::Time => "time",
            TargetKind::Xid => "xid",
            TargetKind::End => "end",
        }
    }
}

/// A recovery target as it was located, recorded before the recovery began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What kind of target.
    pub kind: TargetKind,
    /// As given to the server (`recovery_target_…`).
    pub value: String,
    /// `recovery_target_inclusive`.
    pub inclusive: bool,
    /// `recovery_target_timeline` as given.
    pub timeline: String,
    /// How the operator knew it: `wal`, `alert` or `oracle`.
    pub known_from: String,
    /// When it was known.
    pub at: Stamp,
    /// How it was found, step by step, for people.
    pub found: Vec<String>,
    /// The commit record of the damage, where it was found in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Lsn>,
    /// The server clock's uncertainty when a time is the target, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_us: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_archived_files() {
        let mib = 1 << 20;
        assert_eq!(WalFile::parse("000000010000000000000005", 16 * mib), Some(WalFile::Segment(1, 5)));
        assert_eq!(WalFile::parse("000000020000000100000000", 16 * mib), Some(WalFile::Segment(2, 256)));
        assert_eq!(WalFile::parse("000000020000000100000000", mib), Some(WalFile::Segment(2, 4096)));
        assert_eq!(WalFile::parse("00000002.history", mib), Some(WalFile::History(2)));
        assert_eq!(WalFile::parse("000000010000000000000005.partial", mib), Some(WalFile::Partial(1, 5)));
        assert!(matches!(WalFile::parse("000000010000000000000005.00000028.backup", mib), Some(WalFile::Backup(_))));
        for bad in ["", "x", "00000001000000000000000", "0000000100000000000000zz", "README", "ÄÄÄÄÄÄÄÄÄÄÄÄÄ"] {
            assert_eq!(WalFile::parse(bad, mib), None, "{bad}");
        }
        assert_eq!(WalFile::segment_name(2, 4096, mib), "000000020000000100000000");
    }

    #[test]
    fn lsn_round_trips() {
        let lsn: Lsn = "1/A0000028".parse().unwrap();
        assert_eq!(lsn, Lsn((1 << 32) | 0xA000_0028));
        assert_eq!(lsn.to_string().parse(), Ok(lsn));
        assert!("1".parse::<Lsn>().is_err() && "/1".parse::<Lsn>().is_err() && "1/123456789".parse::<Lsn>().is_err());
    }
}
