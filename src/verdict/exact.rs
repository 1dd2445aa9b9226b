//! Point-in-time exactness: what a target denotes, and whether exactly that is there (docs/FIGURES.md, "exact").

use super::book::Book;
use super::seen::Seen;
use crate::model::ledger::OpOutcome;
use crate::model::time::{Stamp, Wall};
use crate::model::wal::{Commit, Lsn, Target, TargetKind, WalLine};
use std::collections::HashMap;

/// The commit order of an archive, indexed.
#[derive(Debug, Clone, Default)]
pub struct CommitOrder {
    ends: Vec<Commit>,
    by_xid: HashMap<u32, Lsn>,
    points: Vec<(Lsn, String)>,
    /// Last record that was read.
    pub to: Lsn,
}

impl CommitOrder {
    /// From the lines of the record.
    pub fn new(lines: &[WalLine]) -> CommitOrder {
        let mut order = CommitOrder::default();
        for line in lines {
            match line {
                WalLine::Commit(c) => {
                    order.ends.push(*c);
                    if c.committed {
                        order.by_xid.insert(c.xid, c.lsn);
                    }
                }
                WalLine::RestorePoint { lsn, name } => order.points.push((*lsn, name.clone())),
                WalLine::Range { to, .. } => order.to = *to,
            }
        }
        order.ends.sort_by_key(|c| c.lsn);
        order
    }

    /// Where a transaction committed, if the archive has its commit.
    pub fn commit_of(&self, xid: u32) -> Option<Lsn> {
        self.by_xid.get(&xid).copied()
    }

    /// The position in commit order that a target denotes: commits before it are in. `Err` says why it denotes none.
    pub fn cut(&self, target: &Target) -> Result<Lsn, String> {
        match target.kind {
            TargetKind::End => Ok(Lsn(u64::MAX)),
            TargetKind::Xid => {
                let xid: u32 = target.value.parse().map_err(|_| format!("`{}` is not a transaction id", target.value))?;
                let end = self.ends.iter().find(|c| c.xid == xid).ok_or_else(|| format!("the archive has no end of transaction {xid}"))?;
                // Exclusive: just before that record; inclusive: just after it.
                Ok(if target.inclusive { Lsn(end.lsn.0.saturating_add(1)) } else { end.lsn })
            }
            TargetKind::Lsn => {
                let lsn: Lsn = target.value.parse().map_err(|()| format!("`{}` is not a position", target.value))?;
                // Inclusive also replays the record that begins there.
                Ok(if target.inclusive { Lsn(lsn.0.saturating_add(1)) } else { lsn })
            }
            TargetKind::Name => {
                let point = self.points.iter().find(|(_, name)| *name == target.value);
                point.map(|(lsn, _)| *lsn).ok_or_else(|| format!("the archive has no restore point `{}`", target.value))
            }
            TargetKind::Time => {
                let at = Wall::parse(&target.value).ok_or_else(|| format!("`{}` is not a time", target.value))?;
                // The first end of a transaction in the order of the log whose stamp is later; stamps are not monotonic in it.
                let later = |c: &&Commit| if target.inclusive { c.ts > at } else { c.ts >= at };
                Ok(self.ends.iter().find(later).map_or(Lsn(u64::MAX), |c| c.lsn))
            }
        }
    }

    /// The time between a time target and the nearest ends of transactions on both sides, in microseconds.
    pub fn clearance_us(&self, target: &Target) -> Option<i64> {
        let at = Wall::parse(&target.value).filter(|_| target.kind == TargetKind::Time)?;
        self.ends.iter().map(|c| i64::try_from(c.ts.0.abs_diff(at.0)).unwrap_or(i64::MAX)).min()
    }
}

/// Whether exactly what lies before a cut is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exactness {
    /// Operations whose commit lies before the cut.
    pub expected: u64,
    /// Of those, not there.
    pub missing: Vec<(u32, u64)>,
    /// There, and not before the cut.
    pub extra: Vec<(u32, u64)>,
}

impl Exactness {
    /// Nothing is missing and nothing is extra.
    pub fn holds(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty()
    }
}

/// By the commit order of the archive: an operation of the old instance is expected if and only if its commit record lies
/// before the cut, whatever its client was told.
pub fn by_commit_order(book: &Book, seen: &Seen, order: &CommitOrder, cut: Lsn, instance: &str) -> Exactness {
    let mut out = Exactness::default();
    for (c, client, n, entry) in book.all() {
        if client.instance != instance {
            continue;
        }
        let expected = entry.xid.and_then(|x| order.commit_of(x)).is_some_and(|lsn| lsn < cut);
        out.tell(expected, seen.present(c, n), (c, n));
    }
    out
}

/// By the oracle's fence alone, where the commit order cannot be read: no operation was under way between its stamps, so
/// what was acknowledged before it must be there, and nothing that was begun after it.
pub fn by_fence(book: &Book, seen: &Seen, drained: Stamp, resumed: Stamp, instance: &str) -> Exactness {
    let mut out = Exactness::default();
    for (c, client, n, entry) in book.all() {
        if client.instance != instance {
            continue;
        }
        if entry.invoked >= resumed {
            out.tell(false, seen.present(c, n), (c, n));
        } else if entry.completed <= drained && entry.outcome == OpOutcome::Ok {
            out.tell(true, seen.present(c, n), (c, n));
        }
    }
    out
}

impl Exactness {
    fn tell(&mut self, expected: bool, present: bool, id: (u32, u64)) {
        self.expected += u64::from(expected);
        match (expected, present) {
            (true, false) => self.missing.push(id),
            (false, true) => self.extra.push(id),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(lsn: u64, xid: u32, ts: i64) -> WalLine {
        WalLine::Commit(Commit { lsn: Lsn(lsn), tli: 1, xid, ts: Wall(ts), committed: true })
    }

    fn target(kind: TargetKind, value: &str, inclusive: bool) -> Target {
        Target {
            kind,
            value: value.into(),
            inclusive,
            timeline: "latest".into(),
            known_from: "wal".into(),
            at: Stamp(0),
            found: vec![],
            damage: None,
            clock_us: None,
        }
    }

    #[test]
    fn each_kind_of_target_has_its_own_cut() {
        // Transaction ids and time stamps are not in the order of the log.
        let lines = vec![
            commit(100, 12, 1_000_000),
            commit(200, 10, 3_000_000),
            WalLine::RestorePoint { lsn: Lsn(250), name: "fence".into() },
            commit(300, 11, 2_000_000),
        ];
        let order = CommitOrder::new(&lines);
        let cut = |kind, value: &str, inclusive| order.cut(&target(kind, value, inclusive)).map(|l| l.0);
        assert_eq!(cut(TargetKind::Xid, "10", false), Ok(200));
        assert_eq!(cut(TargetKind::Xid, "10", true), Ok(201));
        assert_eq!(cut(TargetKind::Name, "fence", true), Ok(250));
        assert_eq!(cut(TargetKind::Lsn, "0/12C", false), Ok(300));
        assert_eq!(cut(TargetKind::Time, "1970-01-01T00:00:01.5Z", true), Ok(200), "the first later stamp in the order of the log");
        assert_eq!(cut(TargetKind::Time, "1970-01-01T00:00:03Z", true), Ok(u64::MAX));
        assert!(cut(TargetKind::Xid, "99", false).is_err());
        assert!(cut(TargetKind::Name, "none", true).is_err());
        assert_eq!(cut(TargetKind::End, "", true), Ok(u64::MAX));
    }

    #[test]
    fn an_aborted_transaction_can_be_a_target_and_is_no_commit() {
        let aborted = WalLine::Commit(Commit { lsn: Lsn(150), tli: 1, xid: 20, ts: Wall(0), committed: false });
        let order = CommitOrder::new(&[commit(100, 12, 0), aborted]);
        assert_eq!(order.cut(&target(TargetKind::Xid, "20", false)), Ok(Lsn(150)));
        assert_eq!(order.commit_of(20), None);
    }
}
