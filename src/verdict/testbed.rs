//! Small runs in memory that are green in every expectation, for tests: one change at a time turns them red.
//!
//! Everything goes through the same readers as a record on disk: the ledger is written line by line with its chains, and
//! the read-backs are matched with it row by row.

use super::book::{Book, BookReader};
use super::record::Record;
use super::seen::SeenReader;
use crate::model::event::{Event, Moment, Role, Stamped};
use crate::model::ledger::{Control, Line, LineChain, LinkedObject, Op, OpKind, OpOutcome, chain_next, chain_start, short_sha};
use crate::model::plan::{PLAN_VERSION, Plan, PlanObjectives, PlanStep};
use crate::model::readback::{JOURNAL, PRESENCE, ReadLine, Row};
use crate::model::seed;
use crate::model::time::{Stamp, Wall};
use crate::model::wal::{Commit, Lsn, Target, TargetKind, WalLine};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

pub const MS: u64 = 1_000_000;
pub const RUN: &str = "r";
pub const SEED: u64 = 7;
/// The instance that the disaster hits.
pub const ORIGIN: &str = "71/1";
/// The one that takes over.
pub const RECOVERED: &str = "71/2";
const CONTROL: &str = "71/3";
/// Three rows of base data.
const DATA: u64 = 3 * 540;
/// Operations of each of the two clients before the fault.
pub const EACH: u64 = 15;
/// Of the first client after it.
const AFTER: u64 = 5;
const FAULT: u64 = 132 * MS;
const STOP: u64 = 200 * MS;
/// Where the damage committed.
pub const DAMAGE: Lsn = Lsn(50_000);
pub const DAMAGE_XID: u32 = 2000;

/// An operation, with where it committed.
#[derive(Debug, Clone)]
pub struct RawOp {
    pub c: u32,
    pub n: u64,
    pub invoked: u64,
    pub completed: u64,
    pub outcome: OpOutcome,
    pub xid: Option<u32>,
    pub lsn: Option<u64>,
    pub linked: bool,
    /// The hash of another payload, written into the ledger.
    pub payload: Option<String>,
}

/// A run before it is read: each part can be changed by itself.
#[derive(Debug, Clone)]
pub struct World {
    pub plan: Plan,
    pub events: Vec<Stamped>,
    /// Number, table, instance.
    pub clients: Vec<(u32, &'static str, &'static str)>,
    pub ops: Vec<RawOp>,
    pub recovered: Vec<ReadLine>,
    pub control: Option<Vec<ReadLine>>,
    pub wal: Option<Vec<WalLine>>,
}

fn step(action: &str, name: &str) -> PlanStep {
    PlanStep { action: action.into(), name: name.into(), on: None, human: false, within: None, known_from: None, params: BTreeMap::new() }
}

fn plan(fault: &str, recovery: &str) -> Plan {
    let mut steps = vec![step("fault", fault), step("detect", "reachable"), step("recover", recovery)];
    if recovery == "pitr" {
        steps[0].params.insert("table".into(), "ledger_b".into());
        steps[2].known_from = Some("wal".into());
    }
    Plan {
        plan: PLAN_VERSION,
        run: RUN.into(),
        scenario: "in-memory".into(),
        scenario_sha256: String::new(),
        rows: Vec::new(),
        lab: "local".into(),
        seed: SEED,
        series: None,
        quick: false,
        sabotage: None,
        set: Vec::new(),
        objectives: PlanObjectives { rto: Some(60_000 * MS), rpo: Some(15_000 * MS), rewind: (recovery == "pitr").then_some(15_000 * MS) },
        human_delay: 0,
        steps,
        expect: Vec::new(),
        workload: BTreeMap::new(),
        systems: BTreeMap::new(),
        backup: BTreeMap::new(),
        encrypted: true,
        data_bytes: DATA,
    }
}

fn moment(t: u64, moment: Moment) -> Stamped {
    Stamped { t: Stamp(t), event: Event::Moment { moment, step: Some(0), proof: "seen".into() } }
}

fn started(t: u64, role: Role, instance: &str) -> Stamped {
    let settings = [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on"), ("wal_level", "replica"), ("wal_segment_size", "1MB")];
    let event = Event::InstanceStarted {
        role,
        instance: instance.into(),
        system_identifier: "71".into(),
        version: "18.0".into(),
        timeline: Some(1),
        settings: settings.map(|(k, v)| (k.to_string(), v.to_string())).into(),
    };
    Stamped { t: Stamp(t), event }
}

/// What every run of a bed goes through, in order.
fn events(archive: bool, gone: &str) -> Vec<Stamped> {
    let segment = |n: u64| format!("0000000100000000{n:08X}");
    let mut all = vec![
        Stamped { t: Stamp(0), event: Event::RunBegan { run: RUN.into(), wall: Wall(0) } },
        Stamped {
            t: Stamp(1),
            event: Event::StoreStarted {
                name: "store".into(),
                profile: "embedded".into(),
                describes_as: "s3s-fs".into(),
                conditional_put: true,
                versions: None,
            },
        },
        started(2, Role::Origin, ORIGIN),
        moment(50 * MS, Moment::Load),
        Stamped {
            t: Stamp(80 * MS),
            event: Event::BaseBackup {
                id: "0001".into(),
                system_identifier: "71".into(),
                timeline: 1,
                start: Lsn(2 << 20),
                stop: Lsn(3 << 20),
                raw_bytes: 1,
                stored_bytes: 1,
            },
        },
        moment(81 * MS, Moment::BackedUp),
    ];
    for n in 2..5 {
        let event = Event::SegmentAcknowledged { name: segment(n), sha256: String::new(), asked: Stamp(82 * MS), instance: "origin".into() };
        all.push(Stamped { t: Stamp(83 * MS), event });
    }
    all.extend([
        moment(131 * MS, Moment::Inject),
        moment(FAULT, Moment::Fault),
        Stamped { t: Stamp(133 * MS), event: Event::ClientError { slot: 1, why: "no table".into() } },
        moment(150 * MS, Moment::Detect),
        moment(160 * MS, Moment::Start),
        Stamped { t: Stamp(STOP), event: Event::InstanceGone { instance: ORIGIN.into(), how: gone.into(), left: Some(0) } },
        moment(STOP, Moment::Stop),
    ]);
    if archive {
        all.extend([
            Stamped { t: Stamp(210 * MS), event: Event::ArchiveListed { files: (2..5).map(|n| (segment(n), 1 << 20)).collect() } },
            Stamped { t: Stamp(211 * MS), event: Event::TimelinesSeen { found: vec![1], expected: 1 } },
            Stamped { t: Stamp(212 * MS), event: Event::BackupOpened { id: "0001".into(), role: Role::Recovered, system_identifier: "71".into() } },
            moment(240 * MS, Moment::Bytes),
        ]);
    }
    all.extend([
        moment(300 * MS, Moment::Consistent),
        started(301 * MS, Role::Recovered, RECOVERED),
        Stamped { t: Stamp(310 * MS), event: Event::EndpointAnswered { instance: "recovered".into(), in_recovery: false } },
        moment(310 * MS, Moment::Read),
        moment(330 * MS, Moment::Write),
        moment(400 * MS, Moment::Verified),
        moment(450 * MS, Moment::SteadyAgain),
        moment(500 * MS, Moment::Protected),
        Stamped {
            t: Stamp(600 * MS),
            event: Event::Structure { role: Role::Recovered, check: "amcheck".into(), ok: true, detail: "9 indexes".into() },
        },
        Stamped { t: Stamp(700 * MS), event: Event::ObjectInspected { key: "71/base".into(), cipher: "age".into(), opened: Some(true) } },
        Stamped { t: Stamp(900 * MS), event: Event::RunEnded { status: "completed".into(), peak_rss: None } },
    ]);
    all
}

/// Two clients that write until the fault, one operation a millisecond.
fn load() -> Vec<RawOp> {
    let mut ops = Vec::new();
    for n in 0..EACH {
        for c in [1, 2u32] {
            let k = 2 * n + u64::from(c) - 1;
            ops.push(RawOp {
                c,
                n,
                invoked: (100 + k) * MS,
                completed: (100 + k) * MS + MS / 2,
                outcome: OpOutcome::Ok,
                xid: Some(1000 + k as u32),
                lsn: Some(1000 * (k + 1)),
                linked: n % 5 == 1,
                payload: None,
            });
        }
    }
    ops
}

/// One operation of a client that came with the recovered server, before the read-back began.
fn after_recovery() -> RawOp {
    RawOp { c: 3, n: 0, invoked: 320 * MS, completed: 329 * MS, outcome: OpOutcome::Ok, xid: Some(5000), lsn: None, linked: false, payload: None }
}

fn failed(c: u32, n: u64, at: u64) -> RawOp {
    RawOp { c, n, invoked: at, completed: at + MS, outcome: OpOutcome::Fail, xid: None, lsn: None, linked: false, payload: None }
}

fn commits(ops: &[RawOp]) -> Vec<WalLine> {
    let of = |op: &RawOp| WalLine::Commit(Commit { lsn: Lsn(op.lsn.unwrap_or(0)), tli: 1, xid: op.xid.unwrap_or(0), ts: wall(op), committed: true });
    ops.iter().filter(|op| op.lsn.is_some()).map(of).collect()
}

/// The server's clock runs with ours.
fn wall(op: &RawOp) -> Wall {
    Wall((op.completed / 1000) as i64)
}

pub fn target(kind: TargetKind, value: &str, known_from: &str) -> Target {
    Target {
        kind,
        value: value.into(),
        inclusive: kind == TargetKind::Time,
        timeline: "latest".into(),
        known_from: known_from.into(),
        at: Stamp(220 * MS),
        found: Vec::new(),
        damage: (known_from == "wal").then_some(DAMAGE),
        clock_us: None,
    }
}

impl World {
    /// A table is dropped, the cluster is recovered to just before it, and a control restore replays the archive to its end.
    pub fn dropped() -> World {
        let mut w = World::new(plan("drop-table", "pitr"), events(true, "clean: exited with 0"));
        w.plan.expect = vec!["exact".into(), "control-restore-differs".into()];
        for i in 0..AFTER {
            let (n, at) = (EACH + i, (140 + 10 * i) * MS);
            w.ops.push(RawOp {
                c: 1,
                n,
                invoked: at,
                completed: at + MS,
                outcome: OpOutcome::Ok,
                xid: Some(2001 + i as u32),
                lsn: Some(DAMAGE.0 + 1000 * (i + 1)),
                linked: false,
                payload: None,
            });
        }
        w.ops.push(failed(2, EACH, 134 * MS));
        let mut wal = commits(&w.ops);
        let ts = Wall((FAULT / 1000) as i64);
        wal.push(WalLine::Commit(Commit { lsn: DAMAGE, tli: 1, xid: DAMAGE_XID, ts, committed: true }));
        w.wal = Some(wal);
        w.locate(target(TargetKind::Xid, &DAMAGE_XID.to_string(), "wal"));
        w.read_recovered(|op| op.lsn.is_some_and(|lsn| lsn < DAMAGE.0));
        w.read_control();
        w
    }

    /// The same, with the target taken from an alert: good writes from before the damage are given up, within `rpo`.
    pub fn alerted() -> World {
        let mut w = World::dropped();
        w.plan.steps[2].known_from = Some("alert".into());
        // Just after the fourth operation.
        let at = Wall((103 * MS + MS / 2 + 1000) as i64 / 1000);
        let time = target(TargetKind::Time, &at.postgres(), "alert");
        w.events.retain(|e| !matches!(e.event, Event::TargetLocated { .. }));
        w.locate(time);
        w.read_recovered(|op| op.lsn.is_some_and(|lsn| lsn <= 4000));
        w
    }

    /// The machine is gone with the last 26 operations, which had not left it; a new server is made from the archive.
    pub fn lost() -> World {
        let mut w = World::new(plan("instance-lost", "archive-end"), events(true, "lost"));
        w.ops.push(failed(2, EACH, 130 * MS + MS / 2));
        w.ops.iter_mut().filter(|op| op.lsn.is_some_and(|lsn| lsn > 4000)).for_each(|op| op.lsn = None);
        w.wal = Some(commits(&w.ops));
        w.read_recovered(|op| op.lsn.is_some());
        w
    }

    /// Every process died, the disk stayed, and nothing is lost.
    pub fn crashed() -> World {
        let mut w = World::new(plan("crash", "restart"), events(false, "crashed"));
        w.read_recovered(|op| op.outcome == OpOutcome::Ok);
        w
    }

    fn new(plan: Plan, events: Vec<Stamped>) -> World {
        let clients = vec![(1, "ledger_a", ORIGIN), (2, "ledger_b", ORIGIN), (3, "ledger_a", RECOVERED)];
        let mut ops = load();
        ops.push(after_recovery());
        World { plan, events, clients, ops, recovered: Vec::new(), control: None, wal: None }
    }

    /// Adds an event at its place in time.
    pub fn event(&mut self, t: u64, event: Event) {
        let at = self.events.partition_point(|e| e.t.0 <= t);
        self.events.insert(at, Stamped { t: Stamp(t), event });
    }

    fn locate(&mut self, target: Target) {
        self.event(220 * MS, Event::TargetLocated { target });
        self.event(220 * MS, Event::Moment { moment: Moment::Located, step: Some(0), proof: "found".into() });
    }

    /// Changes every event that the closure takes.
    pub fn events_mut(&mut self, mut change: impl FnMut(&mut Event)) {
        self.events.iter_mut().for_each(|e| change(&mut e.event));
    }

    fn table(&self, c: u32) -> &'static str {
        self.clients.iter().find(|(client, ..)| *client == c).map_or("ledger_a", |(_, table, _)| table)
    }

    /// The chain that an operation's journal row carries.
    fn chain(&self, c: u32, n: u64) -> String {
        let mut last = chain_start(RUN, c);
        let mut ops: Vec<&RawOp> = self.ops.iter().filter(|op| op.c == c).collect();
        ops.sort_by_key(|op| op.n);
        for op in ops {
            let next = chain_next(&last, c, op.n, &payload(c, op.n));
            if op.n == n {
                return next;
            }
            if op.outcome == OpOutcome::Ok {
                last = next;
            }
        }
        last
    }

    /// The three rows of an operation, as it wrote them.
    pub fn rows_of(&self, c: u32, n: u64) -> Vec<ReadLine> {
        let linked = self.ops.iter().any(|op| (op.c, op.n) == (c, n) && op.linked);
        let row = |table: &str, payload, object, chain| ReadLine::Row(Row { table: table.into(), client: c, seq: n, payload, object, chain });
        vec![
            row(PRESENCE, None, None, None),
            row(JOURNAL, None, None, Some(self.chain(c, n))),
            row(self.table(c), Some(payload(c, n)), linked.then(|| format!("ledger/{c}.{n}")), None),
        ]
    }

    /// Reads back the base data, the rows of the origin's operations that are there, and all of the recovered server's own.
    fn read_recovered(&mut self, there: impl Fn(&RawOp) -> bool) {
        let own = |op: &RawOp| op.c == 3;
        let mut lines = self.read("recovered", RECOVERED, |op| own(op) || there(op), None);
        let linked: Vec<&RawOp> = self.ops.iter().filter(|op| op.linked).collect();
        lines.push(ReadLine::Objects { listed: linked.len() as u64 });
        for op in linked {
            let sha = short_sha(seed::object(SEED, op.c, op.n).as_bytes());
            lines.push(ReadLine::Object { key: format!("ledger/{}.{}", op.c, op.n), version: None, sha: Some(sha) });
        }
        lines.push(ReadLine::End { to: Stamp(399 * MS) });
        self.recovered = lines;
    }

    /// The control restore has everything that committed, and the damage.
    fn read_control(&mut self) {
        let mut lines = self.read("control", CONTROL, |op| op.lsn.is_some(), Some("ledger_b"));
        lines.push(ReadLine::End { to: Stamp(850 * MS) });
        self.control = Some(lines);
        self.event(800 * MS, started(0, Role::Control, CONTROL).event);
    }

    fn read(&self, role: &str, instance: &str, there: impl Fn(&RawOp) -> bool, destroyed: Option<&str>) -> Vec<ReadLine> {
        let mut lines = vec![ReadLine::Head { role: role.into(), instance: instance.into(), from: Stamp(331 * MS) }];
        for table in [PRESENCE, JOURNAL, "ledger_a", "ledger_b", "base_data"] {
            lines.push(ReadLine::Table { name: table.into(), exists: destroyed != Some(table) });
        }
        let in_destroyed = |line: &ReadLine| matches!(line, ReadLine::Row(row) if destroyed == Some(row.table.as_str()));
        for op in self.ops.iter().filter(|op| there(op)) {
            lines.extend(self.rows_of(op.c, op.n).into_iter().filter(|line| !in_destroyed(line)));
        }
        let rows = seed::base_rows(DATA);
        let mut hash = Sha256::new();
        (0..rows).for_each(|id| hash.update(format!("{id}\t{}\n", seed::base_row(SEED, id)).as_bytes()));
        lines.push(ReadLine::Base { chunk: 0, rows, sha: seed::hex(&hash.finalize()) });
        lines
    }

    /// Adds a line before the read-back's end.
    pub fn read_too(&mut self, lines: Vec<ReadLine>) {
        let end = self.recovered.len() - 1;
        self.recovered.splice(end..end, lines);
    }

    /// Removes an operation's rows from a read-back, or those in one table.
    pub fn unread(lines: &mut Vec<ReadLine>, c: u32, n: u64, table: Option<&str>) {
        let before = lines.len();
        let gone = |row: &Row| (row.client, row.seq) == (c, n) && table.is_none_or(|t| t == row.table);
        lines.retain(|line| !matches!(line, ReadLine::Row(row) if gone(row)));
        assert!(lines.len() < before, "there was something to take away");
    }

    fn ledger(&self) -> String {
        let (mut chain, mut text) = (LineChain::default(), String::new());
        let mut seal = |line: Line| chain.seal(&line.encode(), &mut text);
        seal(Line::Control(Control::Head { ledger: 1, run: RUN.into(), seed: SEED }));
        for (slot, (c, table, instance)) in self.clients.iter().enumerate() {
            seal(Line::Control(Control::Client { c: *c, slot: slot as u32, table: table.to_string(), instance: instance.to_string() }));
            seal(Line::Control(Control::Reserve { c: *c, from: 0, to: 1000 }));
        }
        for op in &self.ops {
            let object = || LinkedObject {
                key: format!("ledger/{}.{}", op.c, op.n),
                version: None,
                sha: short_sha(seed::object(SEED, op.c, op.n).as_bytes()),
            };
            seal(Line::Op(Op {
                client: op.c,
                seq: op.n,
                kind: if op.linked { OpKind::Linked } else { OpKind::Row },
                invoked: Stamp(op.invoked),
                completed: Stamp(op.completed),
                outcome: op.outcome,
                xid: op.xid,
                payload: op.payload.clone().unwrap_or_else(|| payload(op.c, op.n)),
                chain: self.chain(op.c, op.n),
                object: op.linked.then(object),
                why: None,
            }));
        }
        seal(Line::Control(Control::End { t: Stamp(700 * MS) }));
        text
    }

    /// The record, read as one on disk is.
    pub fn record(&self) -> Record {
        let mut reader = BookReader::default();
        self.ledger().lines().for_each(|line| reader.take(line));
        let book: Book = reader.finish();
        let seen = |lines: &[ReadLine], exempt| {
            let mut reader = SeenReader::new(&book, DATA);
            lines.iter().cloned().for_each(|line| reader.take(line));
            reader.finish(exempt)
        };
        let recovered = Some(seen(&self.recovered, None));
        let control = self.control.as_ref().map(|lines| seen(lines, Some("ledger_b")));
        let (plan, events, wal) = (Some(self.plan.clone()), self.events.clone(), self.wal.clone());
        Record { plan, events, recovered, control, wal, book: Some(book), unreadable: Vec::new() }
    }
}

/// The hash of an operation's payload.
pub fn payload(c: u32, n: u64) -> String {
    short_sha(seed::payload(SEED, c, n).as_bytes())
}
