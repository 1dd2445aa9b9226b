//! Runs a plan: setup, steady state, backup, disaster, detection, recovery, verification, control restore,
//! clean-up. Emits events and writes the raw record; judges nothing.

use super::backup::basebackup_wal;
use super::backup::pipeline::{Sealing, cipher_of};
use super::backup::spool::ArchiveSpool;
use super::backup::vault::Vault;
use super::drill::{Drill, Fence};
use super::endpoint::Endpoint;
use super::error::{Doing, Error, Outcome};
use super::lab::{Lab, LabOptions, Provider};
use super::probe::{self, Asking};
use super::recorder::{Recorder, heartbeat, poll};
use super::recovery::restore::{self, Order as RestoreOrder};
use super::sabotage::{Point, Sabotage, Saboteur, Stage};
use super::system::postgres::{self, ClusterSettings, Instance};
use super::system::s3::S3System;
use super::workload::ledger_writer::LedgerWriter;
use super::workload::linked::{self, Linked};
use super::{fault, locate, readback, recovery, secret};
use crate::model::event::{Actor, Event, FailureClass, Moment, Role, Stamped};
use crate::model::ledger::Control;
use crate::model::params::Params;
use crate::model::plan::Plan;
use crate::model::scenario::{Action, KnownFrom, Scenario};
use crate::model::time::{Stamp, Wall};
use crate::model::units::human_duration;
use crate::model::wal::{Target, TargetKind};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc::UnboundedSender, watch};

/// A drill to run.
pub struct Order {
    /// The recorded plan.
    pub plan: Plan,
    /// The scenario.
    pub scenario: Scenario,
    /// Lab.
    pub provider: Provider,
    /// Lab options.
    pub options: LabOptions,
    /// Deliberate defect.
    pub sabotage: Option<Arc<dyn Sabotage>>,
    /// Directory of the raw record; made here.
    pub out: PathBuf,
    /// Sees every event.
    pub observer: Option<UnboundedSender<Stamped>>,
    /// Becomes true when the run is to stop.
    pub cancel: watch::Receiver<bool>,
}

/// How a run ended; what it found is in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// `completed`, `aborted` or `interrupted`.
    pub status: String,
    /// What could not be cleaned up.
    pub left: Vec<String>,
}

/// How long the steady state is waited for.
const STEADY_LIMIT: Duration = Duration::from_secs(60);
/// Between the probes of a steady state.
const STEADY_EVERY: Duration = Duration::from_millis(50);
/// How long an endpoint may still lead elsewhere after it was re-pointed.
const ENDPOINT_LIMIT: Duration = Duration::from_secs(3);

/// How long the recovered server may take until the first read and the first write where the clients connect.
const FIRST_LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for one answer there.
const ANSWER: Duration = Duration::from_secs(5);

/// Runs a drill. An `Err` means that there is no record to judge: it could not be begun, or not be written.
pub async fn run(order: Order) -> Outcome<Ended> {
    std::fs::create_dir_all(&order.out).doing(|| format!("create {}", order.out.display()))?;
    let recorder = Recorder::start(&order.out.join("events.jsonl"), order.observer.clone())?;
    recorder.emit_at(Stamp(0), Event::RunBegan { run: order.plan.run.clone(), wall: Wall::now() });
    // Secrets are known before anything of the scenario is written down.
    let sealing = sealing(&order.scenario.backup.params, &recorder);
    write_plan(&order, &recorder)?;
    let opened = match sealing {
        Ok(sealing) => Lab::open(order.provider, &order.plan.run, recorder.clone(), order.options.clone()).map(|lab| (Arc::new(lab), sealing)),
        Err(e) => Err(e),
    };
    let (lab, sealing) = match opened {
        Ok(opened) => opened,
        Err(e) => {
            broke(&recorder, &e);
            return end(&recorder, "aborted", Vec::new());
        }
    };
    let beat = heartbeat(&recorder);
    let mut cancel = order.cancel.clone();
    let status = tokio::select! {
        // A request to stop that is there already wins.
        biased;
        _ = cancelled(&mut cancel) => {
            recorder.emit(Event::Interrupted);
            "interrupted"
        }
        // What is not recorded cannot be judged: there is nothing to go on for.
        _ = recorder.incomplete() => "aborted",
        result = body(&order, &lab, &recorder, sealing) => match result {
            Ok(()) => "completed",
            Err(Error::Reported) => "completed",
            Err(Error::Failed { class, detail }) => {
                recorder.emit(Event::Failed { step: None, role: None, class, detail });
                "completed"
            }
            Err(e) => {
                broke(&recorder, &e);
                "aborted"
            }
        },
    };
    drop(beat);
    recorder.phase("clean up");
    keep_logs(&lab, &order.out, &recorder);
    let left = lab.close().await;
    // The clean-up may have freed the space for the end of the record.
    let status = if say_what_is_lost(&recorder) && status != "interrupted" { "aborted" } else { status };
    recorder.emit(Event::CleanedUp { left: left.clone() });
    end(&recorder, status, left)
}

/// Writes down what the run sets out to do, without secrets.
fn write_plan(order: &Order, recorder: &Recorder) -> Outcome<()> {
    let mut plan = serde_json::to_value(&order.plan).map_err(|e| Error::Other(e.to_string()))?;
    recorder.mask(&mut plan);
    let json = serde_json::to_string_pretty(&plan).map_err(|e| Error::Other(e.to_string()))?;
    std::fs::write(order.out.join("plan.json"), json + "\n").doing(|| "write the plan".into())
}

/// An event that could not be kept makes the run an error, whatever else was seen. Whether there was one.
fn say_what_is_lost(recorder: &Recorder) -> bool {
    let Some(e) = recorder.trouble() else { return false };
    recorder.go_on();
    broke(recorder, &e);
    true
}

async fn cancelled(cancel: &mut watch::Receiver<bool>) {
    // A sender that is gone can no longer ask for a stop.
    if cancel.wait_for(|c| *c).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn broke(recorder: &Recorder, e: &Error) {
    recorder.emit(Event::Broke { message: e.to_string(), hint: e.hint() });
}

fn end(recorder: &Recorder, status: &str, left: Vec<String>) -> Outcome<Ended> {
    recorder.emit(Event::RunEnded { status: status.into(), peak_rss: peak_rss() });
    recorder.sync()?;
    Ok(Ended { status: status.into(), left })
}

/// Largest resident memory so far, in bytes, from `VmHWM`.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Copies the servers' logs into the record, without secrets, the last part of long ones.
fn keep_logs(lab: &Lab, out: &Path, recorder: &Recorder) {
    const MOST: usize = 1 << 20;
    let Ok(nodes) = std::fs::read_dir(&lab.dir) else { return };
    for node in nodes.flatten() {
        for name in ["shared/postgres.log", "minio.log"] {
            let Ok(bytes) = std::fs::read(node.path().join(name)) else { continue };
            let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(MOST)..]).into_owned();
            let logs = out.join("logs");
            let _ = std::fs::create_dir_all(&logs);
            let _ = std::fs::write(logs.join(format!("{}.log", node.file_name().to_string_lossy())), recorder.masked(&text));
        }
    }
}

async fn body(order: &Order, lab: &Arc<Lab>, recorder: &Arc<Recorder>, sealing: Sealing) -> Outcome<()> {
    one_database(&order.scenario)?;
    let mut drill = set_up(order, lab, recorder, sealing).await?;
    steady(&drill, Moment::Steady, None).await?;
    drill.sabotage(Point::BeforeBackup).await?;
    back_up(&mut drill).await?;
    recorder.phase("load");
    tokio::time::sleep(drill.scenario.workload.params.duration("lead")).await;
    drill.sabotage(Point::BeforeFault).await?;
    let steps = drill.scenario.steps.clone();
    for (i, step) in steps.iter().enumerate() {
        if step.human {
            recorder.emit(Event::HumanStep { what: format!("step {}", i + 1), step: i });
        }
        let done = match &step.action {
            Action::Fault { kind, params, .. } => inject(&mut drill, i, kind, params).await,
            Action::Detect { probe, within, every, needed, of, params } => {
                detect(&mut drill, i, probe, params, *within, *every, (*needed, *of)).await
            }
            Action::Recover { kind, within, target, .. } => {
                let limit = *within;
                let work = recover(&mut drill, i, kind, target.as_ref());
                match tokio::time::timeout(limit, work).await {
                    Ok(done) => done,
                    Err(_) => Err(Error::failed(FailureClass::OverTime, format!("the recovery was not verified within {}", human_duration(limit)))),
                }
            }
        };
        report(recorder, done, Some(i), None)?;
    }
    after(drill).await
}

/// Refuses a scenario whose steps name a database that is not started: only the one that is backed up is, and a step on another
/// must not silently happen to it.
fn one_database(scenario: &Scenario) -> Outcome<()> {
    let backed_up = &scenario.backup.of;
    for (i, step) in scenario.steps.iter().enumerate() {
        if let Action::Fault { on, .. } | Action::Recover { on, .. } = &step.action
            && on != backed_up
        {
            return Err(Error::Unsupported {
                what: format!("step {} acts on `{on}`, and a drill works on the database that it backs up, `{backed_up}`", i + 1),
                hint: format!("write `on: {backed_up}`, or a scenario of its own for `{on}`"),
            });
        }
    }
    let others: Vec<&str> =
        scenario.systems.iter().filter(|(name, s)| s.kind == "postgres" && *name != backed_up).map(|(name, _)| name.as_str()).collect();
    match others.first() {
        None => Ok(()),
        Some(other) => Err(Error::Unsupported {
            what: format!("the scenario has a second database, `{other}`, and a drill starts the one that it backs up, `{backed_up}`"),
            hint: format!("take `{other}` out, or write a scenario of its own for it"),
        }),
    }
}

/// Turns a failure into an event; what follows it is not run.
fn report<T>(recorder: &Recorder, done: Outcome<T>, step: Option<usize>, role: Option<Role>) -> Outcome<T> {
    done.map_err(|e| match e {
        Error::Failed { class, detail } => {
            recorder.emit(Event::Failed { step, role, class, detail });
            Error::Reported
        }
        other => other,
    })
}

async fn set_up(order: &Order, lab: &Arc<Lab>, recorder: &Arc<Recorder>, sealing: Sealing) -> Outcome<Drill> {
    let scenario = &order.scenario;
    let plan = &order.plan;
    let saboteur = order.sabotage.clone().map_or_else(Saboteur::none, Saboteur::of);
    recorder.phase("start the store");
    let store_decl = scenario.systems.get(&scenario.backup.to).ok_or_else(|| Error::Other("the scenario has no store".into()))?;
    let store = S3System::start(lab, &scenario.backup.to, &store_decl.params).await?;
    let (objects, backups) = (store.bucket("objects"), store.bucket("backups"));
    for bucket in [&objects, &backups] {
        bucket.create().await?;
        store.prepare(bucket).await?;
    }
    store.announce(&scenario.backup.to, recorder);
    if store.profile == "embedded" {
        recorder.emit(Event::Knob {
            name: "embedded store".into(),
            why: "it does not sync what it stores: what it acknowledged survives the faults of this scenario, not a loss of power".into(),
        });
    }
    recorder.phase("start the database");
    let decl = scenario.systems.get(&scenario.backup.of).ok_or_else(|| Error::Other("the scenario has no database".into()))?;
    let version = decl.params.text("version").map(String::from);
    let cluster = ClusterSettings::from_params(&decl.params)?;
    let node = Arc::new(lab.node(&scenario.backup.of, version.as_deref()).await?);
    if node.on_tmpfs() {
        recorder.emit(Event::Knob {
            name: "tmpfs".into(),
            why: "the scratch directory is on a memory file system: choose another with --scratch".into(),
        });
    }
    ArchiveSpool::prepare(&node)?;
    let mut origin = Instance::init(node.clone(), Role::Origin, &format!("{}-origin", plan.run), &cluster, recorder.clone()).await?;
    let mut settings = vec![
        ("archive_mode", "on".to_string()),
        ("archive_command", ArchiveSpool::command(&node)),
        ("archive_timeout", cluster.archive_timeout_setting()),
    ];
    settings.extend(saboteur.origin_settings(recorder));
    let configuration = origin.configuration(&cluster, &settings);
    origin.start(&configuration, false).await?;
    let vault = Vault::new(backups, &origin.system_identifier, sealing, recorder.clone(), saboteur.clone(), lab.blocking.clone());
    let spool = ArchiveSpool::open(&node, vault.clone(), origin.name.clone())?;
    let stage = Stage {
        lab,
        vault: &vault,
        objects: &objects,
        origin: &origin,
        spool: Some(&spool),
        recovered: None,
        backup: None,
        cluster: &cluster,
        loses_instance: false,
        seed: plan.seed,
        ledger: &order.out,
        load: None,
    };
    saboteur.at(Point::Started, &stage).await?;
    recorder.phase("load the base data");
    let client = origin.connect().await.doing(|| "connect to the server".into())?;
    let bytes = decl.params.size("data");
    let tell = |done| {
        recorder.emit(Event::Progress { what: "base data".into(), bytes: done, of: Some(bytes) });
    };
    linked::load_base(&client, plan.seed, bytes, tell).await?;
    if scenario.steps.iter().any(|s| matches!(&s.action, Action::Recover { target: Some(t), .. } if t.known_from == KnownFrom::Oracle)) {
        client.batch_execute("CREATE TABLE fence (name text PRIMARY KEY)").await.doing(|| "create the fence".into())?;
    }
    let load_from: String = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.doing(|| "ask the log's position".into())?.get(0);
    let ledger = Arc::new(LedgerWriter::create(&order.out.join("ledger.jsonl"), &plan.run, plan.seed)?);
    let endpoint = Endpoint::open(node.address()).await?;
    let load = start_load(scenario, plan, &endpoint, &origin, &objects, recorder, &ledger);
    if saboteur.idles_load(recorder) {
        load.pause().await;
    }
    recorder.moment(Moment::Load, None, "the clients begin");
    Ok(Drill {
        plan: plan.clone(),
        scenario: scenario.clone(),
        lab: lab.clone(),
        recorder: recorder.clone(),
        saboteur,
        out: order.out.clone(),
        store,
        objects,
        vault,
        cluster,
        version,
        origin,
        spool,
        endpoint,
        load,
        ledger,
        backup: None,
        load_from: load_from.parse().unwrap_or_default(),
        fence: None,
        detected: None,
        clock: None,
        recovered: None,
    })
}

fn sealing(params: &Params, recorder: &Recorder) -> Outcome<Sealing> {
    let key = match params.cipher("encrypt") {
        None => None,
        Some(reference) => Some(secret::age_key(reference, recorder)?),
    };
    Ok(Sealing { compress: params.text("compress") != Some("none"), key })
}

fn start_load(
    scenario: &Scenario,
    plan: &Plan,
    endpoint: &Endpoint,
    origin: &Instance,
    objects: &super::store::Bucket,
    recorder: &Arc<Recorder>,
    ledger: &Arc<LedgerWriter>,
) -> Linked {
    let p = &scenario.workload.params;
    let settings = linked::Settings {
        run: plan.run.clone(),
        seed: plan.seed,
        clients: p.int("clients").clamp(2, 256) as u32,
        rate: p.rate("rate"),
        objects: p.share("objects").unwrap_or(0.0),
        endpoint: endpoint.address,
        login: origin.login.clone(),
        bucket: objects.clone(),
        ledger: true,
    };
    Linked::start(settings, recorder.clone(), ledger.clone())
}

/// Waits until the steady-state hypothesis has held for as long as the scenario asks.
async fn steady(drill: &Drill, moment: Moment, step: Option<usize>) -> Outcome<()> {
    if moment == Moment::Steady {
        drill.recorder.phase("steady state");
    }
    let (asking, hold) = (asking(drill), drill.scenario.steady.hold);
    let probe = probe::find(&drill.scenario.steady.probe)?;
    let params = Params::default();
    let recorder = &drill.recorder;
    let deadline = recorder.now() + STEADY_LIMIT + hold;
    let (mut since, mut acknowledged) = (recorder.now(), drill.load.acknowledged());
    loop {
        let answer = (probe.ask)(&asking, &params).await;
        let now = recorder.now();
        match answer {
            Ok(()) if now.since(since) >= hold => {
                let writes = drill.load.acknowledged() - acknowledged;
                let proof = format!("`{}` held for {}, and {writes} writes were acknowledged meanwhile", probe.spec.name, human_duration(hold));
                recorder.moment(moment, step, proof);
                return Ok(());
            }
            Ok(()) => {}
            Err(why) => {
                recorder.emit(Event::Probe { probe: probe.spec.name.into(), ok: false, why: Some(why) });
                (since, acknowledged) = (now, drill.load.acknowledged());
            }
        }
        if now > deadline {
            let detail = format!("`{}` did not hold for {} within {}", probe.spec.name, human_duration(hold), human_duration(STEADY_LIMIT + hold));
            return Err(Error::failed(FailureClass::NotSteady, detail));
        }
        tokio::time::sleep(STEADY_EVERY).await;
    }
}

fn asking(drill: &Drill) -> Asking {
    Asking { address: drill.endpoint.address, login: drill.origin.login.clone() }
}

async fn back_up(drill: &mut Drill) -> Outcome<()> {
    drill.recorder.phase("base backup");
    let note = basebackup_wal::take(&drill.origin, &drill.vault, "0001", drill.cluster.segment).await?;
    announce(drill, &note).await?;
    drill.backup = Some(note);
    drill.recorder.moment(Moment::BackedUp, None, "the store acknowledged the base backup and its note");
    drill.sabotage(Point::BackedUp).await
}

async fn announce(drill: &Drill, note: &basebackup_wal::BackupNote) -> Outcome<()> {
    let stored = drill.vault.list("base").await?.iter().filter(|l| l.key.contains(&format!("/{}/", note.id))).map(|l| l.bytes).sum();
    basebackup_wal::announce(note, stored, &drill.recorder);
    Ok(())
}

async fn inject(drill: &mut Drill, step: usize, kind: &str, params: &Params) -> Outcome<()> {
    drill.recorder.phase(format!("fault: {kind}"));
    let fault = fault::ALL.iter().find(|f| f.spec.name == kind).ok_or_else(|| Error::Other(format!("there is no fault `{kind}`")))?;
    drill.look_at_clock().await?;
    if drill
        .scenario
        .steps
        .iter()
        .any(|s| matches!(&s.action, Action::Recover { target: Some(t), .. } if t.known_from == KnownFrom::Oracle && t.before_step == step))
    {
        put_fence(drill).await?;
    }
    drill.sync()?;
    (fault.inject)(drill, step, params).await?;
    drill.sabotage(Point::Faulted).await
}

/// The oracle's fence (docs/FIGURES.md, "exact"): drained, marker, target, marker, resumed.
async fn put_fence(drill: &mut Drill) -> Outcome<()> {
    drill.knob("oracle", "the target comes from a fence that the drill put before the damage; no operator has that");
    drill.load.pause().await;
    let drained = drill.recorder.now();
    let client = drill.origin.connect().await.doing(|| "connect to the server".into())?;
    let what = || "put the fence".to_string();
    client.batch_execute("INSERT INTO fence VALUES ('M1')").await.doing(what)?;
    let name = format!("fence-{}", drill.plan.run);
    let lsn: String = client.query_one("SELECT pg_create_restore_point($1)::text", &[&name]).await.doing(what)?.get(0);
    // A moment that is later than the first marker and earlier than the second, by more than the clock's bracket.
    const APART: i64 = 20_000;
    let clock = || async {
        let (before, wall, after, _) = drill.origin.clock(&client).await?;
        Ok::<_, Error>((wall, ((after.0 - before.0) / 2000) as i64 + 1))
    };
    let (first, bracket) = clock().await?;
    let time = Wall(first.0 + APART + bracket);
    poll("the server's clock to move on", Duration::from_secs(10), Duration::from_millis(2), || async {
        let (now, _) = clock().await?;
        Ok((now.0 > time.0 + APART + bracket).then_some(()))
    })
    .await?;
    let row = client.query_one("INSERT INTO fence VALUES ('M2') RETURNING pg_current_xact_id()::text", &[]).await.doing(what)?;
    let after_xid = row.get::<_, String>(0).parse::<u64>().unwrap_or(0) as u32;
    drill.recorder.emit(Event::Fence { drained, lsn: lsn.parse().unwrap_or_default(), name: name.clone() });
    drill.fence = Some(Fence { name, lsn: lsn.parse().unwrap_or_default(), time, after_xid, clock_us: bracket });
    drill.load.resume();
    Ok(())
}

async fn detect(
    drill: &mut Drill,
    step: usize,
    name: &str,
    params: &Params,
    within: Duration,
    every: Duration,
    k_of_n: (usize, usize),
) -> Outcome<()> {
    let probe = probe::find(name)?;
    drill.recorder.phase(format!("detect: {name}"));
    let work = drill.recorder.work(Actor::Monitor, format!("`{name}` asked every {}", human_duration(every)));
    let asking = asking(drill);
    let deadline = drill.recorder.now() + within;
    let (needed, of) = k_of_n;
    let mut last: VecDeque<bool> = VecDeque::with_capacity(of);
    loop {
        let answer = (probe.ask)(&asking, params).await;
        let now = drill.recorder.emit(Event::Probe { probe: name.into(), ok: answer.is_ok(), why: answer.as_ref().err().cloned() });
        if last.len() == of {
            last.pop_front();
        }
        last.push_back(answer.is_err());
        let bad = last.iter().filter(|b| **b).count();
        if bad >= needed {
            drop(work);
            drill.detected = Some(now);
            let why = answer.err().unwrap_or_default();
            drill.recorder.moment(Moment::Detect, Some(step), format!("{bad} of the last {} answers were bad: {why}", last.len()));
            return Ok(());
        }
        if now > deadline {
            return Err(Error::failed(FailureClass::NotDetected, format!("`{name}` did not fire within {}", human_duration(within))));
        }
        tokio::time::sleep(every).await;
    }
}

async fn recover(drill: &mut Drill, step: usize, kind: &str, target: Option<&crate::model::scenario::TargetDecl>) -> Outcome<()> {
    drill.recorder.phase(format!("recover: {kind}"));
    let recovery = recovery::find(kind)?;
    (recovery.run)(drill, step, target).await?;
    drill.sabotage(Point::Recovered).await?;
    let (address, name, id) = match &drill.recovered {
        Some(r) => (r.instance.node.address(), r.instance.name.clone(), r.instance.id()),
        None => return Err(Error::Other("the recovery left no server".into())),
    };
    drill.recorder.phase("let the clients in");
    if !drill.saboteur.leaves_endpoint(&drill.recorder) {
        drill.endpoint.point_to(address);
        drill.recorder.emit(Event::EndpointMoved { instance: id.clone() });
    }
    first_read(drill, step, &name).await?;
    first_write(drill, step).await?;
    drill.sabotage(Point::BeforeReadback).await?;
    drill.recorder.phase("read everything back");
    let again = steady(drill, Moment::SteadyAgain, Some(step));
    let (read, again) = tokio::join!(read_back(drill, step, &id), again);
    read?;
    again
}

/// The first successful read where the clients connect, and who answered it.
async fn first_read(drill: &Drill, step: usize, expected: &str) -> Outcome<()> {
    let begun = drill.recorder.now();
    let read = poll("the first read after the recovery", FIRST_LIMIT, Duration::from_millis(5), || async {
        let _work = drill.recorder.work(Actor::Server, "first read");
        let Ok(Some((client, who, in_recovery))) = tokio::time::timeout(ANSWER, who_answers(drill)).await else {
            return elsewhere(drill, begun, None).await;
        };
        drill.recorder.emit(Event::EndpointAnswered { instance: who.clone(), in_recovery });
        if who != expected {
            return elsewhere(drill, begun, Some(&who)).await;
        }
        match client.query_one("SELECT count(*) FROM presence", &[]).await {
            Ok(row) => {
                let proof = format!("{} rows of the presence table were counted", row.get::<_, i64>(0));
                drill.recorder.moment(Moment::Read, Some(step), proof);
                Ok(Some(()))
            }
            Err(_) if drill.recorder.now().since(begun) < ENDPOINT_LIMIT => Ok(None),
            Err(e) => {
                let words = e.as_db_error().map_or_else(|| e.to_string(), |d| d.message().to_string());
                Err(Error::failed(FailureClass::ServerRefused, format!("the recovered server answers, and cannot be read: {words}")))
            }
        }
    });
    failing_as(read.await, FailureClass::OverTime, "the recovered server answered no read where the clients connect")
}

/// A time limit that is over is a result of the drill.
fn failing_as<T>(waited: Outcome<T>, class: FailureClass, what: &str) -> Outcome<T> {
    waited.map_err(|e| match e {
        Error::Timeout { after, .. } => Error::failed(class, format!("{what} within {}", human_duration(after))),
        other => other,
    })
}

/// Who answers where the clients connect, and whether it is in recovery; `None`: nobody.
async fn who_answers(drill: &Drill) -> Option<(tokio_postgres::Client, String, bool)> {
    let client = postgres::connect(drill.endpoint.address, &drill.origin.login).await.ok()?;
    let row = client.query_one("SELECT current_setting('cluster_name'), pg_is_in_recovery()", &[]).await.ok()?;
    Some((client, row.get(0), row.get(1)))
}

/// Another (`None`: nobody) answers where the clients connect: the endpoint's fault, unless the recovered server has ended.
async fn elsewhere(drill: &Drill, begun: Stamp, who: Option<&str>) -> Outcome<Option<()>> {
    if drill.recorder.now().since(begun) < ENDPOINT_LIMIT {
        return Ok(None);
    }
    if who.is_none()
        && let Some(recovered) = &drill.recovered
        && let Some(how) = recovered.instance.node.server_exited().await?
    {
        return Err(recovered.instance.refusal(&how));
    }
    let detail = format!("{} after the recovery, {} answers where the clients connect", human_duration(ENDPOINT_LIMIT), who.unwrap_or("nobody"));
    Err(Error::failed(FailureClass::EndpointNotMoved, detail))
}

/// The first acknowledged write where the clients connect that a second connection reads back. A server that takes none is a
/// result of the drill.
async fn first_write(drill: &Drill, step: usize) -> Outcome<()> {
    let why = std::sync::Mutex::new(String::from("no answer"));
    let written = poll("the first write after the recovery", FIRST_LIMIT, Duration::from_millis(5), || async {
        let _work = drill.recorder.work(Actor::Server, "first write and its read-back");
        let tell = |reason: String| *why.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = reason;
        let (client, seq) = match drill.load.single().await? {
            Ok(operation) => operation,
            Err(reason) => {
                tell(if reason.len() == 5 { format!("SQLSTATE {reason}") } else { reason });
                return Ok(None);
            }
        };
        match tokio::time::timeout(ANSWER, read_by_another(drill, client, seq)).await {
            Ok(true) => {
                let proof = format!("operation {client}.{seq} was acknowledged, and a second connection read it");
                drill.recorder.moment(Moment::Write, Some(step), proof);
                Ok(Some(()))
            }
            _ => {
                tell(format!("operation {client}.{seq} was acknowledged, and a second connection did not read it"));
                Ok(None)
            }
        }
    });
    let written = written.await;
    let why = why.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    failing_as(written, FailureClass::NotWritable, &format!("the recovered server answers where the clients connect, and took no write ({why})"))
}

async fn read_by_another(drill: &Drill, client: u32, seq: u64) -> bool {
    let Ok(second) = postgres::connect(drill.endpoint.address, &drill.origin.login).await else { return false };
    let (c, n) = (client as i32, seq as i64);
    matches!(second.query_opt("SELECT 1 FROM presence WHERE c = $1 AND n = $2", &[&c, &n]).await, Ok(Some(_)))
}

async fn read_back(drill: &Drill, step: usize, instance: &str) -> Outcome<()> {
    if drill.saboteur.skips_readback(&drill.recorder) {
        return Ok(());
    }
    let mut client = postgres::connect(drill.endpoint.address, &drill.origin.login).await.doing(|| "connect where the clients connect".into())?;
    let path = drill.out.join("readback-recovered.jsonl");
    readback::read_all("recovered", instance, &mut client, Some(&drill.objects), &path, &drill.recorder).await?;
    drill.recorder.moment(Moment::Verified, Some(step), "every row and object was read back and recorded");
    Ok(())
}

/// What comes after the last step: protection, structure, the archive's commit order, the stored objects, the control
/// restore.
async fn after(drill: Drill) -> Outcome<()> {
    let recorder = drill.recorder.clone();
    report(&recorder, protect(&drill).await, None, Some(Role::Recovered))?;
    structure(&drill).await?;
    recorder.phase("close the ledger");
    drill.load.stop().await?;
    drill.ledger.control(&Control::End { t: recorder.now() })?;
    drill.sync()?;
    commit_order(&drill).await?;
    inspect_objects(&drill).await?;
    if drill.plan.point_in_time() && drill.plan.quick {
        drill.not_run("control restore", "left out by --quick: nothing shows that the target did the cutting");
        drill.knob("quick", "no control restore");
    } else if drill.plan.point_in_time() {
        report(&recorder, control_restore(&drill).await, None, Some(Role::Control))?;
    }
    drill.sabotage(Point::Closed).await
}

/// The recovered server's first own backup.
async fn protect(drill: &Drill) -> Outcome<()> {
    let Some(recovered) = &drill.recovered else { return Ok(()) };
    drill.recorder.phase("protect the recovered server");
    let note = basebackup_wal::take(&recovered.instance, &drill.vault, "0002", drill.cluster.segment).await?;
    announce(drill, &note).await?;
    // A backup that does not open protects from nothing.
    if !inspect(drill, &note.object).await? {
        let detail = format!("the recovered server's own base backup, {}, does not open as it was stored", note.object);
        return Err(Error::failed(FailureClass::BackupFailed, detail));
    }
    let proof = "the store acknowledged the recovered server's own base backup, which opens with the key to its end";
    drill.recorder.moment(Moment::Protected, Some(recovered.step), proof);
    Ok(())
}

/// `amcheck` over every index and table, where the build has it.
async fn structure(drill: &Drill) -> Outcome<()> {
    let Some(recovered) = &drill.recovered else { return Ok(()) };
    drill.recorder.phase("check the structure");
    let client = recovered.instance.connect().await.doing(|| "connect to the recovered server".into())?;
    if let Err(e) = client.batch_execute("CREATE EXTENSION IF NOT EXISTS amcheck").await {
        let why = e.as_db_error().map_or_else(|| e.to_string(), |d| d.message().to_string());
        drill.not_run("amcheck", format!("this build has no amcheck: {why}"));
        return Ok(());
    }
    let _work = drill.recorder.work(Actor::Server, "amcheck");
    let indexes = "SELECT count(bt_index_check(c.oid, true)) FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg_toast%'";
    let heaps = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL verify_heapam(c.oid) v \
                 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')";
    let mut checks = vec![("amcheck: indexes against their tables", indexes)];
    if recovered.instance.node.major() >= 14 {
        checks.push(("amcheck: tables", heaps));
    }
    for (check, sql) in checks {
        let answer = client.query_one(sql, &[]).await;
        let (ok, detail) = match &answer {
            Ok(row) if check.ends_with("tables") && !check.contains("indexes") => {
                (row.get::<_, i64>(0) == 0, format!("{} corruptions reported", row.get::<_, i64>(0)))
            }
            Ok(row) => (true, format!("{} indexes", row.get::<_, i64>(0))),
            Err(e) => (false, e.as_db_error().map_or_else(|| e.to_string(), |d| d.message().to_string())),
        };
        drill.recorder.emit(Event::Structure { role: Role::Recovered, check: check.into(), ok, detail });
    }
    Ok(())
}

/// Writes the commit order of the archive, as it was when the recovery began, into the record.
async fn commit_order(drill: &Drill) -> Outcome<()> {
    let Some(recovered) = &drill.recovered else { return Ok(()) };
    let (Some(snapshot), Some(backup)) = (&recovered.snapshot, &drill.backup) else { return Ok(()) };
    let node = &recovered.instance.node;
    if !node.has("pg_waldump").await {
        drill.not_run("commit order of the archive", format!("this build of PostgreSQL {} has no pg_waldump", node.version()));
        return Ok(());
    }
    // From the first ledgered write on, which lies before the base backup: what the backup holds must be there, too.
    let files = restore::bring_earlier(drill, node, snapshot, backup).await?;
    let log = locate::LogRange { from: drill.load_from.min(backup.start), ..backup.log(&files) };
    let dir = format!("{}/restore/ready", node.shared_inside());
    let wal = locate::read_wal(node, &dir, log, false, &drill.recorder).await?;
    let mut text = String::new();
    for line in wal.lines() {
        text.push_str(&serde_json::to_string(&line).map_err(|e| Error::Other(e.to_string()))?);
        text.push('\n');
    }
    let path = drill.out.join("commits.jsonl");
    std::fs::write(&path, text).doing(|| format!("write {}", path.display()))
}

/// Looks at every object of the backups: by what it is encrypted, and whether it opens with the key. After the verification, so
/// that it is not in the recovery time.
async fn inspect_objects(drill: &Drill) -> Outcome<()> {
    drill.recorder.phase("inspect what is stored");
    for kind in ["base", "wal"] {
        for listed in drill.vault.list(kind).await? {
            inspect(drill, &listed.key).await?;
        }
    }
    Ok(())
}

/// Looks at one object; whether it opens with the key and is what was stored.
async fn inspect(drill: &Drill, key: &str) -> Outcome<bool> {
    let head = drill.vault.bucket.head_bytes(key, 64).await?;
    let opened = drill.vault.opens(key).await?;
    drill.recorder.emit(Event::ObjectInspected { key: key.into(), cipher: cipher_of(&head).into(), opened: Some(opened) });
    Ok(opened)
}

/// The same archive without a target: must show what the target cut off.
async fn control_restore(drill: &Drill) -> Outcome<()> {
    let (Some(recovered), Some(note)) = (&drill.recovered, &drill.backup) else { return Ok(()) };
    let Some(snapshot) = recovered.snapshot.clone() else { return Ok(()) };
    drill.recorder.phase("control restore");
    let node = Arc::new(drill.lab.node("control", drill.origin.node.same_build()).await?);
    let vault = restore::opening_vault(drill);
    restore::base(&vault, note, &node, Role::Control).await?;
    let bringing = super::backup::spool::Bringing::start(&node, Role::Control, vault.clone(), &snapshot)?;
    let target = Target {
        kind: TargetKind::End,
        value: String::new(),
        inclusive: true,
        // As a number: `latest` would follow the history file of the recovered server.
        timeline: note.timeline.to_string(),
        known_from: "control".into(),
        at: drill.recorder.now(),
        found: Vec::new(),
        damage: None,
        clock_us: None,
    };
    let mut settings = vec![("archive_mode", "off".to_string())];
    settings.extend(restore::target_settings(&target));
    settings.extend(drill.saboteur.recovery_settings(Role::Control, &drill.recorder));
    let order = RestoreOrder { vault: &vault, note, node, role: Role::Control, target: &target, bringing, snapshot, wal: None, step: recovered.step };
    let name = format!("{}-control", drill.plan.run);
    let mut instance = restore::bring_up(&order, &drill.cluster, &drill.origin.login, &drill.recorder, &name, &settings).await?;
    instance.announce().await?;
    let mut client = instance.connect().await.doing(|| "connect to the control restore".into())?;
    let path = drill.out.join("readback-control.jsonl");
    readback::read_all("control", &instance.id(), &mut client, None, &path, &drill.recorder).await?;
    drop(client);
    instance.node.release().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diag::Diagnostics;
    use crate::model::source::Sources;

    fn crash() -> Scenario {
        let (mut sources, mut diags) = (Sources::default(), Diagnostics::default());
        let id = sources.add("postgres-crash.yaml", include_str!("../../scenarios/postgres-crash.yaml"));
        crate::model::scenario::read(&sources, id, &super::super::catalog(), &[], &mut diags).unwrap()
    }

    #[test]
    fn a_step_on_another_database_is_refused_and_not_done_to_the_one_there_is() {
        let scenario = crash();
        one_database(&scenario).unwrap();
        let mut with_two = scenario.clone();
        with_two.systems.insert("db2".into(), scenario.systems["db"].clone());
        let refused = |s: &Scenario| one_database(s).unwrap_err();
        assert!(refused(&with_two).to_string().contains("second database, `db2`"));
        for step in [0, 2] {
            let mut elsewhere = with_two.clone();
            match &mut elsewhere.steps[step].action {
                Action::Fault { on, .. } | Action::Recover { on, .. } => *on = "db2".into(),
                Action::Detect { .. } => panic!(),
            }
            let e = refused(&elsewhere);
            assert!(e.to_string().contains(&format!("step {} acts on `db2`", step + 1)) && e.hint().unwrap().contains("on: db"), "{e}");
        }
    }
}
