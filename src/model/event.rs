//! The events of a run: the only seam between what happens and what is seen or judged.
//!
//! `events.jsonl` holds one [`Stamped`] per line. The verdict is computed from these, the ledger and the
//! read-backs alone. Adding a field or a kind is compatible; changing a meaning needs a new version of
//! the record.

use super::time::{Stamp, Wall};
use super::wal::{Lsn, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An event with its stamp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// When, on the recorder's clock.
    pub t: Stamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// The moments that docs/FIGURES.md names; each is measured once per step of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// The load began.
    Load,
    /// The steady state was seen, for as long as the scenario asks.
    Steady,
    /// The base backup is durable in the store.
    BackedUp,
    /// Injection began.
    Inject,
    /// Earliest proof of the effect.
    Fault,
    /// The old instance is confirmed gone.
    Stop,
    /// The monitored signal fired.
    Detect,
    /// The recovery procedure started.
    Start,
    /// The target is known.
    Located,
    /// The base backup's bytes are back.
    Bytes,
    /// Consistent and promoted.
    Consistent,
    /// First successful read at the clients' endpoint.
    Read,
    /// First acknowledged write there that a second connection read back.
    Write,
    /// Every row and object was read back and recorded.
    Verified,
    /// The recovered server's first own backup is durable.
    Protected,
    /// The steady state held again after the recovery.
    SteadyAgain,
}

/// What was at work in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A database server (start, replay, checkpoint, query).
    Server,
    /// The object store.
    Store,
    /// Decrypt, decompress, unpack and their opposites.
    Pipeline,
    /// A program such as `pg_basebackup` or `pg_waldump`.
    Program,
    /// Waiting for the monitor's next probe.
    Monitor,
    /// A simulated human step.
    Human,
}

/// Why a recovery did not come about. The words are stable: sabotages name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// The damage is not in what the archive holds.
    DamageNotFound,
    /// A segment between the base backup and the target is not in the archive.
    ArchiveGap,
    /// The server ended recovery before the target.
    TargetNotReached,
    /// The target is earlier than the end of the base backup.
    TargetBeforeBackup,
    /// A stored object is not what was stored.
    ObjectCorrupt,
    /// A stored object cannot be decrypted with the key.
    WrongKey,
    /// The base backup lacks a file, or a file differs from its manifest.
    BackupIncomplete,
    /// The base backup has a page that is damaged and that nothing in the log heals.
    PageCorrupt,
    /// The base backup is of another cluster.
    WrongCluster,
    /// The server refused to start or to recover, with other words.
    ServerRefused,
    /// The server answers reads and never left recovery.
    PausedAtTarget,
    /// Over the scenario's time limit: right-censored.
    OverTime,
    /// The store did not answer.
    StoreUnavailable,
    /// No usable base backup is in the store.
    NoBackup,
    /// The signal that should have fired did not.
    NotDetected,
    /// The clients' endpoint does not lead to the recovered server.
    EndpointNotMoved,
    /// A backup could not be taken.
    BackupFailed,
    /// The steady state was never seen, so there was nothing to disturb.
    NotSteady,
    /// The recovered server answers reads where the clients connect, and takes no write.
    NotWritable,
}

impl FailureClass {
    /// Every class.
    pub const ALL: [FailureClass; 19] = [
        FailureClass::DamageNotFound,
        FailureClass::ArchiveGap,
        FailureClass::TargetNotReached,
        FailureClass::TargetBeforeBackup,
        FailureClass::ObjectCorrupt,
        FailureClass::WrongKey,
        FailureClass::BackupIncomplete,
        FailureClass::PageCorrupt,
        FailureClass::WrongCluster,
        FailureClass::ServerRefused,
        FailureClass::PausedAtTarget,
        FailureClass::OverTime,
        FailureClass::StoreUnavailable,
        FailureClass::NoBackup,
        FailureClass::NotDetected,
        FailureClass::EndpointNotMoved,
        FailureClass::BackupFailed,
        FailureClass::NotSteady,
        FailureClass::NotWritable,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            FailureClass::DamageNotFound => "damage-not-found",
            FailureClass::ArchiveGap => "archive-gap",
            FailureClass::TargetNotReached => "target-not-reached",
            FailureClass::TargetBeforeBackup => "target-before-backup",
            FailureClass::ObjectCorrupt => "object-corrupt",
            FailureClass::WrongKey => "wrong-key",
            FailureClass::BackupIncomplete => "backup-incomplete",
            FailureClass::PageCorrupt => "page-corrupt",
            FailureClass::WrongCluster => "wrong-cluster",
            FailureClass::ServerRefused => "server-refused",
            FailureClass::PausedAtTarget => "paused-at-target",
            FailureClass::OverTime => "over-time",
            FailureClass::StoreUnavailable => "store-unavailable",
            FailureClass::NoBackup => "no-backup",
            FailureClass::NotDetected => "not-detected",
            FailureClass::EndpointNotMoved => "endpoint-not-moved",
            FailureClass::BackupFailed => "backup-failed",
            FailureClass::NotSteady => "not-steady",
            FailureClass::NotWritable => "not-writable",
        }
    }

    /// What it means, one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            FailureClass::DamageNotFound => "No commit in the archive drops the table, or the table was not in the database when it was backed up",
            FailureClass::ArchiveGap => "A segment that is needed is not in the archive",
            FailureClass::TargetNotReached => "The server ended recovery before the target",
            FailureClass::TargetBeforeBackup => "The target is earlier than the end of the base backup",
            FailureClass::ObjectCorrupt => "A stored object is not what was stored",
            FailureClass::WrongKey => "A stored object does not open with the key",
            FailureClass::BackupIncomplete => "The base backup lacks a file, or a file that is not a relation's differs from the backup's manifest",
            FailureClass::PageCorrupt => "A page of the base backup is damaged, and nothing in the log before the target replaces it",
            FailureClass::WrongCluster => "The base backup or the log is of another cluster",
            FailureClass::ServerRefused => "The server refused to start or to recover, in other words, which are quoted",
            FailureClass::PausedAtTarget => "The server answers reads, is paused at its target and never left recovery",
            FailureClass::OverTime => "The time limit of the step was over: the recovery time is right-censored",
            FailureClass::StoreUnavailable => "The store did not answer, or refused",
            FailureClass::NoBackup => "There is no base backup, or an object that was listed is not there",
            FailureClass::NotDetected => "The detection did not fire, or there was none to take the time from",
            FailureClass::EndpointNotMoved => "After the recovery something else answers where the clients connect",
            FailureClass::BackupFailed => "A base backup could not be taken",
            FailureClass::NotSteady => "The steady state did not hold in time, so there was nothing to disturb",
            FailureClass::NotWritable => "The recovered server answers reads where the clients connect, and takes no write",
        }
    }

    /// What to look at when it happens in earnest.
    pub fn advice(self) -> &'static str {
        match self {
            FailureClass::DamageNotFound => "widen the range of the archive that is searched, or give the target by time",
            FailureClass::ArchiveGap => {
                "find out why the segment is missing; take a new base backup now, since nothing after the gap can be recovered from the old one"
            }
            FailureClass::TargetNotReached => "check that the archive reaches beyond the target, and that the target is on this timeline",
            FailureClass::TargetBeforeBackup => "restore from an older base backup",
            FailureClass::ObjectCorrupt => "restore from another copy or an older base backup; find out what changes stored objects",
            FailureClass::WrongKey => "find the key that was in use when the backup was taken; key ids belong beside the backup",
            FailureClass::BackupIncomplete => "do not use this base backup; verify each backup when it is taken",
            FailureClass::PageCorrupt => "do not use this base backup; check the source's storage and turn data checksums on",
            FailureClass::WrongCluster => "check which server the backup job reads; pin the system identifier",
            FailureClass::ServerRefused => "read the server's log, kept with the evidence",
            FailureClass::PausedAtTarget => "set recovery_target_action = promote, or promote by hand",
            FailureClass::OverTime => "the time limit of the step is part of the promise; look at the waterfall for where it went",
            FailureClass::StoreUnavailable => "check the store and the network path to it from where the restore runs",
            FailureClass::NoBackup => "check the backup job, the bucket and the prefix",
            FailureClass::NotDetected => "check the probe: a disaster that nobody notices is not recovered",
            FailureClass::EndpointNotMoved => "re-point the endpoint (DNS, proxy, service) as a step of the runbook, and check who answers there",
            FailureClass::BackupFailed => "read what the backup program said, kept with the evidence",
            FailureClass::NotSteady => "fix the service before rehearsing its disaster",
            FailureClass::NotWritable => {
                "look for what refuses or holds writes on the recovered server: read-only settings, a missing synchronous standby, a full disk, locks"
            }
        }
    }
}

/// Which restore something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The instance that the disaster hits.
    Origin,
    /// The instance that takes over.
    Recovered,
    /// The restore of the same archive without a target.
    Control,
    /// Another cluster that a sabotage brought in.
    Stranger,
}

impl Role {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Role::Origin => "origin",
            Role::Recovered => "recovered",
            Role::Control => "control",
            Role::Stranger => "stranger",
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    /// The run began; the stamp is zero.
    RunBegan {
        /// Run id.
        run: String,
        /// Wall clock, a label.
        wall: Wall,
    },
    /// A phase began (for people: progress and headings).
    Phase {
        /// What is being done.
        name: String,
    },
    /// Bytes moved in the current phase (for progress only).
    Progress {
        /// What is being moved.
        what: String,
        /// Bytes so far.
        bytes: u64,
        /// Of how many, if known.
        of: Option<u64>,
    },
    /// A moment that is measured.
    Moment {
        /// Which.
        moment: Moment,
        /// Step of the plan, from 0; `None` for the run's own.
        step: Option<usize>,
        /// What proves it.
        proof: String,
    },
    /// A stretch of time in which something was at work.
    Worked {
        /// What.
        actor: Actor,
        /// Doing what.
        what: String,
        /// From when; the stamp is the end.
        from: Stamp,
    },
    /// A server was started.
    InstanceStarted {
        /// Which.
        role: Role,
        /// `system identifier/start number`.
        instance: String,
        /// `initdb`'s identifier.
        system_identifier: String,
        /// `server_version`.
        version: String,
        /// Timeline at that moment, if it was out of recovery.
        timeline: Option<u32>,
        /// Settings that a measurement could be falsified by.
        settings: BTreeMap<String, String>,
    },
    /// A server is gone.
    InstanceGone {
        /// Which.
        instance: String,
        /// `clean`, `lost`, `crashed`.
        how: String,
        /// Processes of it that were still found; `None`: nobody could look.
        left: Option<usize>,
    },
    /// A store answered for the first time, and was probed.
    StoreStarted {
        /// Name of the system in the scenario.
        name: String,
        /// `embedded`, `minio`.
        profile: String,
        /// Program and version, as it describes itself.
        describes_as: String,
        /// Whether a conditional write (`If-None-Match: *`) on an object that is there was refused.
        conditional_put: bool,
        /// Whether it keeps versions of the drill's objects; `None`: not asked for.
        versions: Option<bool>,
    },
    /// A server's clock, bracketed; the stamp is after.
    Clock {
        /// Which server.
        instance: String,
        /// Before the question.
        before: Stamp,
        /// Its answer.
        wall: Wall,
        /// Its insert position.
        lsn: Lsn,
    },
    /// PostgreSQL was told that a file is archived.
    SegmentAcknowledged {
        /// File name.
        name: String,
        /// SHA-256 of its content.
        sha256: String,
        /// When PostgreSQL asked.
        asked: Stamp,
        /// Which instance asked, by its cluster name.
        instance: String,
    },
    /// PostgreSQL was told that a file is not archived.
    SegmentRefused {
        /// File name.
        name: String,
        /// Why.
        why: String,
    },
    /// An object became durable in the backup store.
    ObjectStored {
        /// Its key.
        key: String,
        /// Bytes as stored.
        bytes: u64,
        /// SHA-256 of the bytes as stored.
        sha256: String,
    },
    /// A base backup is complete.
    BaseBackup {
        /// Its id.
        id: String,
        /// Of which cluster, as the backup's own control file says.
        system_identifier: String,
        /// Timeline.
        timeline: u32,
        /// Where replay begins.
        start: Lsn,
        /// Where it must at least reach.
        stop: Lsn,
        /// Bytes before compression.
        raw_bytes: u64,
        /// Bytes as stored.
        stored_bytes: u64,
    },
    /// A restore opened a base backup and read which cluster it is of, in its own control file: the note beside it and the place
    /// where it lies can say otherwise.
    BackupOpened {
        /// Id of the backup, by its note.
        id: String,
        /// Which restore.
        role: Role,
        /// Cluster, as the control file of the backup says.
        system_identifier: String,
    },
    /// The archive as listed for a recovery.
    ArchiveListed {
        /// File names with the bytes as stored, sorted.
        files: Vec<(String, u64)>,
    },
    /// An object's stored bytes were looked at.
    ObjectInspected {
        /// Its key.
        key: String,
        /// `age` by the header of the stored bytes, or `none`.
        cipher: String,
        /// Whether it could be opened with the key, read to its end, and matched the recorded hash;
        /// `None`: not tried.
        opened: Option<bool>,
    },
    /// A file archived twice with different content.
    ArchiveConflict {
        /// File name.
        name: String,
    },
    /// The names of the archive's files were searched for timelines, for a recovery. Without it nobody looked.
    TimelinesSeen {
        /// Every timeline that a segment, a partial segment or a history file belongs to, ascending.
        found: Vec<u32>,
        /// The base backup's own: any later one was made by no instance of this run.
        expected: u32,
    },
    /// A file of a timeline that no instance of this run had made before the recovery.
    ForeignTimeline {
        /// File name.
        name: String,
    },
    /// The oracle's fence: no operation was under way from `drained` until this event's stamp.
    Fence {
        /// When the last operation had ended.
        drained: Stamp,
        /// The restore point's position.
        lsn: Lsn,
        /// The restore point's name.
        name: String,
    },
    /// The target, as located.
    TargetLocated {
        /// It.
        target: Target,
    },
    /// A restored file differs from the backup's manifest.
    ManifestMismatch {
        /// Which restore.
        role: Role,
        /// Path in the data directory.
        file: String,
        /// What differs.
        problem: String,
    },
    /// A damaged page of a restored base backup is overwritten by a full-page image in the log.
    Healed {
        /// Path in the data directory.
        file: String,
        /// Block number.
        block: u64,
        /// Position of the record that carries the image.
        lsn: Lsn,
    },
    /// A recovery, detection or backup step failed: a result, not a defect of the harness.
    Failed {
        /// Step of the plan, from 0.
        step: Option<usize>,
        /// In which restore.
        role: Option<Role>,
        /// Stable class.
        class: FailureClass,
        /// Details for people.
        detail: String,
    },
    /// The monitor asked.
    Probe {
        /// Name of the probe.
        probe: String,
        /// Whether the answer was good.
        ok: bool,
        /// What was wrong.
        why: Option<String>,
    },
    /// Where the clients' endpoint leads from now on.
    EndpointMoved {
        /// Instance.
        instance: String,
    },
    /// Who answered at the clients' endpoint after the recovery.
    EndpointAnswered {
        /// Instance.
        instance: String,
        /// Whether it said that it is in recovery.
        in_recovery: bool,
    },
    /// A write of an instance arrived after that instance was lost.
    LateWrite {
        /// The instance, by its cluster name.
        instance: String,
        /// What it wrote.
        what: String,
    },
    /// The load's errors in one interval of 100 ms, and its acknowledgements.
    Load {
        /// Acknowledged.
        ok: u32,
        /// Failed or in doubt, and failed attempts to connect.
        bad: u32,
    },
    /// A client got its first bad answer after a good one.
    ClientError {
        /// Worker.
        slot: u32,
        /// What it got.
        why: String,
    },
    /// A table was seen from outside of the ledger (row counts before and after, for amcheck and steady state).
    Structure {
        /// Which restore.
        role: Role,
        /// `amcheck`, `checksums`, …
        check: String,
        /// Whether it held.
        ok: bool,
        /// Details.
        detail: String,
    },
    /// The recorder itself stalled.
    Stalled {
        /// For how long, in nanoseconds.
        ns: u64,
    },
    /// Something was relaxed; it downgrades the claim.
    Knob {
        /// What.
        name: String,
        /// Why.
        why: String,
    },
    /// Something that would have been judged was not.
    NotRun {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// A sabotage acted.
    Sabotaged {
        /// Its name.
        name: String,
        /// What it did.
        detail: String,
    },
    /// A simulated human step.
    HumanStep {
        /// What a person would do.
        what: String,
        /// Step of the plan.
        step: usize,
    },
    /// The harness itself broke.
    Broke {
        /// What.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Someone asked the run to stop.
    Interrupted,
    /// Everything that was acquired is undone.
    CleanedUp {
        /// What could not be undone.
        left: Vec<String>,
    },
    /// The run ended; the last event.
    RunEnded {
        /// `completed`, `aborted`, `interrupted`.
        status: String,
        /// Largest resident memory of the harness, in bytes, if the system tells.
        peak_rss: Option<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_words_are_the_serialised_ones() {
        for class in FailureClass::ALL {
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{}\"", class.word()));
        }
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let e = Stamped { t: Stamp(5), event: Event::Moment { moment: Moment::Fault, step: Some(0), proof: "x".into() } };
        let json = serde_json::to_string(&e).unwrap();
        assert_eq!(json, r#"{"t":5,"event":"moment","moment":"fault","step":0,"proof":"x"}"#);
        assert_eq!(serde_json::from_str::<Stamped>(&json).unwrap(), e);
    }

    #[test]
    fn what_older_records_hold_is_still_read() {
        let gone = |json: &str| serde_json::from_str::<Stamped>(json).unwrap().event;
        let with = |left| Event::InstanceGone { instance: "1/2".into(), how: "lost".into(), left };
        assert_eq!(gone(r#"{"t":5,"event":"instance-gone","instance":"1/2","how":"lost","left":0}"#), with(Some(0)));
        assert_eq!(gone(r#"{"t":5,"event":"instance-gone","instance":"1/2","how":"lost","left":null}"#), with(None));
        assert_eq!(gone(r#"{"t":5,"event":"instance-gone","instance":"1/2","how":"lost"}"#), with(None));
    }
}
