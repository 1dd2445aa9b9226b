//! Finding the recovery target as a victim would have to: in the archive.

use super::backup::basebackup_wal::TableNote;
use super::backup::waldump::{Said, Storage, read_line};
use super::error::{Error, Outcome};
use super::lab::{Call, Node};
use super::recorder::Recorder;
use crate::model::event::{Actor, FailureClass};
use crate::model::wal::{Commit, Lsn, WalFile, WalLine};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What the archive says, in the order of the log.
#[derive(Debug, Clone, Default)]
pub struct WalMap {
    /// Transactions' ends with what they dropped and whose caches they invalidated.
    pub ends: Vec<End>,
    /// Storage created, by transaction.
    pub creates: HashMap<u32, Vec<Storage>>,
    /// Restore points.
    pub points: Vec<(Lsn, String)>,
    /// First full-page image of each page, where asked for.
    pub images: HashMap<(Storage, u64), Lsn>,
    /// First position read.
    pub from: Lsn,
    /// Last record read.
    pub to: Lsn,
    /// Timeline.
    pub tli: u32,
    /// What read it.
    pub by: String,
}

/// One transaction's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The record.
    pub commit: Commit,
    /// Subtransactions.
    pub subxacts: Vec<u32>,
    /// Storage dropped.
    pub drops: Vec<Storage>,
    /// Relations whose cache entries were invalidated.
    pub relcache: Vec<u32>,
}

impl WalMap {
    fn take(&mut self, said: Said) {
        match said {
            Said::End { commit, subxacts, drops, relcache } => self.ends.push(End { commit, subxacts, drops, relcache }),
            Said::Create { xid, storage, .. } => self.creates.entry(xid).or_default().push(storage),
            Said::RestorePoint { lsn, name } => self.points.push((lsn, name)),
            Said::Image { lsn, storage, fork, block } if fork == "main" => {
                self.images.entry((storage, block)).or_insert(lsn);
            }
            Said::Image { .. } | Said::Other { .. } => {}
        }
    }

    /// The lines of `commits.jsonl`.
    pub fn lines(&self) -> impl Iterator<Item = WalLine> + '_ {
        let range = WalLine::Range { from: self.from, to: self.to, tli: self.tli, by: self.by.clone() };
        let points = self.points.iter().map(|(lsn, name)| WalLine::RestorePoint { lsn: *lsn, name: name.clone() });
        std::iter::once(range).chain(self.ends.iter().map(|e| WalLine::Commit(e.commit))).chain(points)
    }
}

/// Checks that the archive has every segment of a timeline from a position on: the first that is missing although
/// a later one is there, or although it is the very first.
pub fn first_gap<'n>(names: impl Iterator<Item = &'n str>, tli: u32, from: Lsn, segment: u64) -> Option<String> {
    let numbers: BTreeSet<u64> = names
        .filter_map(|n| match WalFile::parse(n, segment) {
            Some(WalFile::Segment(t, number)) if t == tli => Some(number),
            _ => None,
        })
        .collect();
    let first = from.0 / segment;
    let last = numbers.last().copied().unwrap_or(first);
    (first..=last.max(first)).find(|n| !numbers.contains(n)).map(|n| WalFile::segment_name(tli, n, segment))
}

/// Reads the archive's files in a directory of the node with `pg_waldump`, from a position to their end.
///
/// `files` are the names that are there: without an end, the program waits five seconds for a next one (tried).
pub async fn read_wal(node: &Node, dir_inside: &str, log: LogRange<'_>, images: bool, recorder: &Arc<Recorder>) -> Outcome<WalMap> {
    let work = recorder.work(Actor::Program, "pg_waldump");
    let LogRange { from, tli, segment, files } = log;
    let until = last_before_gap(files, tli, from, segment);
    let args = [format!("--path={dir_inside}"), format!("--timeline={tli}"), format!("--start={from}"), format!("--end={until}")];
    let call = Call::new("pg_waldump", args);
    let mut stream = node.stream(&call).await?;
    let mut map = WalMap { from, to: from, tli, by: "pg_waldump".into(), ..Default::default() };
    let mut rest: Vec<u8> = Vec::new();
    let mut last = String::new();
    let mut said = Vec::new();
    while let Some(piece) = stream.stdout.recv().await {
        let piece = piece.map_err(|source| Error::Io { what: "read from pg_waldump".into(), source })?;
        rest.extend_from_slice(&piece);
        let Some(end) = rest.iter().rposition(|b| *b == b'\n') else { continue };
        for line in rest[..end].split(|b| *b == b'\n') {
            // Most records are of no interest: told by their first letters, and only the last is kept.
            let wanted = ["rmgr: Trans", "rmgr: Storage", "rmgr: XLOG"].iter().any(|p| line.starts_with(p.as_bytes()));
            if wanted || images {
                read_line(&String::from_utf8_lossy(line), tli, images, &mut said);
                said.drain(..).for_each(|s| map.take(s));
            }
        }
        if let Some(line) = rest[..end].split(|b| *b == b'\n').next_back() {
            last = String::from_utf8_lossy(line).into_owned();
        }
        rest.drain(..=end);
    }
    // It ends with an error at the end of what is there; whether that is the archive's end is judged by the files.
    let _ = stream.done.await;
    drop(work);
    let mut end = Vec::new();
    read_line(&last, tli, false, &mut end);
    map.to = match end.last() {
        Some(Said::Other { lsn } | Said::RestorePoint { lsn, .. } | Said::Create { lsn, .. } | Said::Image { lsn, .. }) => *lsn,
        Some(Said::End { commit, .. }) => commit.lsn,
        None => map.from,
    };
    Ok(map)
}

/// A stretch of the archive to read.
#[derive(Clone, Copy)]
pub struct LogRange<'a> {
    /// First position.
    pub from: Lsn,
    /// Timeline.
    pub tli: u32,
    /// Bytes of a segment.
    pub segment: u64,
    /// Names and sizes of the files that are there.
    pub files: &'a BTreeMap<String, u64>,
}

/// The end of the last segment that can be reached from a position without a gap.
fn last_before_gap(files: &BTreeMap<String, u64>, tli: u32, from: Lsn, segment: u64) -> Lsn {
    let mut number = from.0 / segment;
    while files.contains_key(&WalFile::segment_name(tli, number, segment)) {
        number += 1;
    }
    Lsn(number * segment)
}

/// The damage as found in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The transaction that dropped the table's storage without replacing it.
    pub commit: Commit,
    /// How it was found, for people.
    pub steps: Vec<String>,
}

/// Finds the last commit that dropped a table's storage without replacing it.
///
/// A rewrite (TRUNCATE, VACUUM FULL, CLUSTER, ALTER TABLE) also drops the table's storage, but creates new storage in
/// the same transaction: it is followed. Which of the new files is the table's and which are its indexes' is not in
/// the log, so all of them are candidates from then on; the next drop tells.
pub fn find_drop(map: &WalMap, table: &TableNote) -> Outcome<Damage> {
    let mut steps = vec![format!("{} was file node {} in database {} when it was backed up", table.name, table.node, table.database)];
    let mut candidates: BTreeSet<u32> = BTreeSet::from([table.node]);
    let mut found: Option<&End> = None;
    for end in map.ends.iter().filter(|e| e.commit.committed) {
        if !end.drops.iter().any(|d| d.database == table.database && candidates.contains(&d.node)) {
            continue;
        }
        let made: BTreeSet<u32> = std::iter::once(&end.commit.xid)
            .chain(&end.subxacts)
            .filter_map(|x| map.creates.get(x))
            .flatten()
            .filter(|s| s.database == table.database && !end.drops.contains(s))
            .map(|s| s.node)
            .collect();
        if made.is_empty() {
            steps.push(format!("transaction {} at {} dropped it and created nothing in its place", end.commit.xid, end.commit.lsn));
            found = Some(end);
            break;
        }
        steps.push(format!("transaction {} at {} rewrote it (now one of {})", end.commit.xid, end.commit.lsn, listed(&made)));
        candidates = made;
    }
    match found {
        Some(end) => Ok(Damage { commit: end.commit, steps }),
        None => {
            steps.push(format!("no commit up to {} dropped it", map.to));
            Err(Error::failed(FailureClass::DamageNotFound, steps.join("; ")))
        }
    }
}

fn listed(nodes: &BTreeSet<u32>) -> String {
    nodes.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// Which damaged pages of restored files a full-page image in the log overwrites. `Err` names the first that none does.
pub fn heal(pages: &[(String, Vec<u64>)], map: &WalMap) -> Result<Vec<(String, u64, Lsn)>, String> {
    let mut healed = Vec::new();
    for (file, blocks) in pages {
        let Some(storage) = storage_of(file) else { return Err(format!("{file} is not a relation's file")) };
        if blocks.is_empty() {
            return Err(format!("{file} differs from its manifest, and no page of it shows where"));
        }
        for block in blocks {
            match map.images.get(&(storage, *block)) {
                Some(lsn) => healed.push((file.clone(), *block, *lsn)),
                None => return Err(format!("block {block} of {file} is damaged, and no full-page image before the target replaces it")),
            }
        }
    }
    Ok(healed)
}

/// `base/5/16384.1` → database 5, node 16384; main forks only.
fn storage_of(path: &str) -> Option<Storage> {
    let (dir, name) = path.rsplit_once('/')?;
    let database = if dir == "global" { 0 } else { dir.rsplit('/').next()?.parse().ok()? };
    let node = name.split('.').next()?.parse().ok()?;
    Some(Storage { database, node })
}

/// Restricts a map to what lies before a position: images after the target heal nothing.
pub fn before(map: &WalMap, end: Lsn) -> WalMap {
    let images: HashMap<_, _> = map.images.iter().filter(|(_, lsn)| **lsn < end).map(|(k, v)| (*k, *v)).collect();
    WalMap { images, ..map.clone() }
}

/// The timeline that a file of an archive belongs to; `None` for what is no file of an archive.
fn timeline_of(name: &str, segment: u64) -> Option<u32> {
    WalFile::parse(name, segment)?;
    u32::from_str_radix(name.get(..8)?, 16).ok()
}

/// Every timeline that the names of an archive's files belong to.
pub fn timelines(names: &BTreeMap<String, u64>, segment: u64) -> BTreeSet<u32> {
    names.keys().filter_map(|n| timeline_of(n, segment)).collect()
}

/// Names of an archive's files that are of a later timeline than the base backup's: no instance of the run has made one before
/// its recovery.
pub fn foreign_timelines(names: &BTreeMap<String, u64>, own: u32, segment: u64) -> Vec<String> {
    names.keys().filter(|n| timeline_of(n, segment).is_some_and(|t| t > own)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Wall;

    const TABLE: u32 = 16_384;

    fn note() -> TableNote {
        TableNote { name: "public.ledger_b".into(), oid: TABLE, node: TABLE, database: 5 }
    }

    fn end(xid: u32, drops: &[u32]) -> End {
        let commit = Commit { lsn: Lsn(u64::from(xid) * 100), tli: 1, xid, ts: Wall(0), committed: true };
        End { commit, subxacts: vec![], drops: drops.iter().map(|n| Storage { database: 5, node: *n }).collect(), relcache: vec![] }
    }

    fn map(ends: Vec<End>, creates: &[(u32, &[u32])]) -> WalMap {
        let creates = creates.iter().map(|(x, n)| (*x, n.iter().map(|node| Storage { database: 5, node: *node }).collect())).collect();
        WalMap { ends, creates, ..Default::default() }
    }

    #[test]
    fn a_plain_drop_is_found() {
        let m = map(vec![end(10, &[999]), end(11, &[TABLE, 16_390]), end(12, &[])], &[]);
        assert_eq!(find_drop(&m, &note()).unwrap().commit.xid, 11);
    }

    #[test]
    fn rewrites_are_followed_to_the_drop() {
        // TRUNCATE makes 20000 (table) and 20001 (index); VACUUM FULL makes 20010 and 20011; then the drop.
        let m = map(
            vec![end(10, &[TABLE, 16_390]), end(11, &[20_000, 20_001]), end(12, &[20_010, 20_011])],
            &[(10, &[20_000, 20_001]), (11, &[20_010, 20_011])],
        );
        let found = find_drop(&m, &note()).unwrap();
        assert_eq!(found.commit.xid, 12);
        assert_eq!(found.steps.len(), 4);
    }

    #[test]
    fn an_aborted_drop_is_not_the_damage() {
        let mut aborted = end(10, &[TABLE]);
        aborted.commit.committed = false;
        let e = find_drop(&map(vec![aborted], &[]), &note()).unwrap_err();
        assert!(matches!(e, Error::Failed { class: FailureClass::DamageNotFound, .. }));
    }

    #[test]
    fn a_rewrite_in_a_subtransaction_is_a_rewrite() {
        let mut rewriting = end(10, &[TABLE]);
        rewriting.subxacts = vec![77];
        assert!(find_drop(&map(vec![rewriting], &[(77, &[20_000])]), &note()).is_err());
    }

    #[test]
    fn gaps_in_the_archive_are_found() {
        let seg = 1 << 20;
        let name = |n| WalFile::segment_name(1, n, seg);
        let names = [name(2), name(3), name(5)];
        let all = || names.iter().map(String::as_str);
        assert_eq!(first_gap(all(), 1, Lsn(2 * seg + 40), seg), Some(name(4)));
        assert_eq!(first_gap(all().take(2), 1, Lsn(2 * seg + 40), seg), None);
        assert_eq!(first_gap(all(), 1, Lsn(seg), seg), Some(name(1)));
        assert_eq!(first_gap(std::iter::empty(), 1, Lsn(seg), seg), Some(name(1)));
    }

    #[test]
    fn a_stray_timeline_shows_by_any_of_its_files() {
        let seg = 1 << 20;
        let of = |names: &[&str]| {
            let names: BTreeMap<String, u64> = names.iter().map(|n| (n.to_string(), 1)).collect();
            (timelines(&names, seg).into_iter().collect::<Vec<_>>(), foreign_timelines(&names, 1, seg))
        };
        let own = ["000000010000000000000002", "000000010000000000000002.00000028.backup", "000000010000000000000003.partial"];
        assert_eq!(of(&own), (vec![1], vec![]));
        for stray in ["00000002.history", "000000020000000000000001", "000000020000000000000003.partial", "000000030000000000000002.00000028.backup"]
        {
            let timeline = u32::from_str_radix(&stray[..8], 16).unwrap();
            assert_eq!(of(&[own[0], stray, "notes.txt"]), (vec![1, timeline], vec![stray.to_string()]), "{stray}");
        }
        assert_eq!(of(&[]), (vec![], vec![]));
    }

    #[test]
    fn only_an_image_of_that_page_heals() {
        let mut m = WalMap::default();
        m.images.insert((Storage { database: 5, node: TABLE }, 3), Lsn(500));
        let page = |blocks: &[u64]| vec![("base/5/16384".to_string(), blocks.to_vec())];
        assert_eq!(heal(&page(&[3]), &m).unwrap(), vec![("base/5/16384".to_string(), 3, Lsn(500))]);
        assert!(heal(&page(&[3, 4]), &m).is_err());
        assert!(heal(&page(&[]), &m).is_err());
        assert!(heal(&page(&[3]), &before(&m, Lsn(500))).is_err());
    }
}
