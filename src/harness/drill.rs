//! A drill under way: what faults, probes, recoveries and the engine share.

use super::backup::basebackup_wal::BackupNote;
use super::backup::spool::ArchiveSpool;
use super::backup::vault::Vault;
use super::endpoint::Endpoint;
use super::error::{Doing, Error, Outcome};
use super::lab::Lab;
use super::locate::WalMap;
use super::recorder::Recorder;
use super::sabotage::{Point, Saboteur, Stage};
use super::store::Bucket;
use super::system::postgres::{ClusterSettings, Instance};
use super::system::s3::S3System;
use super::workload::ledger_writer::LedgerWriter;
use super::workload::linked::Linked;
use crate::model::event::Event;
use crate::model::plan::Plan;
use crate::model::scenario::Scenario;
use crate::model::time::{Stamp, Wall};
use crate::model::wal::Lsn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// A boxed future of this room.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything that a drill has set up, and what it has learned so far.
pub struct Drill {
    /// The recorded plan.
    pub plan: Plan,
    /// The scenario.
    pub scenario: Scenario,
    /// The lab.
    pub lab: Arc<Lab>,
    /// The recorder.
    pub recorder: Arc<Recorder>,
    /// The sabotage, if any.
    pub saboteur: Saboteur,
    /// Where the raw record is written.
    pub out: PathBuf,
    /// The store.
    pub store: S3System,
    /// Bucket of the workload's objects.
    pub objects: Bucket,
    /// Where the cluster's backups lie.
    pub vault: Vault,
    /// How the cluster is made.
    pub cluster: ClusterSettings,
    /// Version that the scenario asks for.
    pub version: Option<String>,
    /// The instance that the disaster hits.
    pub origin: Instance,
    /// Its archiving side.
    pub spool: ArchiveSpool,
    /// Where the clients connect.
    pub endpoint: Endpoint,
    /// The load.
    pub load: Linked,
    /// The ledger.
    pub ledger: Arc<LedgerWriter>,
    /// The base backup, once there is one.
    pub backup: Option<BackupNote>,
    /// Position of the log before the first ledgered write.
    pub load_from: Lsn,
    /// Where the oracle put its fence.
    pub fence: Option<Fence>,
    /// When the monitor's signal fired.
    pub detected: Option<Stamp>,
    /// The last look at the origin's clock.
    pub clock: Option<(Stamp, Wall, Stamp)>,
    /// The recovery's results.
    pub recovered: Option<Recovered>,
}

/// What a recovery leaves for the phases after it.
pub struct Recovered {
    /// The instance that took over.
    pub instance: Instance,
    /// Its archiving side.
    pub spool: Option<ArchiveSpool>,
    /// The archive as it was when the recovery began.
    pub snapshot: Option<super::backup::spool::Snapshot>,
    /// What the archive says, if it was read.
    pub wal: Option<WalMap>,
    /// Step of the plan.
    pub step: usize,
}

/// The oracle's fence: no operation was under way between the two stamps.
#[derive(Debug, Clone)]
pub struct Fence {
    /// Restore point.
    pub name: String,
    /// What `pg_create_restore_point` returned.
    pub lsn: Lsn,
    /// A moment between the two markers, on the server's clock.
    pub time: Wall,
    /// Transaction of the marker after it.
    pub after_xid: u32,
    /// Half of the clock's bracket, in microseconds.
    pub clock_us: i64,
}

impl Drill {
    /// What a sabotage can reach.
    fn stage<'a>(&'a self, ledger: &'a std::path::Path) -> Stage<'a> {
        Stage {
            lab: &self.lab,
            vault: &self.vault,
            objects: &self.objects,
            origin: &self.origin,
            spool: Some(&self.spool),
            recovered: self.recovered.as_ref().map(|r| &r.instance),
            backup: self.backup.as_ref(),
            cluster: &self.cluster,
            loses_instance: self.plan.steps.iter().any(|s| s.name == "instance-lost"),
            seed: self.plan.seed,
            ledger,
            load: Some(&self.load),
        }
    }

    /// Lets the sabotage act.
    pub async fn sabotage(&self, point: Point) -> Outcome<()> {
        let ledger = self.ledger_path();
        self.saboteur.at(point, &self.stage(&ledger)).await
    }

    /// The ledger's file.
    pub fn ledger_path(&self) -> PathBuf {
        self.out.join("ledger.jsonl")
    }

    /// Makes all that was recorded so far durable: before injection, and before the verdict.
    pub fn sync(&self) -> Outcome<()> {
        self.ledger.sync()?;
        self.recorder.sync()
    }

    /// Looks at the origin's clock and keeps the bracket.
    pub async fn look_at_clock(&mut self) -> Outcome<()> {
        let client = self.origin.connect().await.doing(|| "connect to the server".into())?;
        let (before, wall, after, _) = self.origin.clock(&client).await?;
        self.clock = Some((before, wall, after));
        Ok(())
    }

    /// The origin's wall clock at a stamp of ours, and half of the bracket's width in microseconds.
    pub fn server_time(&self, at: Stamp) -> Outcome<(Wall, i64)> {
        let (before, wall, after) = self.clock.ok_or_else(|| Error::Other("the server's clock was never looked at".into()))?;
        let middle = (before.0 + after.0) / 2;
        let offset_us = (at.0 as i64 - middle as i64) / 1000;
        Ok((Wall(wall.0 + offset_us), ((after.0 - before.0) / 2000) as i64 + 1))
    }

    /// Something that would have been judged is not.
    pub fn not_run(&self, what: &str, why: impl Into<String>) {
        self.recorder.emit(Event::NotRun { what: what.into(), why: why.into() });
    }

    /// Something was relaxed.
    pub fn knob(&self, name: &str, why: &str) {
        self.recorder.emit(Event::Knob { name: name.into(), why: why.into() });
    }
}
