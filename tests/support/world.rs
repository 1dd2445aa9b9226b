//! The golden run as data that a test may change: what would the verdict be, had this happened?

use crate::bodies::{Scratch, golden_dir};
use passmuster::evidence::bundle;
use passmuster::model::event::{Event, Stamped};
use passmuster::model::ledger::{Line, LineChain, Op, OpOutcome};
use passmuster::model::plan::Plan;
use passmuster::model::readback::{ReadLine, Row};
use passmuster::model::time::Stamp;
use passmuster::model::wal::WalLine;
use passmuster::verdict::{Outcome, Record, Verdict, judge};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::OnceLock;

/// A recorded run, line by line.
#[derive(Debug, Clone)]
pub struct World {
    pub plan: Plan,
    pub events: Vec<Stamped>,
    pub ledger: Vec<Line>,
    /// The digests of the ledger's lines are those of the lines as they were, not as they are.
    pub ledger_forged: bool,
    pub recovered: Vec<ReadLine>,
    pub control: Vec<ReadLine>,
    pub wal: Vec<WalLine>,
    /// Appended to the events as it is.
    pub garbage: String,
}

/// The text of a file of the golden run, unpacked.
pub fn golden_text(name: &str) -> String {
    match std::fs::read(golden_dir().join(name)) {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(_) => {
            let packed = std::fs::File::open(golden_dir().join(format!("{name}.zst"))).unwrap();
            String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap()
        }
    }
}

fn lines<T: DeserializeOwned>(name: &str) -> Vec<T> {
    golden_text(name).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn text<T: Serialize>(all: &[T]) -> String {
    all.iter().map(|l| serde_json::to_string(l).unwrap() + "\n").collect()
}

impl World {
    /// As it was.
    pub fn golden() -> World {
        static GOLDEN: OnceLock<World> = OnceLock::new();
        let read = || World {
            plan: serde_json::from_str(&golden_text("plan.json")).unwrap(),
            events: lines("events.jsonl"),
            ledger: {
                let mut chain = LineChain::default();
                golden_text("ledger.jsonl").lines().map(|l| Line::decode(chain.open(l).unwrap()).unwrap()).collect()
            },
            ledger_forged: false,
            recovered: lines("readback-recovered.jsonl"),
            control: lines("readback-control.jsonl"),
            wal: lines("commits.jsonl"),
            garbage: String::new(),
        };
        GOLDEN.get_or_init(read).clone()
    }

    /// The record as it is read from a directory.
    pub fn record(&self) -> Record {
        let dir = Scratch::new();
        dir.write("plan.json", serde_json::to_string(&self.plan).unwrap().as_bytes());
        dir.write("events.jsonl", (text(&self.events) + &self.garbage).as_bytes());
        dir.write("ledger.jsonl", self.ledger_text().as_bytes());
        for (name, all) in [("readback-recovered.jsonl", &self.recovered), ("readback-control.jsonl", &self.control)] {
            if !all.is_empty() {
                dir.write(name, text(all).as_bytes());
            }
        }
        dir.write("commits.jsonl", text(&self.wal).as_bytes());
        bundle::load(dir.path()).unwrap()
    }

    fn ledger_text(&self) -> String {
        if self.ledger_forged {
            let golden = golden_text("ledger.jsonl");
            let digits = golden.lines().map(|l| l.rsplit_once('\t').unwrap().1);
            return self.ledger.iter().zip(digits).map(|(l, d)| format!("{}\t{d}\n", l.encode())).collect();
        }
        let (mut chain, mut text) = (LineChain::default(), String::new());
        self.ledger.iter().for_each(|l| chain.seal(&l.encode(), &mut text));
        text
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        judge(&self.record())
    }

    /// When a moment was, by its event.
    pub fn at(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().position(|e| wanted(&e.event)).unwrap()
    }

    /// Adds an event just before the run's end.
    pub fn happened(&mut self, event: Event) {
        let end = self.events.len() - 1;
        let t = self.events[end].t;
        self.events.insert(end, Stamped { t, event });
    }

    /// Changes the first event that `change` says yes to.
    pub fn change(&mut self, mut change: impl FnMut(&mut Event) -> bool) {
        assert!(self.events.iter_mut().any(|e| change(&mut e.event)), "nothing to change");
    }

    /// Operations in the order of the ledger.
    pub fn ops(&self) -> impl DoubleEndedIterator<Item = &Op> {
        self.ledger.iter().filter_map(|l| if let Line::Op(op) = l { Some(op) } else { None })
    }

    /// An acknowledged operation of the origin that the recovered server shows, in the middle of its history.
    pub fn kept(&self) -> Op {
        let last = self.events[self.at(|e| matches!(e, Event::Moment { moment: passmuster::model::event::Moment::BackedUp, .. }))].t;
        let found = self.ops().find(|o| o.outcome == OpOutcome::Ok && o.invoked > last && o.object.is_none());
        found.unwrap().clone()
    }

    /// The last acknowledged operation of the origin before the fault.
    pub fn last_kept(&self) -> Op {
        let fault = self.fault();
        self.ops().rfind(|o| o.outcome == OpOutcome::Ok && o.completed < fault && shows(&self.recovered, o)).unwrap().clone()
    }

    /// The fault's stamp.
    pub fn fault(&self) -> Stamp {
        self.events[self.at(|e| matches!(e, Event::Moment { moment: passmuster::model::event::Moment::Fault, .. }))].t
    }

    /// Takes a transaction's commit out of the archive.
    pub fn uncommit(&mut self, op: &Op) {
        let before = self.wal.len();
        self.wal.retain(|l| !matches!(l, WalLine::Commit(c) if Some(c.xid) == op.xid));
        assert_eq!(self.wal.len() + 1, before);
    }
}

/// Whether a read-back shows an operation.
pub fn shows(read: &[ReadLine], op: &Op) -> bool {
    read.iter().any(|l| matches!(l, ReadLine::Row(r) if is_of(r, op)))
}

fn is_of(row: &Row, op: &Op) -> bool {
    (row.client, row.seq) == (op.client, op.seq)
}

/// Takes an operation's rows out of a read-back: those of one table, or all.
pub fn forget(read: &mut Vec<ReadLine>, op: &Op, table: Option<&str>) {
    let before = read.len();
    read.retain(|l| !matches!(l, ReadLine::Row(r) if is_of(r, op) && table.is_none_or(|t| r.table == t)));
    assert!(read.len() < before, "no such row");
}

/// The outcome of one judgement, if it was made.
pub fn outcome_of(v: &Verdict, id: &str) -> Option<Outcome> {
    v.judgements.iter().find(|j| j.id == id).map(|j| j.outcome)
}
