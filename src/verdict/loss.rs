//! What was lost: archive loss, slack and collateral, and holes (docs/FIGURES.md, "Measured").

use super::book::{Book, Entry};
use super::exact::CommitOrder;
use super::seen::Seen;
use crate::model::ledger::OpOutcome;
use crate::model::seed::payload_len;
use crate::model::time::Stamp;
use crate::model::wal::Lsn;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Acknowledged operations that are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many.
    pub transactions: u64,
    /// Their payload, in bytes, derived from the seed.
    pub bytes: u64,
    /// When the oldest of them was acknowledged.
    pub oldest: Option<Stamp>,
    /// A few of them.
    pub examples: Vec<String>,
}

impl Lost {
    fn add(&mut self, seed: u64, c: u32, n: u64, entry: &Entry) {
        self.transactions += 1;
        self.bytes += payload_len(seed, c, n) as u64;
        self.oldest = Some(self.oldest.map_or(entry.completed, |o| o.min(entry.completed)));
        if self.examples.len() < 5 {
            self.examples.push(format!("{c}.{n}"));
        }
    }

    /// The age of the oldest at a moment; zero if nothing was lost.
    pub fn age_at(&self, moment: Stamp) -> Duration {
        self.oldest.map_or(Duration::ZERO, |oldest| moment.since(oldest))
    }
}

/// How the acknowledged and absent operations of an instance divide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Division {
    /// Acknowledged by the instance at all.
    pub acknowledged: u64,
    /// Absent although the archive held them before the cut. Must be none.
    pub before_cut: Lost,
    /// Given up between the cut and the damage.
    pub slack: Lost,
    /// Given up between the damage and the stop.
    pub collateral: Lost,
    /// In doubt, and found.
    pub doubt_found: u64,
    /// In doubt, and not found.
    pub doubt_absent: u64,
}

/// Where a point-in-time recovery cut, and where the damage lies.
#[derive(Debug, Clone, Copy)]
pub struct Cut<'a> {
    /// Commit order of the archive, if it could be read.
    pub order: Option<&'a CommitOrder>,
    /// The cut in it.
    pub at: Option<Lsn>,
    /// The damage's commit in it.
    pub damage: Option<Lsn>,
    /// Earliest proof of the damage, by our clock.
    pub fault: Stamp,
    /// Where the oracle's fence drained, if there is no commit order.
    pub drained: Option<Stamp>,
}

/// Divides the acknowledged and absent operations of a point-in-time recovery.
pub fn divide(book: &Book, seen: &Seen, instance: &str, cut: Cut<'_>) -> Division {
    let mut d = Division::default();
    for (c, client, n, entry) in book.all() {
        if client.instance != instance {
            continue;
        }
        let present = seen.present(c, n);
        match entry.outcome {
            OpOutcome::Unknown if present => d.doubt_found += 1,
            OpOutcome::Unknown => d.doubt_absent += 1,
            OpOutcome::Fail => {}
            OpOutcome::Ok => {
                d.acknowledged += 1;
                if !present {
                    let commit = entry.xid.and_then(|x| cut.order.and_then(|o| o.commit_of(x)));
                    let list = match place(entry, commit, cut) {
                        Place::BeforeCut => &mut d.before_cut,
                        Place::Slack => &mut d.slack,
                        Place::Collateral => &mut d.collateral,
                    };
                    list.add(book.seed, c, n, entry);
                }
            }
        }
    }
    d
}

enum Place {
    BeforeCut,
    Slack,
    Collateral,
}

fn place(entry: &Entry, commit: Option<Lsn>, cut: Cut<'_>) -> Place {
    let before_cut = match (commit, cut.at, cut.drained) {
        (Some(lsn), Some(at), _) => lsn < at,
        (None, _, Some(drained)) if cut.order.is_none() => entry.completed <= drained,
        _ => false,
    };
    if before_cut {
        return Place::BeforeCut;
    }
    // By the log where the damage was found in it, else by the earliest proof of it on our clock.
    let before_damage = match (commit, cut.damage) {
        (Some(lsn), Some(damage)) => lsn < damage,
        _ => entry.completed < cut.fault,
    };
    if before_damage { Place::Slack } else { Place::Collateral }
}

/// Acknowledged operations of an instance that a restore to the end of what survived does not show.
pub fn archive_loss(book: &Book, seen: &Seen, instance: &str) -> Lost {
    let mut lost = Lost::default();
    for (c, client, n, entry) in book.all() {
        if client.instance == instance && entry.outcome == OpOutcome::Ok && !seen.present(c, n) {
            lost.add(book.seed, c, n, entry);
        }
    }
    lost
}

/// Operations that the archive's commit order has and a restore to its end does not show: never legal.
pub fn held_and_lost(book: &Book, seen: &Seen, order: &CommitOrder, instance: &str) -> Lost {
    let mut lost = Lost::default();
    for (c, client, n, entry) in book.all() {
        let held = client.instance == instance && entry.xid.and_then(|x| order.commit_of(x)).is_some();
        if held && !seen.present(c, n) {
            lost.add(book.seed, c, n, entry);
        }
    }
    lost
}

/// Lost operations that ended before a surviving one of the same instance began: the loss is not a suffix.
///
/// `rewound` says which of the absent ones a target gave up; they are no holes.
pub fn holes(book: &Book, seen: &Seen, instance: &str, rewound: impl Fn(u32, u64, &Entry) -> bool) -> Vec<String> {
    let of_instance = || book.all().filter(|(_, client, _, entry)| client.instance == instance && entry.outcome == OpOutcome::Ok);
    let last_begun = of_instance().filter(|(c, _, n, _)| seen.present(*c, *n)).map(|(.., e)| e.invoked).max();
    let Some(last_begun) = last_begun else { return Vec::new() };
    of_instance()
        .filter(|(c, _, n, e)| !seen.present(*c, *n) && e.completed < last_begun && !rewound(*c, *n, e))
        .map(|(c, _, n, _)| format!("{c}.{n}"))
        .collect()
}

/// Acknowledged by an instance that survived the recovery, before its read-back began, and not read back.
/// The number tells how many there were to be read back.
pub fn lost_after_recovery(book: &Book, seen: &Seen, instance: &str) -> (u64, Lost) {
    let (mut expected, mut lost) = (0, Lost::default());
    for (c, client, n, entry) in book.all() {
        let due = client.instance == instance && entry.outcome == OpOutcome::Ok && entry.completed < seen.from;
        expected += u64::from(due);
        if due && !seen.present(c, n) {
            lost.add(book.seed, c, n, entry);
        }
    }
    (expected, lost)
}

/// Objects without a row, that neither a lost, rewound, failed or doubtful operation explains.
pub fn orphan_objects(book: &Book, seen: &Seen) -> Vec<String> {
    let explained = |c: u32, n: u64| match book.entry(c, n) {
        // Written after the snapshot of the rows, or still under way.
        Some(e) if e.completed >= seen.from => true,
        // Acknowledged and absent: lost or rewound, which is judged elsewhere.
        Some(_) => true,
        None => book.clients.get(&c).is_some_and(|client| n < client.reserved) && !book.closed,
    };
    let orphans = seen.objects.iter().filter(|(c, n)| !seen.present(*c, *n) && !explained(*c, *n));
    orphans.map(|(c, n)| super::seen::object_key(*c, *n)).collect()
}

/// The largest gap between acknowledgements of an instance before a moment: the resolution of a claim of zero loss. The
/// stretch from the last acknowledgement to the moment counts, too.
pub fn resolution(book: &Book, instance: &str, before: Stamp) -> Option<Duration> {
    let of_instance = book.all().filter(|(_, client, _, e)| client.instance == instance && e.outcome == OpOutcome::Ok && e.completed <= before);
    let mut stamps: Vec<Stamp> = of_instance.map(|(.., e)| e.completed).collect();
    stamps.sort_unstable();
    let last = *stamps.last()?;
    let gaps = stamps.windows(2).map(|w| w[1].since(w[0]));
    gaps.chain(std::iter::once(before.since(last))).max()
}

/// Acknowledgements of an instance in the last interval before a moment.
pub fn writes_in(book: &Book, instance: &str, from: Stamp, to: Stamp) -> u64 {
    let in_interval = |e: &Entry| e.outcome == OpOutcome::Ok && e.completed >= from && e.completed <= to;
    book.all().filter(|(_, client, _, e)| client.instance == instance && in_interval(e)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::super::book::Client;
    use super::super::seen::Rows;
    use super::*;
    use std::collections::BTreeMap;

    /// Clients that each write one operation per entry: (invoked, completed, outcome, present).
    fn world(ops: &[(u64, u64, OpOutcome, bool)]) -> (Book, Seen) {
        let entries: Vec<Option<Entry>> = ops
            .iter()
            .enumerate()
            .map(|(i, (a, b, outcome, _))| {
                Some(Entry { invoked: Stamp(*a), completed: Stamp(*b), xid: Some(i as u32), outcome: *outcome, linked: false })
            })
            .collect();
        let mut book = Book { seed: 7, closed: true, ..Book::default() };
        book.clients = BTreeMap::from([(1, client(entries))]);
        let mut seen = Seen::default();
        for (n, _) in ops.iter().enumerate().filter(|(_, o)| o.3) {
            seen.rows.insert((1, n as u64), Rows { presence: 1, journal: 1, ledgered: 1 });
        }
        (book, seen)
    }

    fn client(ops: Vec<Option<Entry>>) -> Client {
        let mut reader = super::super::book::BookReader::default();
        let mut text = String::new();
        let mut chain = crate::model::ledger::LineChain::default();
        use crate::model::ledger::{Control, Line};
        chain.seal(&Line::Control(Control::Head { ledger: 1, run: "r".into(), seed: 7 }).encode(), &mut text);
        chain.seal(&Line::Control(Control::Client { c: 1, slot: 0, table: "ledger_a".into(), instance: "1/1".into() }).encode(), &mut text);
        text.lines().for_each(|l| reader.take(l));
        let mut client = reader.finish().clients[&1].clone();
        client.reserved = ops.len() as u64;
        client.ops = ops;
        client
    }

    use OpOutcome::{Fail, Ok, Unknown};

    #[test]
    fn the_loss_is_the_age_of_the_oldest_and_doubt_is_neither() {
        let (book, seen) = world(&[(0, 10, Ok, true), (10, 20, Ok, false), (20, 30, Unknown, false), (30, 40, Ok, false), (40, 50, Fail, false)]);
        let lost = archive_loss(&book, &seen, "1/1");
        assert_eq!((lost.transactions, lost.oldest), (2, Some(Stamp(20))));
        assert_eq!(lost.age_at(Stamp(120)), Duration::from_nanos(100));
        assert_eq!(lost.age_at(Stamp(5)), Duration::ZERO, "never below zero");
        assert_eq!(archive_loss(&book, &seen, "2/1").transactions, 0);
    }

    #[test]
    fn a_loss_in_the_middle_is_a_hole() {
        let none = |_: u32, _: u64, _: &Entry| false;
        let (book, seen) = world(&[(0, 10, Ok, true), (11, 20, Ok, false), (21, 30, Ok, true)]);
        assert_eq!(holes(&book, &seen, "1/1", none), vec!["1.1"]);
        // Concurrent with the survivor: either order is legal.
        let (book, seen) = world(&[(0, 10, Ok, true), (11, 25, Ok, false), (21, 30, Ok, true)]);
        assert_eq!(holes(&book, &seen, "1/1", none), Vec::<String>::new());
        // Lost from the end on: no hole.
        let (book, seen) = world(&[(0, 10, Ok, true), (11, 20, Ok, false), (21, 30, Ok, false)]);
        assert_eq!(holes(&book, &seen, "1/1", none), Vec::<String>::new());
    }

    #[test]
    fn what_is_rewound_divides_at_the_damage() {
        let (book, seen) = world(&[(0, 10, Ok, true), (11, 20, Ok, false), (21, 30, Ok, false), (31, 40, Ok, false), (41, 50, Unknown, true)]);
        let lines: Vec<_> = (0..4)
            .map(|x| {
                crate::model::wal::WalLine::Commit(crate::model::wal::Commit {
                    lsn: Lsn(100 * (x + 1)),
                    tli: 1,
                    xid: x as u32,
                    ts: Default::default(),
                    committed: true,
                })
            })
            .collect();
        let order = CommitOrder::new(&lines);
        let cut = Cut { order: Some(&order), at: Some(Lsn(250)), damage: Some(Lsn(350)), fault: Stamp(35), drained: None };
        let d = divide(&book, &seen, "1/1", cut);
        assert_eq!((d.before_cut.transactions, d.slack.transactions, d.collateral.transactions), (1, 1, 1));
        assert_eq!((d.acknowledged, d.doubt_found, d.doubt_absent), (4, 1, 0));
    }

    #[test]
    fn the_resolution_is_the_largest_silence() {
        let (book, _) = world(&[(0, 10, Ok, true), (0, 40, Ok, true), (0, 50, Fail, true)]);
        assert_eq!(resolution(&book, "1/1", Stamp(60)), Some(Duration::from_nanos(30)));
        assert_eq!(resolution(&book, "1/1", Stamp(100)), Some(Duration::from_nanos(60)));
        assert_eq!(resolution(&book, "9/9", Stamp(100)), None);
    }

    #[test]
    fn an_object_without_a_row_needs_an_explanation() {
        let (mut book, mut seen) = world(&[(0, 10, Ok, true), (11, 20, Fail, false)]);
        seen.objects.extend([(1, 0), (1, 1)]);
        seen.from = Stamp(1000);
        assert_eq!(orphan_objects(&book, &seen), Vec::<String>::new());
        seen.objects.insert((1, 7));
        assert_eq!(orphan_objects(&book, &seen), vec!["ledger/1.7"]);
        book.clients.clear();
        assert_eq!(orphan_objects(&book, &seen).len(), 2);
    }
}
