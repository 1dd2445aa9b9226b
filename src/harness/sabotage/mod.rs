//! Deliberate defects: one file and one registry line each. Each names what must catch it; caught by
//! anything else, or by an error of the harness, it survived.
//!
//! A sabotage acts at the seams that this module defines, and nowhere else: the engine asks it at each, and an
//! honest run gets the default answers.

pub mod all_objects_deleted;
pub mod archive_skips_segment;
pub mod archiver_survives;
pub mod backup_deleted;
pub mod base_file_missing;
pub mod base_of_another_cluster;
pub mod base_page_flipped;
pub mod control_with_target;
pub mod endpoint_not_moved;
pub mod foreign_timeline;
pub mod idle_load;
pub mod index_incomplete;
pub mod ledger_edited;
pub mod not_found_instead_of_503;
pub mod object_damaged;
pub mod object_deleted;
pub mod object_unexplained;
pub mod paused_at_target;
pub mod recorder_stalled;
pub mod recovered_read_only;
pub mod results_unread;
pub mod row_changed;
pub mod rows_added;
pub mod rows_removed;
pub mod segment_rewritten;
pub mod settings;
pub mod stored_unencrypted;
pub mod target_moved;
pub mod transaction_removed;
pub mod turns_read_only;
pub mod wrong_key;

use super::backup::basebackup_wal::{BackupNote, BaseEdit};
use super::backup::spool::ArchiveSpool;
use super::backup::vault::Vault;
use super::error::Outcome;
use super::lab::Lab;
use super::locate::WalMap;
use super::recorder::Recorder;
use super::system::postgres::{ClusterSettings, Instance};
use super::workload::linked::Linked;
use crate::model::catalog::SabotageSpec;
use crate::model::event::{Event, Role};
use crate::model::wal::Target;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

/// What the archiving side does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveDeed {
    /// Stores it, then acknowledges it.
    Store,
    /// Acknowledges it and stores nothing.
    AcknowledgeOnly,
}

/// What the restoring side says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchDeed {
    /// Brings it.
    Fetch,
    /// Says that it is not there.
    SayNotFound,
}

/// Points of a run at which a sabotage may do something of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The cluster has answered for the first time; nothing is loaded.
    Started,
    /// The steady state was seen; the base backup comes next.
    BeforeBackup,
    /// The base backup is in the store.
    BackedUp,
    /// The load has run for its lead time; the fault comes next.
    BeforeFault,
    /// The fault has taken effect.
    Faulted,
    /// The old instance is gone, the archive final.
    Stopped,
    /// The recovered server answers, and clients are let in next.
    Recovered,
    /// Clients are in; the read-back begins next.
    BeforeReadback,
    /// All is read back; the ledger is closed.
    Closed,
}

/// What a sabotage can reach at a point.
pub struct Stage<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The cluster's vault.
    pub vault: &'a Vault,
    /// Bucket of the workload's objects.
    pub objects: &'a super::store::Bucket,
    /// The instance that the disaster hits.
    pub origin: &'a Instance,
    /// Its archiving side.
    pub spool: Option<&'a ArchiveSpool>,
    /// The instance that took over.
    pub recovered: Option<&'a Instance>,
    /// The base backup.
    pub backup: Option<&'a BackupNote>,
    /// Settings of the scenario's cluster.
    pub cluster: &'a ClusterSettings,
    /// Whether the plan loses the whole instance.
    pub loses_instance: bool,
    /// The run's seed.
    pub seed: u64,
    /// The ledger's file.
    pub ledger: &'a Path,
    /// The load, once it runs.
    pub load: Option<&'a Linked>,
}

/// What a sabotage does at a point.
pub type Deed<'a> = Pin<Box<dyn Future<Output = Outcome<()>> + Send + 'a>>;

/// A deliberate defect. Every method has an honest default.
pub trait Sabotage: Send + Sync {
    /// Its description.
    fn spec(&self) -> &'static SabotageSpec;

    /// Settings forced on the instance that the disaster hits.
    fn origin_settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Settings forced on a recovering server.
    fn recovery_settings(&self, _role: Role) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whether stored objects are left in plain text.
    fn stores_plaintext(&self) -> bool {
        false
    }

    /// What happens to a file on its way into the archive.
    fn archiving(&self, _name: &str) -> ArchiveDeed {
        ArchiveDeed::Store
    }

    /// What the restoring side says of a file that is in the archive.
    fn fetching(&self, _role: Role, _name: &str, _all: &BTreeMap<String, u64>) -> FetchDeed {
        FetchDeed::Fetch
    }

    /// An edit of the base backup's files before they are sealed.
    fn base_edit(&self) -> Option<BaseEdit> {
        None
    }

    /// Another target than the one that was located and recorded.
    fn retarget(&self, _located: &Target, _wal: &WalMap) -> Option<Target> {
        None
    }

    /// Whether the restore takes another key.
    fn takes_wrong_key(&self) -> bool {
        false
    }

    /// Whether the old instance is left running.
    fn leaves_origin_up(&self) -> bool {
        false
    }

    /// Whether the endpoint stays where it was.
    fn leaves_endpoint(&self) -> bool {
        false
    }

    /// Whether the load never writes.
    fn idles_load(&self) -> bool {
        false
    }

    /// Whether the read-back is left out.
    fn skips_readback(&self) -> bool {
        false
    }

    /// Something of its own at a point.
    fn at<'a>(&'a self, _point: Point, _stage: &'a Stage<'a>) -> Deed<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// The sabotage of a run, or none; every question is answered, and every deed becomes an event.
#[derive(Clone, Default)]
pub struct Saboteur(Option<Arc<dyn Sabotage>>);

impl Saboteur {
    /// No sabotage.
    pub fn none() -> Saboteur {
        Saboteur(None)
    }

    /// A sabotage of the registry.
    pub fn of(sabotage: Arc<dyn Sabotage>) -> Saboteur {
        Saboteur(Some(sabotage))
    }

    fn told(&self, recorder: &Recorder, detail: impl Into<String>) {
        if let Some(s) = &self.0 {
            recorder.emit(Event::Sabotaged { name: s.spec().name.into(), detail: detail.into() });
        }
    }

    /// Settings forced on the origin.
    pub fn origin_settings(&self, recorder: &Recorder) -> Vec<(&'static str, String)> {
        let all = self.0.as_ref().map(|s| s.origin_settings()).unwrap_or_default();
        for (k, v) in &all {
            self.told(recorder, format!("set {k} = {v}"));
        }
        all
    }

    /// Settings forced on a recovering server.
    pub fn recovery_settings(&self, role: Role, recorder: &Recorder) -> Vec<(&'static str, String)> {
        let all = self.0.as_ref().map(|s| s.recovery_settings(role)).unwrap_or_default();
        for (k, v) in &all {
            self.told(recorder, format!("set {k} = {v} on the {} server", role.word()));
        }
        all
    }

    /// Whether stored objects are left in plain text.
    pub fn stores_plaintext(&self, recorder: &Recorder) -> bool {
        let yes = self.0.as_ref().is_some_and(|s| s.stores_plaintext());
        if yes {
            self.told(recorder, "stored an object without encryption");
        }
        yes
    }

    /// What happens to a file on its way into the archive.
    pub fn archiving(&self, name: &str, recorder: &Recorder) -> ArchiveDeed {
        let deed = self.0.as_ref().map_or(ArchiveDeed::Store, |s| s.archiving(name));
        if deed != ArchiveDeed::Store {
            self.told(recorder, format!("acknowledged {name} without storing it"));
        }
        deed
    }

    /// What the restoring side says of a file.
    pub fn fetching(&self, role: Role, name: &str, all: &BTreeMap<String, u64>, recorder: &Recorder) -> FetchDeed {
        let deed = self.0.as_ref().map_or(FetchDeed::Fetch, |s| s.fetching(role, name, all));
        if deed != FetchDeed::Fetch {
            self.told(recorder, format!("said of {name} that it is not there, to the {} server", role.word()));
        }
        deed
    }

    /// An edit of the base backup's files.
    pub fn base_edit(&self, recorder: &Recorder) -> Option<BaseEdit> {
        let edit = self.0.as_ref().and_then(|s| s.base_edit());
        if edit.is_some() {
            self.told(recorder, "edited the base backup on its way to the store");
        }
        edit
    }

    /// The target to recover to.
    pub fn retarget(&self, located: &Target, wal: &WalMap, recorder: &Recorder) -> Target {
        match self.0.as_ref().and_then(|s| s.retarget(located, wal)) {
            Some(other) => {
                self.told(
                    recorder,
                    format!("recovered to {} {} instead of {} {}", other.kind.word(), other.value, located.kind.word(), located.value),
                );
                other
            }
            None => located.clone(),
        }
    }

    fn flag(&self, recorder: &Recorder, ask: impl Fn(&dyn Sabotage) -> bool, detail: &str) -> bool {
        let yes = self.0.as_ref().is_some_and(|s| ask(s.as_ref()));
        if yes {
            self.told(recorder, detail);
        }
        yes
    }

    /// Whether the restore takes another key.
    pub fn takes_wrong_key(&self, recorder: &Recorder) -> bool {
        self.flag(recorder, |s| s.takes_wrong_key(), "opened the backups with another key")
    }

    /// Whether the old instance is left running.
    pub fn leaves_origin_up(&self, recorder: &Recorder) -> bool {
        self.flag(recorder, |s| s.leaves_origin_up(), "left the old instance running")
    }

    /// Whether the endpoint stays where it was.
    pub fn leaves_endpoint(&self, recorder: &Recorder) -> bool {
        self.flag(recorder, |s| s.leaves_endpoint(), "left the endpoint on the old instance")
    }

    /// Whether the load never writes.
    pub fn idles_load(&self, recorder: &Recorder) -> bool {
        self.flag(recorder, |s| s.idles_load(), "kept the load from writing")
    }

    /// Whether the read-back is left out.
    pub fn skips_readback(&self, recorder: &Recorder) -> bool {
        self.flag(recorder, |s| s.skips_readback(), "left the results unread")
    }

    /// Lets the sabotage act at a point.
    pub async fn at(&self, point: Point, stage: &Stage<'_>) -> Outcome<()> {
        match &self.0 {
            Some(s) => s.at(point, stage).await,
            None => Ok(()),
        }
    }
}

/// Records what a sabotage did.
fn told(me: &dyn Sabotage, stage: &Stage<'_>, detail: String) {
    stage.lab.recorder.emit(Event::Sabotaged { name: me.spec().name.into(), detail });
}

/// Every sabotage.
pub fn all() -> Vec<Arc<dyn Sabotage>> {
    vec![
        Arc::new(archive_skips_segment::SkipSegment::target()),
        Arc::new(archive_skips_segment::SkipSegment::earlier()),
        Arc::new(archive_skips_segment::SkipSegment::last()),
        Arc::new(not_found_instead_of_503::NotFoundInsteadOf503),
        Arc::new(object_damaged::ObjectDamaged::truncated()),
        Arc::new(object_damaged::ObjectDamaged::flipped()),
        Arc::new(base_page_flipped::BasePageFlipped::cold()),
        Arc::new(base_page_flipped::BasePageFlipped::manifest_fits()),
        Arc::new(base_page_flipped::BasePageFlipped::healed()),
        Arc::new(base_file_missing::BaseFileMissing::default()),
        Arc::new(base_of_another_cluster::BaseOfAnotherCluster::stranger()),
        Arc::new(base_of_another_cluster::BaseOfAnotherCluster::sibling()),
        Arc::new(base_of_another_cluster::BaseOfAnotherCluster::recorded()),
        Arc::new(foreign_timeline::ForeignTimeline),
        Arc::new(target_moved::TargetMoved::late()),
        Arc::new(target_moved::TargetMoved::early()),
        Arc::new(stored_unencrypted::StoredUnencrypted),
        Arc::new(wrong_key::WrongKey),
        Arc::new(settings::Settings::async_commit()),
        Arc::new(object_deleted::ObjectDeleted),
        Arc::new(all_objects_deleted::AllObjectsDeleted),
        Arc::new(paused_at_target::PausedAtTarget),
        Arc::new(recovered_read_only::RecoveredReadOnly),
        Arc::new(rows_removed::RowsRemoved::table()),
        Arc::new(rows_removed::RowsRemoved::row()),
        Arc::new(rows_removed::RowsRemoved::dropped_before()),
        Arc::new(row_changed::RowChanged),
        Arc::new(rows_added::RowsAdded::invented()),
        Arc::new(rows_added::RowsAdded::doubled()),
        Arc::new(rows_added::RowsAdded::resurrected()),
        Arc::new(transaction_removed::TransactionRemoved::held()),
        Arc::new(transaction_removed::TransactionRemoved::hole()),
        Arc::new(transaction_removed::TransactionRemoved::later()),
        Arc::new(index_incomplete::IndexIncomplete),
        Arc::new(object_unexplained::ObjectUnexplained),
        Arc::new(segment_rewritten::SegmentRewritten),
        Arc::new(control_with_target::ControlWithTarget::default()),
        Arc::new(turns_read_only::TurnsReadOnly),
        Arc::new(backup_deleted::BackupDeleted),
        Arc::new(endpoint_not_moved::EndpointNotMoved),
        Arc::new(archiver_survives::ArchiverSurvives::default()),
        Arc::new(ledger_edited::LedgerEdited),
        Arc::new(settings::Settings::fsync_off()),
        Arc::new(idle_load::IdleLoad),
        Arc::new(recorder_stalled::RecorderStalled),
        Arc::new(results_unread::ResultsUnread),
    ]
}

/// A sabotage by name.
pub fn find(name: &str) -> Option<Arc<dyn Sabotage>> {
    all().into_iter().find(|s| s.spec().name == name)
}
