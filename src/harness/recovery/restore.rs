//! What recoveries from a base backup and the archive share.

use super::super::backup::basebackup_wal::{self, BackupNote, Restored};
use super::super::backup::pipeline::Key;
use super::super::backup::spool::{self, ArchiveSpool, Bringing, Snapshot};
use super::super::backup::vault::Vault;
use super::super::drill::{Drill, Recovered};
use super::super::error::{Error, Outcome};
use super::super::lab::Node;
use super::super::locate::{self, WalMap};
use super::super::recorder::{Recorder, poll};
use super::super::system::postgres::{ClusterSettings, Instance};
use super::super::workload::wire::Login;
use crate::model::event::{Actor, Event, FailureClass, Moment, Role};
use crate::model::wal::{Lsn, Target, TargetKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A server may replay for long; the step's own limit ends it earlier.
const REPLAY_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The vault with the key that the restore takes.
pub fn opening_vault(drill: &Drill) -> Vault {
    let mut vault = drill.vault.clone();
    if drill.saboteur.takes_wrong_key(&drill.recorder) {
        vault.opening = Some(Key::ephemeral());
    }
    vault
}

/// A new node of the version that the drill runs with.
pub async fn node(drill: &Drill, name: &str) -> Outcome<Arc<Node>> {
    let _work = drill.recorder.work(Actor::Program, format!("make the {name} node"));
    Ok(Arc::new(drill.lab.node(name, drill.origin.node.same_build()).await?))
}

/// The newest base backup that the store has.
pub async fn find_backup(vault: &Vault) -> Outcome<BackupNote> {
    let _work = vault.recorder.work(Actor::Store, "find the newest base backup");
    basebackup_wal::newest(vault).await
}

/// Restores the base backup's files.
pub async fn base(vault: &Vault, note: &BackupNote, node: &Node, role: Role) -> Outcome<Restored> {
    let restored = basebackup_wal::restore(vault, note, node, role).await?;
    vault.recorder.emit(Event::BackupOpened { id: note.id.clone(), role, system_identifier: restored.system_identifier.clone() });
    if restored.system_identifier != vault.prefix {
        let detail = format!("the base backup is of cluster {}, not of {}", restored.system_identifier, vault.prefix);
        return Err(Error::failed(FailureClass::WrongCluster, detail));
    }
    Ok(restored)
}

/// The recovery's base backup: stamped when its last file is there, whatever else is still being looked for.
pub async fn base_of(drill: &Drill, step: usize, vault: &Vault, note: &BackupNote, node: &Node) -> Outcome<Restored> {
    let restored = base(vault, note, node, Role::Recovered).await?;
    drill.recorder.moment(Moment::Bytes, Some(step), "every file of the base backup is unpacked");
    Ok(restored)
}

/// Lists the archive, looks for timelines that are not the base backup's, and begins to bring it to the node.
pub async fn archive(vault: &Vault, node: &Node, role: Role, note: &BackupNote) -> Outcome<(Snapshot, Bringing)> {
    let listed = Snapshot::take(vault).await?;
    // In all that is there, before anything is left out as not needed.
    let found = locate::timelines(&listed.files, note.segment);
    vault.recorder.emit(Event::TimelinesSeen { found: found.into_iter().collect(), expected: note.timeline });
    for name in locate::foreign_timelines(&listed.files, note.timeline, note.segment) {
        vault.recorder.emit(Event::ForeignTimeline { name });
    }
    let snapshot = needed(listed, note);
    vault.recorder.emit(Event::ArchiveListed { files: snapshot.files.iter().map(|(k, v)| (k.clone(), *v)).collect() });
    let bringing = Bringing::start(node, role, vault.clone(), &snapshot)?;
    Ok((snapshot, bringing))
}

/// What the base backup needs: nothing from before it.
fn needed(snapshot: Snapshot, note: &BackupNote) -> Snapshot {
    use crate::model::wal::WalFile;
    let first = note.start.0 / note.segment;
    let keep = |name: &String| !matches!(WalFile::parse(name, note.segment), Some(WalFile::Segment(_, n) | WalFile::Partial(_, n)) if n < first);
    Snapshot { files: snapshot.files.into_iter().filter(|(name, _)| keep(name)).collect() }
}

/// Brings segments from before the base backup, back to the first ledgered write; gives back all that are there then.
pub async fn bring_earlier(drill: &Drill, node: &Node, snapshot: &Snapshot, note: &BackupNote) -> Outcome<std::collections::BTreeMap<String, u64>> {
    use crate::model::wal::WalFile;
    let mut files = snapshot.files.clone();
    let listed = Snapshot::take(&drill.vault).await?.files;
    let (first, last) = (drill.load_from.0 / note.segment, note.start.0 / note.segment);
    for number in first..last {
        let name = WalFile::segment_name(note.timeline, number, note.segment);
        if let Some(bytes) = listed.get(&name) {
            spool::bring(&node.shared.join("restore"), &drill.vault, &name).await?;
            files.insert(name, *bytes);
        }
    }
    Ok(files)
}

/// Waits for both; a failure of either is the recovery's, the first one first.
pub async fn both<A, B>(base: impl Future<Output = Outcome<A>>, archive: impl Future<Output = Outcome<B>>) -> Outcome<(A, B)> {
    tokio::try_join!(base, archive)
}

/// Judges what differs from the manifest: healed by the log, or damage that ends the recovery.
///
/// Only images before `until` count. Gives back the map of the log, read with images if that was needed.
#[allow(clippy::too_many_arguments)]
pub async fn check_base(
    vault: &Vault,
    note: &BackupNote,
    restored: &Restored,
    node: &Node,
    until: Option<Lsn>,
    wal: Option<WalMap>,
    bringing: &Bringing,
    recorder: &Arc<Recorder>,
) -> Outcome<Option<WalMap>> {
    let Some((file, problem)) = restored.differences.first() else { return Ok(wal) };
    let detail = format!("{file}: {problem}, and {} more", restored.differences.len() - 1);
    let relations = restored.differences.iter().all(|(f, p)| p == "other content" && super::super::backup::page::is_relation(f));
    if !relations {
        return Err(Error::failed(FailureClass::BackupIncomplete, detail));
    }
    let files: BTreeSet<String> = restored.differences.iter().map(|(f, _)| f.clone()).collect();
    if !note.checksums {
        return Err(Error::failed(FailureClass::PageCorrupt, format!("{detail}; without data checksums the damaged pages cannot be told")));
    }
    let pages = basebackup_wal::damaged_pages(vault, note, files).await?;
    wait_for_files(bringing).await?;
    let dir = format!("{}/restore/ready", node.shared_inside());
    let with_images = locate::read_wal(node, &dir, note.log(&bringing.files), true, recorder).await?;
    let end = until.unwrap_or(with_images.to);
    let healed = locate::heal(&pages, &locate::before(&with_images, end)).map_err(|why| Error::failed(FailureClass::PageCorrupt, why))?;
    for (file, block, lsn) in healed {
        recorder.emit(Event::Healed { file, block, lsn });
    }
    Ok(Some(wal.unwrap_or(with_images)))
}

async fn wait_for_files(bringing: &Bringing) -> Outcome<()> {
    poll("the archive's files", Duration::from_secs(600), Duration::from_millis(5), || async {
        match bringing.failure() {
            Some((class, detail)) => Err(Error::Failed { class, detail }),
            None => Ok(bringing.is_done().then_some(())),
        }
    })
    .await
}

/// All that a recovering server is started with.
pub struct Order<'a> {
    /// Where the backups lie.
    pub vault: &'a Vault,
    /// The base backup.
    pub note: &'a BackupNote,
    /// The node with its files.
    pub node: Arc<Node>,
    /// What the server is.
    pub role: Role,
    /// Where to stop.
    pub target: &'a Target,
    /// Its archive.
    pub bringing: Bringing,
    /// The same, as listed.
    pub snapshot: Snapshot,
    /// What it says, if it was read.
    pub wal: Option<WalMap>,
    /// Step of the plan.
    pub step: usize,
}

/// Starts the recovering server and waits until it is out of recovery; it archives from then on.
pub async fn start(drill: &mut Drill, order: Order<'_>) -> Outcome<()> {
    ArchiveSpool::prepare(&order.node)?;
    let name = format!("{}-{}", drill.plan.run, order.role.word());
    let spool = ArchiveSpool::open(&order.node, drill.vault.clone(), name.clone())?;
    let mut settings = vec![
        ("archive_mode", "on".to_string()),
        ("archive_command", ArchiveSpool::command(&order.node)),
        ("archive_timeout", drill.cluster.archive_timeout_setting()),
    ];
    settings.extend(target_settings(order.target));
    settings.extend(drill.saboteur.recovery_settings(order.role, &drill.recorder));
    let mut instance = bring_up(&order, &drill.cluster, &drill.origin.login, &drill.recorder, &name, &settings).await?;
    drill.recorder.moment(Moment::Consistent, Some(order.step), "the server is out of recovery");
    instance.announce().await?;
    drill.recovered = Some(Recovered { instance, spool: Some(spool), snapshot: Some(order.snapshot), wal: order.wal, step: order.step });
    Ok(())
}

/// `recovery_target_…` for a target.
pub fn target_settings(target: &Target) -> Vec<(&'static str, String)> {
    let mut all = vec![("recovery_target_timeline", target.timeline.clone()), ("recovery_target_action", "promote".to_string())];
    let name = match target.kind {
        TargetKind::Name => "recovery_target_name",
        TargetKind::Lsn => "recovery_target_lsn",
        TargetKind::Time => "recovery_target_time",
        TargetKind::Xid => "recovery_target_xid",
        TargetKind::End => return all,
    };
    all.push((name, target.value.clone()));
    all.push(("recovery_target_inclusive", if target.inclusive { "on" } else { "off" }.to_string()));
    all
}

/// Configures, starts and waits: until the server is out of recovery, or says why it never will be.
pub async fn bring_up(
    order: &Order<'_>,
    cluster: &ClusterSettings,
    login: &Login,
    recorder: &Arc<Recorder>,
    name: &str,
    settings: &[(&'static str, String)],
) -> Outcome<Instance> {
    let node = &order.node;
    let instance = Instance::restored(node.clone(), order.role, &order.vault.prefix, name, login.clone(), recorder.clone());
    let mut all = settings.to_vec();
    all.push(("restore_command", order.bringing.command(node)));
    let configuration = instance.configuration(cluster, &all);
    instance.write_configuration_for_recovery(&configuration).await?;
    instance.launch().await?;
    let work = recorder.work(Actor::Server, format!("start, replay and promotion ({})", order.role.word()));
    let waited = poll("the end of recovery", REPLAY_LIMIT, Duration::from_millis(4), || async {
        if let Ok(client) = instance.connect().await
            && let Ok(row) =
                client.query_one("SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END", &[]).await
        {
            let (recovering, paused): (bool, bool) = (row.get(0), row.get(1));
            if !recovering {
                return Ok(Some(()));
            }
            if paused {
                return Err(Error::failed(FailureClass::PausedAtTarget, "the server answers reads, is paused at its target and never left recovery"));
            }
        }
        match node.server_exited().await? {
            // What the archive's side knows is nearer to the cause than the server's last words.
            Some(how) => Err(match order.bringing.failure() {
                Some((class, detail)) => Error::Failed { class, detail },
                None => instance.refusal(&how),
            }),
            None => Ok(None),
        }
    })
    .await;
    drop(work);
    waited.map(|()| instance)
}
