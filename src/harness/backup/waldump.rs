//! Reading what `pg_waldump` (or `pg_walinspect`) prints of the archive.

use crate::model::time::Wall;
use crate::model::wal::{Commit, Lsn};

/// Name of a relation's storage: tablespace, database, file node. The tablespace is 0 where it was not printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Storage {
    /// Database; 0 for shared relations.
    pub database: u32,
    /// File node.
    pub node: u32,
}

/// What one record says that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A transaction ended.
    End {
        /// The record.
        commit: Commit,
        /// Subtransactions that ended with it.
        subxacts: Vec<u32>,
        /// Storage that it dropped.
        drops: Vec<Storage>,
        /// Relations whose cache entries it invalidated.
        relcache: Vec<u32>,
    },
    /// Storage was created by a transaction.
    Create {
        /// Where the record begins.
        lsn: Lsn,
        /// Transaction.
        xid: u32,
        /// What.
        storage: Storage,
    },
    /// A named restore point.
    RestorePoint {
        /// Where the record begins.
        lsn: Lsn,
        /// Its name.
        name: String,
    },
    /// A full-page image.
    Image {
        /// Where the record begins.
        lsn: Lsn,
        /// Of which relation.
        storage: Storage,
        /// `main`, `fsm`, …
        fork: String,
        /// Of which block.
        block: u64,
    },
    /// Anything else, with its place.
    Other {
        /// Where the record begins.
        lsn: Lsn,
    },
}

/// Reads one line of `pg_waldump`'s output; one record may say several things (images, and its own).
pub fn read_line(line: &str, tli: u32, images: bool, out: &mut Vec<Said>) {
    let Some(rest) = line.strip_prefix("rmgr: ") else { return };
    let (Some(lsn), Some(desc_at)) = (field(rest, "lsn: ").and_then(|t| t.parse().ok()), rest.find("desc: ")) else { return };
    let xid = field(rest, "tx: ").and_then(|t| t.trim().parse().ok()).unwrap_or(0);
    let rmgr = rest.split_whitespace().next().unwrap_or("");
    read_record(rmgr, lsn, xid, tli, &rest[desc_at + 6..], images, out);
}

/// Reads one record from its parts, as `pg_walinspect` gives them: the description and the block references in
/// one text.
pub fn read_record(rmgr: &str, lsn: Lsn, xid: u32, tli: u32, desc: &str, images: bool, out: &mut Vec<Said>) {
    if images && desc.contains("FPW") {
        for part in desc.split("blkref #").skip(1) {
            if let Some(image) = read_image(lsn, part) {
                out.push(image);
            }
        }
    }
    let said = match rmgr {
        "Transaction" => read_end(lsn, xid, tli, desc),
        "Storage" => {
            desc.strip_prefix("CREATE ").and_then(|p| p.split_whitespace().next()).and_then(storage).map(|storage| Said::Create { lsn, xid, storage })
        }
        "XLOG" => desc.strip_prefix("RESTORE_POINT ").map(|name| {
            let name = name.split(" blkref #").next().unwrap_or(name);
            Said::RestorePoint { lsn, name: name.trim().trim_end_matches(';').to_string() }
        }),
        _ => None,
    };
    out.push(said.unwrap_or(Said::Other { lsn }));
}

fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let start = line.find(name)? + name.len();
    let rest = &line[start..];
    Some(rest[..rest.find(',').unwrap_or(rest.len())].trim())
}

/// `COMMIT 2026-11-21 14:15:30.123456 UTC; rels: base/5/16384 …; subxacts: 750; inval msgs: … relcache 16384 …`
fn read_end(lsn: Lsn, xid: u32, tli: u32, desc: &str) -> Option<Said> {
    let (word, rest) = desc.split_once(' ')?;
    let committed = match word {
        "COMMIT" | "COMMIT_PREPARED" => true,
        "ABORT" | "ABORT_PREPARED" => false,
        _ => return None,
    };
    // A prepared transaction's record names it in its text: `COMMIT_PREPARED xid 745: …` in some versions.
    let (xid, rest) = match rest.strip_prefix("xid ").or_else(|| rest.strip_prefix("prepared xact ")).and_then(|r| r.split_once(':')) {
        Some((named, after)) => (named.trim().parse().unwrap_or(xid), after.trim_start()),
        None => (xid, rest),
    };
    let mut parts = rest.split(';').map(str::trim);
    let ts = parts.next().and_then(Wall::parse).unwrap_or_default();
    let (mut drops, mut relcache, mut subxacts) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        if let Some(rels) = part.strip_prefix("rels:") {
            drops.extend(rels.split_whitespace().filter_map(storage));
        } else if let Some(ids) = part.strip_prefix("subxacts:") {
            subxacts.extend(ids.split_whitespace().filter_map(|i| i.parse::<u32>().ok()));
        } else if let Some(messages) = part.strip_prefix("inval msgs:") {
            let words: Vec<&str> = messages.split_whitespace().collect();
            relcache.extend(words.windows(2).filter(|w| w[0] == "relcache").filter_map(|w| w[1].parse::<u32>().ok()));
        }
    }
    Some(Said::End { commit: Commit { lsn, tli, xid, ts, committed }, subxacts, drops, relcache })
}

/// `base/5/16384`, `global/1262`, `pg_tblspc/…/5/16384`
fn storage(path: &str) -> Option<Storage> {
    let mut parts = path.trim_end_matches([';', ',']).rsplit('/');
    let node = parts.next()?.parse().ok()?;
    let database = match parts.next()? {
        "global" => 0,
        number => number.parse().ok()?,
    };
    Some(Storage { database, node })
}

/// `0: rel 1663/5/16384 fork main blk 3 (FPW) …`, with variations between versions.
fn read_image(lsn: Lsn, part: &str) -> Option<Said> {
    if !part.contains("FPW") {
        return None;
    }
    let words: Vec<&str> = part.split_whitespace().collect();
    let after = |name: &str| words.iter().position(|w| *w == name).and_then(|i| words.get(i + 1).copied());
    let storage = storage(after("rel")?)?;
    let block = after("blk")?.trim_end_matches([';', ',']).parse().ok()?;
    Some(Said::Image { lsn, storage, fork: after("fork").unwrap_or("main").to_string(), block })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<Said> {
        let mut out = Vec::new();
        read_line(line, 1, true, &mut out);
        out
    }

    #[test]
    fn a_drop_names_its_storage_and_its_relation() {
        let line = "rmgr: Transaction len (rec/tot):    405/   405, tx:        749, lsn: 0/030251C0, prev 0/03025180, desc: COMMIT 2026-11-21 14:15:30.123456 UTC; \
                    rels: base/5/16391 base/5/16384; inval msgs: catcache 55 catcache 7 relcache 16384 relcache 16391 snapshot 2608";
        let [Said::End { commit, drops, relcache, .. }] = &read(line)[..] else { panic!() };
        assert_eq!((commit.xid, commit.lsn.to_string().as_str(), commit.committed), (749, "0/030251C0", true));
        assert_eq!(commit.ts.rfc3339(), "2026-11-21T14:15:30.123456Z");
        assert_eq!(*drops, [Storage { database: 5, node: 16391 }, Storage { database: 5, node: 16384 }]);
        assert_eq!(*relcache, [16384, 16391]);
    }

    #[test]
    fn creations_restore_points_and_images() {
        let create = "rmgr: Storage     len (rec/tot):     42/    42, tx:        750, lsn: 0/03025358, prev 0/03025320, desc: CREATE base/5/16400";
        assert_eq!(read(create), vec![Said::Create { lsn: Lsn(0x3025358), xid: 750, storage: Storage { database: 5, node: 16400 } }]);
        let point = "rmgr: XLOG        len (rec/tot):     98/    98, tx:          0, lsn: 0/05000090, prev 0/05000060, desc: RESTORE_POINT fence 1";
        assert_eq!(read(point), vec![Said::RestorePoint { lsn: Lsn(0x5000090), name: "fence 1".into() }]);
        let image = "rmgr: Heap        len (rec/tot):     54/  8246, tx:        745, lsn: 0/0301B1D0, prev 0/0301B198, desc: INSERT off 5 flags 0x00, blkref #0: rel 1663/5/16384 blk 3 FPW";
        assert_eq!(read(image)[0], Said::Image { lsn: Lsn(0x301B1D0), storage: Storage { database: 5, node: 16384 }, fork: "main".into(), block: 3 });
        let newer = "rmgr: Heap2 len (rec/tot): 1/1, tx: 745, lsn: 0/0301B1D0, prev 0/0, desc: PRUNE x, blkref #0: rel 1663/5/16384 fork fsm blk 2 (FPW); hole: offset: 44, length: 7";
        assert_eq!(read(newer)[0], Said::Image { lsn: Lsn(0x301B1D0), storage: Storage { database: 5, node: 16384 }, fork: "fsm".into(), block: 2 });
        assert_eq!(read("pg_waldump: error: x"), vec![]);
    }

    #[test]
    fn aborts_and_subtransactions() {
        let line = "rmgr: Transaction len (rec/tot): 34/34, tx: 751, lsn: 0/03025400, prev 0/03025358, desc: ABORT 2026-11-21 14:15:31.000000 UTC; subxacts: 752 753";
        let [Said::End { commit, subxacts, .. }] = &read(line)[..] else { panic!() };
        assert!(!commit.committed);
        assert_eq!(*subxacts, [752, 753]);
    }
}
