//! What the properties are given: ledgers, events and texts, any of them.

use passmuster::model::event::{Actor, Event, FailureClass, Moment, Role};
use passmuster::model::ledger::{Control, Line, LineChain, LinkedObject, Op, OpKind, OpOutcome, chain_next, chain_start, short_sha};
use passmuster::model::seed;
use passmuster::model::time::{Stamp, Wall};
use passmuster::model::wal::{Lsn, Target, TargetKind};
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;

/// So many cases, times PM_TEST_TIMES for whoever has more time; no files of earlier failures: a failure prints its smallest
/// input.
pub fn config(cases: u32) -> Config {
    let times = std::env::var("PM_TEST_TIMES").ok().and_then(|t| t.parse().ok()).unwrap_or(1);
    Config { cases: cases * times, failure_persistence: None, ..Config::default() }
}

/// Any short text: control characters, quotes and every script in it.
pub fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![4 => any::<char>(), 1 => prop::sample::select(&['\n', '\t', '\r', '"', '\\', '\0', '\u{2028}', 'é', '{', '}'][..])];
    prop::collection::vec(character, 0..12).prop_map(String::from_iter)
}

/// Words that mean something to a reader, in any order, with any text between them.
pub fn soup(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop_oneof![6 => prop::sample::select(words).prop_map(String::from), 1 => text(), 1 => any::<u64>().prop_map(|n| n.to_string())];
    prop::collection::vec(word, 0..40).prop_map(|all| all.concat())
}

pub const YAML_WORDS: &[&str] = &[
    "scenario",
    "systems",
    "postgres",
    "s3",
    "steps",
    "fault",
    "drop-table",
    "recover",
    "pitr",
    "detect",
    "table-readable",
    "on",
    "db",
    "within",
    "expect",
    "exact",
    "workload",
    "kind",
    "linked",
    "objectives",
    "rpo",
    "15m",
    "rate",
    "200/s",
    "encrypt",
    "age",
    "env:KEY",
    "ephemeral",
    "none",
    ": ",
    ":",
    "\n",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "!!str ",
    "~",
    "null",
    "yes",
    "no",
    "true",
    "'",
    "\"",
    "|",
    ">",
    "---\n",
    "...\n",
    "#",
    "? ",
    "%YAML 1.1\n",
    "é",
    "\u{feff}",
    "\t",
    "<<",
    "0x1F",
    "1e9",
    "-1",
    "999999999999999999999d",
];

pub const LEDGER_WORDS: &[&str] = &[
    "{\"k\":\"head\",\"ledger\":1,\"run\":\"r\",\"seed\":7}\n",
    "{\"k\":\"client\",\"c\":1,\"slot\":0,\"table\":\"ledger_a\",\"instance\":\"1/1\"}\n",
    "{\"k\":\"reserve\",\"c\":1,\"from\":0,\"to\":1000}\n",
    "{\"k\":\"retire\",\"c\":1,\"why\":\"x\"}\n",
    "{\"k\":\"end\",\"t\":1}\n",
    "{\"c\":1,\"n\":0,\"w\":\"row\",\"i\":0,\"e\":9,\"o\":\"ok\",\"x\":700,\"p\":\"a\",\"h\":\"b\"}\n",
    "{\"c\":1,\"n\":",
    ",\"w\":\"linked\",\"i\":0,\"e\":9,\"o\":\"unknown\",\"p\":\"a\",\"h\":\"b\"}\n",
    "{\"k\":\"reserve\",\"c\":1,\"from\":1000,\"to\":",
    "}\n",
    "\t",
    "\n",
    "d18d7f5452afb69abd1dac57f755f93f",
];

/// What may stand in the place of a character of a ledger's line.
pub const LEDGER_BYTES: &str = "[0-9\"\\\\{},:. eé+-]{0,2}";

pub const WALDUMP_WORDS: &[&str] = &[
    "rmgr: Transaction ",
    "rmgr: Storage ",
    "rmgr: XLOG ",
    "rmgr: Heap ",
    "len (rec/tot): 34/34, ",
    "tx: 751, ",
    "lsn: 0/03025400, ",
    "lsn: ",
    "prev 0/0, ",
    "desc: ",
    "COMMIT ",
    "ABORT ",
    "COMMIT_PREPARED xid 745: ",
    "2026-11-21 14:15:31.000000 UTC; ",
    "rels: base/5/16391 global/1262; ",
    "subxacts: 752 753; ",
    "inval msgs: catcache 55 relcache 16384 relcache",
    "CREATE base/5/16400",
    "CREATE pg_tblspc/1/PG_18/5/7",
    "RESTORE_POINT fence 1",
    "blkref #0: rel 1663/5/16384 ",
    "fork main ",
    "blk 3 ",
    "(FPW); ",
    "FPW",
    "; ",
    ", ",
    "/",
    "\n",
];

pub const UNIT_WORDS: &[&str] = &[
    "ns", "us", "µs", "ms", "s", "m", "h", "d", "w", "KiB", "MB", "B", "TiB", "%", "/s", "/h", ".", "0", "5", "1.5", "-", "+", "e9", "NaN", "inf",
    " ", "env:", "file:",
];

pub const SETTINGS: &[&str] = &[
    "data",
    "rate",
    "systems.db.postgres.data",
    "systems.db.postgres.version",
    "steps.0.phase",
    "phase",
    "steps",
    "encrypt",
    "expect",
    "expect.0",
    "kind",
    "",
    ".",
    "settings",
    "systems.db.postgres.settings",
    "to",
    "no.such.thing",
];

// ---- ledgers ------------------------------------------------------------------------------------------------------

/// What some clients did, in an order.
#[derive(Debug, Clone)]
pub struct Story {
    pub run: String,
    pub seed: u64,
    clients: Vec<Vec<(OpOutcome, bool, String)>>,
    order: Vec<prop::sample::Index>,
}

impl Story {
    /// Any story of up to four clients; an operation in doubt is a client's last.
    pub fn any() -> impl Strategy<Value = Story> {
        let outcome = prop_oneof![6 => Just(OpOutcome::Ok), 2 => Just(OpOutcome::Fail), 1 => Just(OpOutcome::Unknown)];
        let client = prop::collection::vec((outcome, any::<bool>(), text()), 0..8).prop_map(|mut ops: Vec<(OpOutcome, bool, String)>| {
            if let Some(doubt) = ops.iter().position(|(o, ..)| *o == OpOutcome::Unknown) {
                ops.truncate(doubt + 1);
            }
            ops
        });
        (text(), any::<u64>(), prop::collection::vec(client, 1..4), prop::collection::vec(any::<prop::sample::Index>(), 32))
            .prop_map(|(run, seed, clients, order)| Story { run, seed, clients, order })
    }

    /// The ledger of it.
    pub fn lines(&self) -> Vec<Line> {
        let control = |c: Control| Line::Control(c);
        let mut lines = vec![control(Control::Head { ledger: 1, run: self.run.clone(), seed: self.seed })];
        let mut chains = Vec::new();
        for c in 1..=self.clients.len() as u32 {
            lines.push(control(Control::Client { c, slot: c - 1, table: "ledger_a".into(), instance: "1/1".into() }));
            lines.push(control(Control::Reserve { c, from: 0, to: 5 }));
            chains.push(chain_start(&self.run, c));
        }
        let mut next = vec![0usize; self.clients.len()];
        let mut order = self.order.iter().cycle();
        let mut t = 0;
        loop {
            let waiting: Vec<usize> = (0..self.clients.len()).filter(|c| next[*c] < self.clients[*c].len()).collect();
            if waiting.is_empty() {
                break;
            }
            let at = waiting[order.next().map_or(0, |i| i.index(waiting.len()))];
            let (n, c) = (next[at] as u64, at as u32 + 1);
            if n == 5 {
                lines.push(control(Control::Reserve { c, from: 5, to: 10 }));
            }
            let (outcome, linked, why) = &self.clients[at][next[at]];
            t += 10;
            let op = self.op(c, n, *outcome, *linked, why, &chains[at], t);
            if *outcome == OpOutcome::Ok {
                chains[at].clone_from(&op.chain);
            }
            lines.push(Line::Op(op));
            next[at] += 1;
            if next[at] == self.clients[at].len() {
                lines.push(control(Control::Retire { c, why: why.clone() }));
            }
        }
        lines.push(control(Control::End { t: Stamp(t) }));
        lines
    }

    #[allow(clippy::too_many_arguments)]
    fn op(&self, c: u32, n: u64, outcome: OpOutcome, linked: bool, why: &str, last: &str, t: u64) -> Op {
        let payload = short_sha(seed::payload(self.seed, c, n).as_bytes());
        let sha = short_sha(seed::object(self.seed, c, n).as_bytes());
        Op {
            client: c,
            seq: n,
            kind: if linked { OpKind::Linked } else { OpKind::Row },
            invoked: Stamp(t),
            completed: Stamp(t + 9),
            outcome,
            xid: (outcome != OpOutcome::Fail).then_some(700 + t as u32),
            chain: chain_next(last, c, n, &payload),
            payload,
            object: linked.then(|| LinkedObject { key: format!("ledger/{c}.{n}"), version: Some(why.into()), sha }),
            why: (outcome != OpOutcome::Ok).then(|| why.into()),
        }
    }
}

/// The text of a ledger, every digest fitting.
pub fn sealed(lines: &[Line]) -> String {
    let (mut chain, mut text) = (LineChain::default(), String::new());
    lines.iter().for_each(|l| chain.seal(&l.encode(), &mut text));
    text
}

// ---- events -------------------------------------------------------------------------------------------------------

/// Values from which an event is made.
#[derive(Debug, Clone)]
pub struct Pool {
    a: String,
    b: String,
    n: u64,
    m: u64,
    i: i64,
    yes: bool,
    some: bool,
    pairs: Vec<(String, String)>,
}

pub fn pool() -> impl Strategy<Value = Pool> {
    let numbers = || prop_oneof![any::<u64>(), 0..20u64, Just(u64::MAX)];
    let wall = prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    (text(), text(), numbers(), numbers(), wall, any::<bool>(), any::<bool>(), prop::collection::vec((text(), text()), 0..3))
        .prop_map(|(a, b, n, m, i, yes, some, pairs)| Pool { a, b, n, m, i, yes, some, pairs })
}

/// Kinds of events.
pub const EVENTS: usize = 40;

/// The number of an event's kind: a new kind does not compile until it has one here and below.
pub fn index_of(e: &Event) -> usize {
    match e {
        Event::RunBegan { .. } => 0,
        Event::Phase { .. } => 1,
        Event::Progress { .. } => 2,
        Event::Moment { .. } => 3,
        Event::Worked { .. } => 4,
        Event::InstanceStarted { .. } => 5,
        Event::InstanceGone { .. } => 6,
        Event::Clock { .. } => 7,
        Event::SegmentAcknowledged { .. } => 8,
        Event::SegmentRefused { .. } => 9,
        Event::ObjectStored { .. } => 10,
        Event::BaseBackup { .. } => 11,
        Event::ArchiveListed { .. } => 12,
        Event::ObjectInspected { .. } => 13,
        Event::ArchiveConflict { .. } => 14,
        Event::ForeignTimeline { .. } => 15,
        Event::Fence { .. } => 16,
        Event::TargetLocated { .. } => 17,
        Event::ManifestMismatch { .. } => 18,
        Event::Healed { .. } => 19,
        Event::Failed { .. } => 20,
        Event::Probe { .. } => 21,
        Event::EndpointMoved { .. } => 22,
        Event::EndpointAnswered { .. } => 23,
        Event::LateWrite { .. } => 24,
        Event::Load { .. } => 25,
        Event::ClientError { .. } => 26,
        Event::Structure { .. } => 27,
        Event::Stalled { .. } => 28,
        Event::Knob { .. } => 29,
        Event::NotRun { .. } => 30,
        Event::Sabotaged { .. } => 31,
        Event::HumanStep { .. } => 32,
        Event::Broke { .. } => 33,
        Event::Interrupted => 34,
        Event::CleanedUp { .. } => 35,
        Event::RunEnded { .. } => 36,
        Event::StoreStarted { .. } => 37,
        Event::BackupOpened { .. } => 38,
        Event::TimelinesSeen { .. } => 39,
    }
}

/// An event of a kind.
pub fn event(kind: usize, p: &Pool) -> Event {
    const MOMENTS: [Moment; 16] = [
        Moment::Load,
        Moment::Steady,
        Moment::BackedUp,
        Moment::Inject,
        Moment::Fault,
        Moment::Stop,
        Moment::Detect,
        Moment::Start,
        Moment::Located,
        Moment::Bytes,
        Moment::Consistent,
        Moment::Read,
        Moment::Write,
        Moment::Verified,
        Moment::Protected,
        Moment::SteadyAgain,
    ];
    const ACTORS: [Actor; 6] = [Actor::Server, Actor::Store, Actor::Pipeline, Actor::Program, Actor::Monitor, Actor::Human];
    const ROLES: [Role; 4] = [Role::Origin, Role::Recovered, Role::Control, Role::Stranger];
    const TARGETS: [TargetKind; 5] = [TargetKind::Name, TargetKind::Lsn, TargetKind::Time, TargetKind::Xid, TargetKind::End];
    let (a, b) = (|| p.a.clone(), || p.b.clone());
    let role = ROLES[p.n as usize % 4];
    let maybe = |text: String| p.some.then_some(text);
    let step = p.some.then_some(p.m as usize);
    match kind {
        0 => Event::RunBegan { run: a(), wall: Wall(p.i) },
        1 => Event::Phase { name: a() },
        2 => Event::Progress { what: a(), bytes: p.n, of: p.some.then_some(p.m) },
        3 => Event::Moment { moment: MOMENTS[p.n as usize % 16], step, proof: a() },
        4 => Event::Worked { actor: ACTORS[p.n as usize % 6], what: a(), from: Stamp(p.m) },
        5 => Event::InstanceStarted {
            role,
            instance: a(),
            system_identifier: b(),
            version: a(),
            timeline: p.some.then_some(p.m as u32),
            settings: settings(p),
        },
        6 => Event::InstanceGone { instance: a(), how: b(), left: p.some.then_some(p.n as usize) },
        7 => Event::Clock { instance: a(), before: Stamp(p.n), wall: Wall(p.i), lsn: Lsn(p.m) },
        8 => Event::SegmentAcknowledged { name: a(), sha256: b(), asked: Stamp(p.n), instance: b() },
        9 => Event::SegmentRefused { name: a(), why: b() },
        10 => Event::ObjectStored { key: a(), bytes: p.n, sha256: b() },
        11 => Event::BaseBackup {
            id: a(),
            system_identifier: b(),
            timeline: p.n as u32,
            start: Lsn(p.n),
            stop: Lsn(p.m),
            raw_bytes: p.n,
            stored_bytes: p.m,
        },
        12 => Event::ArchiveListed { files: p.pairs.iter().map(|(k, _)| (k.clone(), p.n)).collect() },
        13 => Event::ObjectInspected { key: a(), cipher: b(), opened: p.some.then_some(p.yes) },
        14 => Event::ArchiveConflict { name: a() },
        15 => Event::ForeignTimeline { name: a() },
        16 => Event::Fence { drained: Stamp(p.n), lsn: Lsn(p.m), name: a() },
        17 => Event::TargetLocated {
            target: Target {
                kind: TARGETS[p.n as usize % 5],
                value: if p.yes { Wall(p.i).rfc3339() } else { Lsn(p.m).to_string() },
                inclusive: p.yes,
                timeline: b(),
                known_from: if p.some { "wal".into() } else { "oracle".into() },
                at: Stamp(p.m),
                found: vec![a(), b()],
                damage: p.some.then_some(Lsn(p.n)),
                clock_us: p.yes.then_some(p.i),
            },
        },
        18 => Event::ManifestMismatch { role, file: a(), problem: b() },
        19 => Event::Healed { file: a(), block: p.n, lsn: Lsn(p.m) },
        20 => Event::Failed { step, role: p.some.then_some(role), class: FailureClass::ALL[p.n as usize % FailureClass::ALL.len()], detail: a() },
        21 => Event::Probe { probe: a(), ok: p.yes, why: maybe(b()) },
        22 => Event::EndpointMoved { instance: a() },
        23 => Event::EndpointAnswered { instance: a(), in_recovery: p.yes },
        24 => Event::LateWrite { instance: a(), what: b() },
        25 => Event::Load { ok: p.n as u32, bad: p.m as u32 },
        26 => Event::ClientError { slot: p.n as u32, why: a() },
        27 => Event::Structure { role, check: a(), ok: p.yes, detail: b() },
        28 => Event::Stalled { ns: p.n },
        29 => Event::Knob { name: a(), why: b() },
        30 => Event::NotRun { what: a(), why: b() },
        31 => Event::Sabotaged { name: a(), detail: b() },
        32 => Event::HumanStep { what: a(), step: p.n as usize },
        33 => Event::Broke { message: a(), hint: maybe(b()) },
        34 => Event::Interrupted,
        35 => Event::CleanedUp { left: vec![a(), b()] },
        37 => Event::StoreStarted { name: a(), profile: b(), describes_as: a(), conditional_put: p.yes, versions: p.some.then_some(p.yes) },
        38 => Event::BackupOpened { id: a(), role, system_identifier: b() },
        39 => Event::TimelinesSeen { found: vec![p.n as u32, p.m as u32], expected: p.n as u32 },
        _ => Event::RunEnded { status: if p.yes { "completed".into() } else { a() }, peak_rss: p.some.then_some(p.n) },
    }
}

/// Settings, some of which the verdict reads.
fn settings(p: &Pool) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = p.pairs.iter().cloned().collect();
    let sizes = ["1MB", "16MB", "0MB", "99999999999999999999GB", "4194304GB", "MB", ""];
    all.insert("wal_segment_size".into(), sizes[p.n as usize % sizes.len()].into());
    if p.some {
        all.insert("fsync".into(), "off".into());
    }
    all
}
