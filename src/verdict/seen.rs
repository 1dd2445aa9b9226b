//! What was read back, matched with the ledger row by row.

use super::book::Book;
use crate::model::ledger::{OpOutcome, chain_next, chain_start};
use crate::model::readback::{BASE_CHUNK, JOURNAL, PRESENCE, ReadLine, Row};
use crate::model::seed;
use crate::model::time::Stamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Which rows of an operation were read back, how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    /// Presence rows.
    pub presence: u8,
    /// Journal rows.
    pub journal: u8,
    /// Rows of the client's table.
    pub ledgered: u8,
}

impl Rows {
    /// The operation is there, by its presence row.
    pub fn present(self) -> bool {
        self.presence > 0
    }
}

/// A named violation with what it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Odd {
    /// Which.
    pub kind: OddKind,
    /// About what, for people.
    pub what: String,
}

/// Violations that show in one read-back alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OddKind {
    /// Read back, never attempted.
    Phantom,
    /// Read back, definitely failed.
    Resurrected,
    /// Read back more than once.
    Duplicate,
    /// Read back with another content.
    HashMismatch,
    /// Some rows of a transaction without the others.
    Partial,
    /// A row names an object that is not there, or has another content.
    DanglingRow,
    /// The base data is not what was loaded.
    BaseData,
    /// A relation or object that could not be read.
    Unreadable,
    /// A table that is not there.
    MissingTable,
}

/// A read-back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Instance that answered.
    pub instance: String,
    /// Before its snapshot was taken.
    pub from: Stamp,
    /// After its last row; `None`: it was not completed.
    pub to: Option<Stamp>,
    /// Operations that were read back.
    pub rows: BTreeMap<(u32, u64), Rows>,
    /// Tables that are not there.
    pub missing_tables: BTreeSet<String>,
    /// Markers of the fence.
    pub markers: BTreeSet<String>,
    /// Objects that were listed and read, by the operation that they belong to.
    pub objects: BTreeSet<(u32, u64)>,
    /// How many objects the listing had; `None`: nobody looked for objects.
    pub listed: Option<u64>,
    /// How many of them were recorded, one by one.
    pub recorded: u64,
    /// Rows that name an object.
    pub naming: u64,
    /// Violations that need nothing but this read-back and the ledger.
    pub odd: Vec<Odd>,
    /// Violations of each kind, counted; `odd` keeps the first few.
    pub counts: BTreeMap<OddKind, u64>,
    /// Blocks of base data that were read.
    pub base_chunks: u64,
    /// Rows of base data that were read.
    pub base_rows: u64,
}

/// Examples that are kept of each kind.
const KEPT: u64 = 5;

/// Reads a read-back line by line.
pub struct SeenReader<'b> {
    book: &'b Book,
    seen: Seen,
    /// Objects that rows name, checked at the end.
    named: Vec<(String, (u32, u64))>,
    object_sha: BTreeMap<String, Option<String>>,
    expected_rows: u64,
    chains: BTreeMap<u32, Vec<String>>,
}

impl<'b> SeenReader<'b> {
    /// A reader that knows the ledger and how much base data was loaded.
    pub fn new(book: &'b Book, data_bytes: u64) -> SeenReader<'b> {
        SeenReader {
            book,
            seen: Seen::default(),
            named: Vec::new(),
            object_sha: BTreeMap::new(),
            expected_rows: seed::base_rows(data_bytes),
            chains: BTreeMap::new(),
        }
    }

    fn odd(&mut self, kind: OddKind, what: impl Into<String>) {
        let count = self.seen.counts.entry(kind).or_default();
        *count += 1;
        if *count <= KEPT {
            self.seen.odd.push(Odd { kind, what: what.into() });
        }
    }

    /// Takes the next line.
    pub fn take(&mut self, line: ReadLine) {
        match line {
            ReadLine::Head { instance, from, .. } => (self.seen.instance, self.seen.from) = (instance, from),
            ReadLine::Table { name, exists } => {
                if !exists {
                    self.seen.missing_tables.insert(name);
                }
            }
            ReadLine::Row(row) => self.row(&row),
            ReadLine::Base { chunk, rows, sha } => self.base(chunk, rows, &sha),
            ReadLine::Objects { listed } => self.seen.listed = Some(listed),
            ReadLine::Object { key, sha, .. } => self.object(key, sha),
            ReadLine::Marker { name } => {
                self.seen.markers.insert(name);
            }
            ReadLine::Unreadable { what, why } => self.odd(OddKind::Unreadable, format!("{what}: {why}")),
            ReadLine::End { to } => self.seen.to = Some(to),
        }
    }

    fn row(&mut self, row: &Row) {
        let (c, n) = (row.client, row.seq);
        let id = format!("{c}.{n} in {}", row.table);
        let Some(client) = self.book.clients.get(&c).filter(|client| n < client.reserved) else {
            return self.odd(OddKind::Phantom, id);
        };
        let entry = self.book.entry(c, n);
        match entry.map(|e| e.outcome) {
            // Reserved without an outcome: in a ledger that was closed in order it was never sent.
            None if self.book.closed => self.odd(OddKind::Phantom, id.clone()),
            Some(OpOutcome::Fail) => self.odd(OddKind::Resurrected, id.clone()),
            _ => {}
        }
        let rows = self.seen.rows.entry((c, n)).or_default();
        let count = match row.table.as_str() {
            PRESENCE => &mut rows.presence,
            JOURNAL => &mut rows.journal,
            _ => &mut rows.ledgered,
        };
        *count = count.saturating_add(1);
        if *count > 1 {
            self.odd(OddKind::Duplicate, id.clone());
        }
        match row.table.as_str() {
            PRESENCE => {}
            JOURNAL => {
                let expected = self.chain(c, n);
                if row.chain != expected {
                    self.odd(OddKind::HashMismatch, format!("{id}: its chain"));
                }
            }
            table => {
                if table != client.table {
                    self.odd(OddKind::Phantom, id.clone());
                }
                if row.payload.as_deref() != Some(seed::payload_digits(self.book.seed, c, n).as_str()) {
                    self.odd(OddKind::HashMismatch, format!("{id}: its payload"));
                }
                let expected = entry.is_some_and(|e| e.linked).then(|| object_key(c, n));
                if row.object != expected {
                    self.odd(OddKind::HashMismatch, format!("{id}: the object that it names"));
                }
                if let Some(key) = &row.object {
                    self.seen.naming += 1;
                    self.named.push((key.clone(), (c, n)));
                }
            }
        }
    }

    /// The chain that an operation's journal row must carry: over the acknowledged ones before it, and itself.
    fn chain(&mut self, c: u32, n: u64) -> Option<String> {
        let client = self.book.clients.get(&c)?;
        let (run, seed_value) = (&self.book.run, self.book.seed);
        let chains = self.chains.entry(c).or_insert_with(|| {
            let mut last = chain_start(run, c);
            let next = |(n, entry): (usize, &Option<super::book::Entry>)| {
                let payload = seed::payload_digits(seed_value, c, n as u64);
                let chain = chain_next(&last, c, n as u64, payload.as_str());
                if entry.is_some_and(|e| e.outcome == OpOutcome::Ok) {
                    last.clone_from(&chain);
                }
                chain
            };
            client.ops.iter().enumerate().map(next).collect()
        });
        chains.get(usize::try_from(n).ok()?).cloned()
    }

    fn base(&mut self, chunk: u64, rows: u64, sha: &str) {
        if chunk != self.seen.base_chunks {
            self.odd(OddKind::BaseData, format!("block {chunk} where block {} was to come", self.seen.base_chunks));
        }
        self.seen.base_chunks += 1;
        self.seen.base_rows = self.seen.base_rows.saturating_add(rows);
        let first = chunk.saturating_mul(BASE_CHUNK);
        let last = first.saturating_add(BASE_CHUNK).min(self.expected_rows);
        let mut hash = Sha256::new();
        for id in first..last {
            hash.update(format!("{id}\t{}\n", seed::base_row(self.book.seed, id)).as_bytes());
        }
        if rows != last.saturating_sub(first) || seed::hex(&hash.finalize()) != sha {
            self.odd(OddKind::BaseData, format!("rows {first} to {}", last.saturating_sub(1)));
        }
    }

    fn object(&mut self, key: String, sha: Option<String>) {
        self.seen.recorded += 1;
        if let Some((c, n)) = parse_key(&key) {
            if sha.is_some() {
                self.seen.objects.insert((c, n));
            }
        } else {
            self.odd(OddKind::Phantom, format!("object {key}"));
        }
        self.object_sha.insert(key, sha);
    }

    /// The read-back, after the last line. `exempt`: a table that the damage destroyed and that need not be there.
    pub fn finish(mut self, exempt: Option<&str>) -> Seen {
        for table in self.seen.missing_tables.clone() {
            if Some(table.as_str()) != exempt {
                self.odd(OddKind::MissingTable, table);
            }
        }
        self.partial(exempt);
        if self.seen.listed.is_some() {
            for (key, (c, n)) in std::mem::take(&mut self.named) {
                let expected = seed::object_digits(self.book.seed, c, n);
                match self.object_sha.get(&key) {
                    Some(Some(sha)) if expected == **sha => {}
                    Some(Some(_)) => self.odd(OddKind::HashMismatch, format!("object {key}")),
                    Some(None) => self.odd(OddKind::DanglingRow, format!("{c}.{n} names {key}, which cannot be read")),
                    None => self.odd(OddKind::DanglingRow, format!("{c}.{n} names {key}, which is not there")),
                }
            }
        }
        let base_exempt = exempt == Some("base_data");
        if !base_exempt && !self.seen.missing_tables.contains("base_data") && self.seen.to.is_some() && self.seen.base_rows != self.expected_rows {
            self.odd(OddKind::BaseData, format!("{} rows instead of {}", self.seen.base_rows, self.expected_rows));
        }
        self.seen
    }

    fn partial(&mut self, exempt: Option<&str>) {
        let mut torn = Vec::new();
        for ((c, n), rows) in &self.seen.rows {
            let Some(client) = self.book.clients.get(c) else { continue };
            let needs_ledgered = Some(client.table.as_str()) != exempt && !self.seen.missing_tables.contains(&client.table);
            let has = [rows.presence > 0, rows.journal > 0, rows.ledgered > 0 || !needs_ledgered];
            if !has.iter().all(|h| *h) {
                let lacking: Vec<&str> =
                    [PRESENCE, JOURNAL, client.table.as_str()].into_iter().zip(has).filter(|(_, h)| !h).map(|(t, _)| t).collect();
                torn.push(format!("{c}.{n} lacks its row in {}", lacking.join(" and ")));
            }
        }
        torn.into_iter().for_each(|what| self.odd(OddKind::Partial, what));
    }
}

/// The key of an operation's object.
pub fn object_key(c: u32, n: u64) -> String {
    format!("ledger/{c}.{n}")
}

fn parse_key(key: &str) -> Option<(u32, u64)> {
    let (c, n) = key.strip_prefix("ledger/")?.split_once('.')?;
    Some((c.parse().ok()?, n.parse().ok()?))
}

impl Seen {
    /// Whether an operation is there, by its presence row.
    pub fn present(&self, c: u32, n: u64) -> bool {
        self.rows.get(&(c, n)).is_some_and(|r| r.present())
    }

    /// Why nothing can be said about objects, if nothing can: `None` if they were listed, and all of the listing was recorded.
    pub fn objects_unknown(&self) -> Option<String> {
        match self.listed {
            None => Some("nobody looked for objects".into()),
            Some(listed) if listed != self.recorded => Some(format!("{listed} objects were listed, and {} recorded", self.recorded)),
            Some(_) => None,
        }
    }

    /// Violations of one kind: how many, and the first few.
    pub fn of(&self, kind: OddKind) -> (u64, Vec<String>) {
        let examples = self.odd.iter().filter(|o| o.kind == kind).map(|o| o.what.clone()).collect();
        (self.counts.get(&kind).copied().unwrap_or(0), examples)
    }
}
