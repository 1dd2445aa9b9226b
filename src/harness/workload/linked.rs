//! The linked workload: transactions over several tables, some of which name an object whose PUT was
//! acknowledged first (docs/EVIDENCE.md, "ledger.jsonl").
//!
//! Clients with an even number write to `ledger_a`, the others to `ledger_b`, so that good writes go on
//! when one of the two is damaged. Every transaction also writes its presence row and its journal row,
//! which carries the client's hash chain.

use super::super::error::{Doing, Error, Outcome};
use super::super::recorder::Recorder;
use super::super::store::Bucket;
use super::ledger_writer::{BLOCK, LedgerWriter};
use super::wire::{Gone, Login, Reply, Wire, commit_outcome};
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::Event;
use crate::model::ledger::{Control, LinkedObject, Op, OpKind, OpOutcome, chain_next, chain_start, short_sha};
use crate::model::params::{ParamSpec, ParamType};
use crate::model::seed;
use crate::model::time::Stamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Registration.
pub const SPEC: KindSpec = KindSpec {
    class: Class::Workload,
    name: "linked",
    summary: "Transactions over several tables, some naming an object that was stored first",
    doc: "Each client keeps a hash chain over its acknowledged transactions. Every operation is derived from the seed, \
          so payloads need not be kept; its outcome goes into the ledger before the client's next send. An answer that \
          never came is in doubt: neither lost nor acknowledged.",
    on: &[],
    params: &[
        ParamSpec::new("clients", ParamType::Int(2, 256), "4", "Clients; half of them use the table `ledger_b`."),
        ParamSpec::new("rate", ParamType::Rate, "200/s", "Operations per second of all clients together; `0/s` is as fast as they can."),
        ParamSpec::new("objects", ParamType::Share, "25%", "Share of the operations that store an object first."),
        ParamSpec::new("lead", ParamType::Duration, "2s", "Load between the base backup and the first fault."),
    ],
    sabotages: &[],
};

/// The tables that clients write to, beside presence and journal.
pub const TABLES: [&str; 2] = ["ledger_a", "ledger_b"];

/// SQL of the ledgered tables.
pub const SCHEMA: &str = "
    CREATE TABLE presence (c integer NOT NULL, n bigint NOT NULL, PRIMARY KEY (c, n));
    CREATE TABLE journal (c integer NOT NULL, n bigint NOT NULL, chain text NOT NULL, PRIMARY KEY (c, n));
    CREATE TABLE ledger_a (c integer NOT NULL, n bigint NOT NULL, payload text NOT NULL, object text, PRIMARY KEY (c, n));
    CREATE TABLE ledger_b (c integer NOT NULL, n bigint NOT NULL, payload text NOT NULL, object text, PRIMARY KEY (c, n));";

/// Longest wait for an answer; what takes longer is in doubt.
const ANSWER: Duration = Duration::from_secs(5);
/// Between attempts to connect during an outage.
const RECONNECT: Duration = Duration::from_millis(20);

/// What the load is made of.
pub struct Settings {
    /// Run id.
    pub run: String,
    /// Seed of everything.
    pub seed: u64,
    /// Clients.
    pub clients: u32,
    /// Operations per second of all together; zero is unlimited.
    pub rate: f64,
    /// Share with an object.
    pub objects: f64,
    /// Where the clients connect.
    pub endpoint: SocketAddr,
    /// How they log in.
    pub login: Login,
    /// Where their objects go.
    pub bucket: Bucket,
    /// Without a ledger, to measure what it costs.
    pub ledger: bool,
}

/// What the clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Orders {
    running: bool,
    stop: bool,
}

struct Shared {
    settings: Settings,
    recorder: Arc<Recorder>,
    ledger: Arc<LedgerWriter>,
    next_client: AtomicU32,
    ok: AtomicU64,
    bad: AtomicU64,
    /// Operations under way.
    busy: AtomicU64,
    broken: AtomicBool,
}

/// A running load.
pub struct Linked {
    shared: Arc<Shared>,
    orders: watch::Sender<Orders>,
    clients: tokio::sync::Mutex<JoinSet<Outcome<()>>>,
    counting: tokio::task::JoinHandle<()>,
}

impl Linked {
    /// Starts the clients; they begin to write at once.
    pub fn start(settings: Settings, recorder: Arc<Recorder>, ledger: Arc<LedgerWriter>) -> Linked {
        let orders = watch::Sender::new(Orders { running: true, stop: false });
        let shared = Arc::new(Shared {
            settings,
            recorder,
            ledger,
            next_client: AtomicU32::new(1),
            ok: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        });
        let mut clients = JoinSet::new();
        for slot in 0..shared.settings.clients {
            clients.spawn(client(slot, shared.clone(), orders.subscribe()));
        }
        let counting = tokio::spawn(count(shared.clone()));
        Linked { shared, orders, clients: tokio::sync::Mutex::new(clients), counting }
    }

    /// Operations acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.ok.load(Ordering::Relaxed)
    }

    /// Whether the ledger could not be written: nothing that follows can be measured.
    pub fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Lets no client begin another operation, and waits until none is under way.
    pub async fn pause(&self) {
        self.orders.send_modify(|o| o.running = false);
        let idle = || async { Ok((self.shared.busy.load(Ordering::SeqCst) == 0).then_some(())) };
        // An operation ends by its own time-out at the latest, so this ends too.
        let _ = super::super::recorder::poll("the clients' pause", ANSWER * 2, Duration::from_millis(1), idle).await;
    }

    /// Lets the clients go on.
    pub fn resume(&self) {
        self.orders.send_modify(|o| o.running = true);
    }

    /// Ends the load: every client finishes the operation that it is at.
    pub async fn stop(&self) -> Outcome<()> {
        self.orders.send_modify(|o| o.stop = true);
        let mut first_error = None;
        let mut clients = self.clients.lock().await;
        while let Some(ended) = clients.join_next().await {
            if let Ok(Err(e)) = ended {
                first_error.get_or_insert(e);
            }
        }
        self.counting.abort();
        first_error.map_or(Ok(()), Err)
    }

    /// One operation under an identity of its own, outside of the load: for the first write after a recovery. The inner error says
    /// why it was not acknowledged.
    pub async fn single(&self) -> Outcome<Result<(u32, u64), String>> {
        let (mut wire, instance) = match tokio::time::timeout(ANSWER, connect(&self.shared.settings)).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(gone)) => return Ok(Err(gone.words())),
            Err(_) => return Ok(Err("no connection in time".into())),
        };
        let mut identity = Identity::new(&self.shared, 0, &instance)?;
        let (outcome, why) = identity.operate(&self.shared, &mut wire).await?;
        let done = (identity.client, identity.next - 1);
        identity.retire(&self.shared, "single write")?;
        Ok(if outcome == OpOutcome::Ok { Ok(done) } else { Err(why.unwrap_or_else(|| "in doubt".into())) })
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        self.counting.abort();
    }
}

/// Which instance answers: its system identifier and the start of its postmaster in microseconds, the start number
/// within which a transaction id counts.
pub const INSTANCE_SQL: &str =
    "SELECT system_identifier || '/' || (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint FROM pg_control_system()";

/// Connects where the clients connect, and asks who answers. Every connection is an identity of its own: behind the same
/// address there may be another instance by now.
async fn connect(settings: &Settings) -> Result<(Wire, String), Gone> {
    let mut wire = Wire::connect(settings.endpoint, &settings.login).await?;
    let reply = wire.query(INSTANCE_SQL).await?;
    match reply.value {
        Some(instance) => Ok((wire, instance)),
        None => Err(Gone::Lost("the server does not say who it is".into())),
    }
}

/// Marks an operation as under way for as long as it lives.
struct Busy<'a>(&'a AtomicU64);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicU64) -> Busy<'a> {
        count.fetch_add(1, Ordering::SeqCst);
        Busy(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Emits the number of acknowledgements and errors of each 100 ms.
async fn count(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let (mut ok, mut bad) = (0, 0);
    loop {
        every.tick().await;
        let (ok_now, bad_now) = (shared.ok.load(Ordering::Relaxed), shared.bad.load(Ordering::Relaxed));
        shared.recorder.emit(Event::Load { ok: (ok_now - ok) as u32, bad: (bad_now - bad) as u32 });
        (ok, bad) = (ok_now, bad_now);
    }
}

/// A client identity: a number, a chain and the operations reserved for it.
struct Identity {
    client: u32,
    table: &'static str,
    next: u64,
    reserved: u64,
    chain: String,
}

impl Identity {
    fn new(shared: &Shared, slot: u32, instance: &str) -> Outcome<Identity> {
        let client = shared.next_client.fetch_add(1, Ordering::Relaxed);
        let table = TABLES[(slot % 2) as usize];
        shared.ledger.control(&Control::Client { c: client, slot, table: table.into(), instance: instance.into() })?;
        Ok(Identity { client, table, next: 0, reserved: 0, chain: chain_start(&shared.settings.run, client) })
    }

    fn reserve(&mut self, shared: &Shared) -> Outcome<()> {
        if self.next < self.reserved {
            return Ok(());
        }
        let (from, to) = (self.reserved, self.reserved + BLOCK);
        shared.ledger.control(&Control::Reserve { c: self.client, from, to })?;
        shared.ledger.sync()?;
        self.reserved = to;
        Ok(())
    }

    fn retire(&self, shared: &Shared, why: &str) -> Outcome<()> {
        shared.ledger.control(&Control::Retire { c: self.client, why: why.into() })
    }

    /// Attempts the next operation and writes its outcome down.
    async fn operate(&mut self, shared: &Shared, wire: &mut Wire) -> Outcome<(OpOutcome, Option<String>)> {
        if shared.settings.ledger {
            self.reserve(shared)?;
        }
        let (client, seq) = (self.client, self.next);
        self.next += 1;
        let s = &shared.settings;
        let linked = seed::unit(s.seed, "linked", (u64::from(client) << 40) | seq) < s.objects;
        let payload = seed::payload(s.seed, client, seq);
        let payload_sha = short_sha(payload.as_bytes());
        let chain = chain_next(&self.chain, client, seq, &payload_sha);
        let mut op = Op {
            client,
            seq,
            kind: if linked { OpKind::Linked } else { OpKind::Row },
            invoked: shared.recorder.now(),
            completed: Stamp::default(),
            outcome: OpOutcome::Fail,
            xid: None,
            payload: payload_sha,
            chain: chain.clone(),
            object: None,
            why: None,
        };
        let attempt = tokio::time::timeout(ANSWER, self.attempt(shared, wire, &mut op, &payload));
        let (outcome, why) = attempt.await.unwrap_or((OpOutcome::Unknown, Some("time-out".into())));
        (op.outcome, op.why) = (outcome, why.clone());
        op.completed = shared.recorder.now();
        if outcome == OpOutcome::Ok {
            self.chain = chain;
        }
        if s.ledger {
            shared.ledger.op(op)?;
        }
        let counter = if outcome == OpOutcome::Ok { &shared.ok } else { &shared.bad };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok((outcome, why))
    }

    async fn attempt(&self, shared: &Shared, wire: &mut Wire, op: &mut Op, payload: &str) -> (OpOutcome, Option<String>) {
        let (c, n) = (op.client, op.seq);
        if op.kind == OpKind::Linked {
            let key = format!("ledger/{c}.{n}");
            let content = seed::object(shared.settings.seed, c, n);
            let sha = short_sha(content.as_bytes());
            match shared.settings.bucket.put(&key, content.into(), false).await {
                Ok(version) => op.object = Some(LinkedObject { key, version, sha }),
                Err(_) => return (OpOutcome::Fail, Some("object store".into())),
            }
        }
        let object = op.object.as_ref().map_or("NULL".to_string(), |o| format!("'{}'", o.key));
        let (table, chain) = (self.table, &op.chain);
        let work = format!(
            "BEGIN;INSERT INTO presence VALUES({c},{n});INSERT INTO {table} VALUES({c},{n},'{payload}',{object});\
             INSERT INTO journal VALUES({c},{n},'{chain}');SELECT pg_current_xact_id()::text"
        );
        match wire.query(&work).await {
            // Nothing was committed, since COMMIT was not sent.
            Err(gone) => return (OpOutcome::Fail, Some(gone.why())),
            Ok(Reply { error: Some(error), .. }) => {
                let _ = wire.query("ROLLBACK").await;
                return (OpOutcome::Fail, Some(error.code));
            }
            Ok(reply) => op.xid = reply.value.and_then(|v| v.parse::<u64>().ok()).map(|x| x as u32),
        }
        commit_outcome(wire.query("COMMIT").await)
    }
}

async fn client(slot: u32, shared: Arc<Shared>, mut orders: watch::Receiver<Orders>) -> Outcome<()> {
    let result = client_loop(slot, &shared, &mut orders).await;
    if let Err(e) = &result {
        shared.broken.store(true, Ordering::Relaxed);
        shared.recorder.emit(Event::Broke { message: format!("client {slot}: {e}"), hint: e.hint() });
    }
    result
}

async fn client_loop(slot: u32, shared: &Arc<Shared>, orders: &mut watch::Receiver<Orders>) -> Outcome<()> {
    let s = &shared.settings;
    let period = if s.rate > 0.0 { Duration::from_secs_f64(f64::from(s.clients) / s.rate) } else { Duration::ZERO };
    let mut due = tokio::time::Instant::now() + period.mul_f64(f64::from(slot) / f64::from(s.clients));
    let mut was_good = true;
    loop {
        if wait_for_orders(orders).await.is_none() {
            return Ok(());
        }
        let (mut wire, instance) = match connect(s).await {
            Ok(connected) => connected,
            Err(gone) => {
                shared.bad.fetch_add(1, Ordering::Relaxed);
                note_bad(shared, slot, &mut was_good, gone);
                tokio::time::sleep(RECONNECT).await;
                continue;
            }
        };
        let mut identity = Identity::new(shared, slot, &instance)?;
        let end = loop {
            if wait_for_orders(orders).await.is_none() {
                return identity.retire(shared, "end of the load");
            }
            pace(&mut due, period).await;
            let busy = Busy::new(&shared.busy);
            // A pause that was ordered while we waited counts.
            if !orders.borrow().running {
                continue;
            }
            let (outcome, _) = identity.operate(shared, &mut wire).await?;
            drop(busy);
            match outcome {
                OpOutcome::Ok => was_good = true,
                OpOutcome::Unknown => {
                    note_bad(shared, slot, &mut was_good, Gone::Lost("in doubt".into()));
                    break "an operation is in doubt";
                }
                OpOutcome::Fail => {
                    note_bad(shared, slot, &mut was_good, Gone::Lost("operation failed".into()));
                    // A connection that is gone answers nothing; one that is good answers this.
                    if wire.query("").await.is_err() {
                        break "the connection is gone";
                    }
                }
            }
        };
        identity.retire(shared, end)?;
    }
}

/// The first bad answer after a good one is an event.
fn note_bad(shared: &Shared, slot: u32, was_good: &mut bool, gone: Gone) {
    if *was_good {
        shared.recorder.emit(Event::ClientError { slot, why: gone.words() });
        *was_good = false;
    }
}

/// Waits while the load is paused; `None` when it is to end.
async fn wait_for_orders(orders: &mut watch::Receiver<Orders>) -> Option<()> {
    loop {
        let now = *orders.borrow_and_update();
        if now.stop {
            return None;
        }
        if now.running {
            return Some(());
        }
        orders.changed().await.ok()?;
    }
}

/// Waits until the next operation is due. One that is late is not made up for: the rate is a ceiling.
async fn pace(due: &mut tokio::time::Instant, period: Duration) {
    if period.is_zero() {
        return;
    }
    let now = tokio::time::Instant::now();
    if *due > now {
        tokio::time::sleep_until(*due).await;
    }
    *due = (*due + period).max(now);
}

/// Creates the ledgered tables and the base data, by COPY, hashing nothing twice: what is read back is
/// compared with what the seed says.
pub async fn load_base(client: &tokio_postgres::Client, seed_value: u64, bytes: u64, progress: impl Fn(u64)) -> Outcome<u64> {
    use futures_util::SinkExt;
    let what = || "load the base data".to_string();
    client.batch_execute(SCHEMA).await.doing(|| "create the ledgered tables".into())?;
    client.batch_execute("CREATE TABLE base_data (id bigint NOT NULL, content text NOT NULL)").await.doing(what)?;
    let rows = seed::base_rows(bytes);
    let sink = client.copy_in("COPY base_data FROM STDIN").await.doing(what)?;
    let mut sink = std::pin::pin!(sink);
    let mut buffer = bytes::BytesMut::with_capacity(1 << 20);
    for id in 0..rows {
        use std::fmt::Write;
        let _ = writeln!(buffer, "{id}\t{}", seed::base_row(seed_value, id));
        if buffer.len() > (1 << 19) {
            progress(bytes * id / rows.max(1));
            sink.send(buffer.split().freeze()).await.doing(what)?;
        }
    }
    sink.send(buffer.freeze()).await.doing(what)?;
    let loaded = sink.finish().await.doing(what)?;
    if loaded != rows {
        return Err(Error::Other(format!("{loaded} of {rows} rows of base data were loaded")));
    }
    client.batch_execute("ALTER TABLE base_data ADD PRIMARY KEY (id)").await.doing(what)?;
    Ok(rows)
}
