//! Between PostgreSQL and the store: `archive_command` and `restore_command` of a server that has nothing of
//! ours, over a directory shared with the harness.
//!
//! Archiving: the command copies the segment into the spool under a fresh nonce and waits, with a deadline, for
//! an answer that carries the nonce and the hash of what was stored; only then does PostgreSQL hear that the
//! segment is archived. Restoring: the harness publishes a complete index of the archive and brings the files;
//! the command ends with 1 only for a name that the complete index does not have, and with 126 for everything
//! that is not certain (exit 1–125 for a segment that exists means a silent end of the log).

use super::super::error::{Doing, Error, Outcome};
use super::super::lab::Node;
use super::super::recorder::Recorder;
use super::super::sabotage::{ArchiveDeed, FetchDeed};
use super::super::store::StoreProblem;
use super::vault::Vault;
use crate::model::event::{Actor, Event, FailureClass, Role};
use crate::model::seed::hex;
use crate::model::time::Stamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long the archive command waits for an answer. PostgreSQL tries again after it.
const ARCHIVE_DEADLINE_S: u32 = 60;
/// How long the restore command waits for a file that the index has.
const RESTORE_DEADLINE_S: u32 = 300;
/// Between looks into the spool.
const LOOK: Duration = Duration::from_millis(3);

const ARCHIVE_SH: &str = r#"# archive.sh PATH NAME - written by passmuster
spool=$(dirname "$0")
nonce="$$.$(date +%s%N)"
request="$2@$nonce"
cp "$1" "$spool/in/.$request" && chmod 666 "$spool/in/.$request" && mv "$spool/in/.$request" "$spool/in/$request" || exit 2
mine=$(sha256sum <"$1") || exit 3
mine=${mine%% *}
i=0
while [ ! -f "$spool/out/$request" ]; do
  i=$((i + 1))
  [ "$i" -gt DEADLINE ] && exit 4
  sleep 0.01
done
read -r word hash back <"$spool/out/$request"
rm -f "$spool/out/$request"
[ "$word" = stored ] && [ "$hash" = "$mine" ] && [ "$back" = "$nonce" ]
"#;

const RESTORE_SH: &str = r#"# restore.sh NAME DESTINATION SESSION - written by passmuster
here=$(dirname "$0")
found=
complete=
while read -r name hash; do
  [ "$name" = "$1" ] && found=$hash
  [ "$name" = complete ] && complete=$hash
done <"$here/index" || exit 126
[ "$complete" = "$3" ] || exit 126
[ -n "$found" ] || exit 1
i=0
while [ ! -f "$here/ready/$1" ]; do
  [ -f "$here/failed/$1" ] && exit 126
  i=$((i + 1))
  [ "$i" -gt DEADLINE ] && exit 126
  sleep 0.01
done
cp "$here/ready/$1" "$2" || exit 126
"#;

/// The archiving side of one instance.
pub struct ArchiveSpool {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
    dir: PathBuf,
    state: Arc<SpoolState>,
}

/// What the archiving side has done.
#[derive(Default)]
pub struct SpoolState {
    acknowledged: Mutex<BTreeMap<String, String>>,
    last: Mutex<Option<Stamp>>,
    lost: AtomicBool,
}

impl SpoolState {
    /// Names and SHA-256 of what PostgreSQL was told is archived.
    pub fn acknowledged(&self) -> BTreeMap<String, String> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the last segment was asked for: the last switch, as seen from here.
    pub fn last_switch(&self) -> Option<Stamp> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a script into a directory shared with a server.
fn write_shared(path: &Path, text: &str) -> Outcome<()> {
    std::fs::write(path, text).doing(|| format!("write {}", path.display()))?;
    super::super::lab::set_mode(path, 0o755)
}

fn shared_dir(path: &Path) -> Outcome<()> {
    std::fs::create_dir_all(path).doing(|| format!("create {}", path.display()))?;
    super::super::lab::set_mode(path, 0o777)
}

impl ArchiveSpool {
    /// Makes the spool of a node, so that its server may be started; what it hands over waits there.
    pub fn prepare(node: &Node) -> Outcome<()> {
        let dir = node.shared.join("archive");
        for d in [dir.clone(), dir.join("in"), dir.join("out")] {
            shared_dir(&d)?;
        }
        write_shared(&dir.join("archive.sh"), &ARCHIVE_SH.replace("DEADLINE", &(ARCHIVE_DEADLINE_S * 100).to_string()))
    }

    /// Serves the prepared spool of a node. `archive_command` to use is [`ArchiveSpool::command`].
    pub fn open(node: &Node, vault: Vault, instance: String) -> Outcome<ArchiveSpool> {
        let dir = node.shared.join("archive");
        let stop = Arc::new(AtomicBool::new(false));
        let state = Arc::new(SpoolState::default());
        let task = tokio::spawn(serve(dir.clone(), vault, instance, stop.clone(), state.clone()));
        Ok(ArchiveSpool { stop, task, dir, state })
    }

    /// The command for the server's configuration.
    pub fn command(node: &Node) -> String {
        format!("sh \"{}/archive/archive.sh\" \"%p\" \"%f\"", node.shared_inside())
    }

    /// What it has done so far.
    pub fn state(&self) -> Arc<SpoolState> {
        self.state.clone()
    }

    /// The instance is lost: what it had not shipped is discarded, and anything that still comes is an event.
    pub fn discard(&self) {
        self.state.lost.store(true, Ordering::SeqCst);
        let _ = std::fs::remove_dir_all(self.dir.join("in"));
        let _ = shared_dir(&self.dir.join("in"));
    }

    /// The same without discarding: for a sabotage in which something of the instance lives on.
    pub fn mark_lost(&self) {
        self.state.lost.store(true, Ordering::SeqCst);
    }

    /// Hands a file over as the instance's archiver would.
    pub fn submit(&self, name: &str, content: &[u8]) -> Outcome<()> {
        let (hidden, request) = (self.dir.join(format!("in/.{name}@0")), self.dir.join(format!("in/{name}@0")));
        std::fs::write(&hidden, content).and_then(|()| std::fs::rename(&hidden, &request)).doing(|| format!("hand over {name}"))
    }
}

impl Drop for ArchiveSpool {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.abort();
    }
}

async fn serve(dir: PathBuf, vault: Vault, instance: String, stop: Arc<AtomicBool>, state: Arc<SpoolState>) {
    let recorder = vault.recorder.clone();
    while !stop.load(Ordering::SeqCst) {
        for request in requests(&dir.join("in")) {
            let asked = recorder.now();
            let Some((name, nonce)) = request.split_once('@').map(|(a, b)| (a.to_string(), b.to_string())) else { continue };
            let path = dir.join("in").join(&request);
            let Ok(hash) = hash_of(&path).await else { continue };
            if is_switch(&name) {
                *state.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
            }
            let answer = match archive(&vault, &name, &path, &hash, &state, &instance, asked).await {
                Ok(()) => format!("stored {hash} {nonce}\n"),
                Err(e) => {
                    recorder.emit(Event::SegmentRefused { name: name.clone(), why: e.to_string() });
                    format!("refused - {nonce}\n")
                }
            };
            let (hidden, out) = (dir.join(format!("out/.{request}")), dir.join(format!("out/{request}")));
            // The server may be gone; then there is nobody to answer.
            let _ = std::fs::write(&hidden, answer);
            let _ = super::super::lab::set_mode(&hidden, 0o666);
            let _ = std::fs::rename(&hidden, &out);
            let _ = std::fs::remove_file(&path);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a file that is handed over says that the log went on to another segment: a whole segment does, the record of a backup
/// or the history of a timeline does not.
fn is_switch(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn requests(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(|n| !n.starts_with('.')).collect();
    names.sort();
    names
}

/// SHA-256 of a file in the spool.
async fn hash_of(path: &Path) -> Outcome<String> {
    let path = path.to_path_buf();
    let hashed = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let mut hash = sha2::Sha256::default();
        std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
        Ok(hex(&sha2::Digest::finalize(hash)))
    });
    hashed.await.map_err(|e| Error::Other(e.to_string()))?.doing(|| "read a file of the spool".into())
}

/// Stores one file of the archive; it is durable when this returns.
async fn archive(vault: &Vault, name: &str, path: &Path, hash: &str, state: &SpoolState, instance: &str, asked: Stamp) -> Outcome<()> {
    let recorder: &Recorder = &vault.recorder;
    let conflict = || {
        recorder.emit(Event::ArchiveConflict { name: name.into() });
        Err(Error::Other(format!("{name} is archived already with other content")))
    };
    let known = state.acknowledged().get(name).cloned();
    match known {
        // PostgreSQL asks again after a crash between its archiving and its own note of it.
        Some(earlier) if earlier == hash => return Ok(()),
        Some(_) => return conflict(),
        None => {}
    }
    if state.lost.load(Ordering::SeqCst) {
        recorder.emit(Event::LateWrite { instance: instance.into(), what: name.into() });
    }
    let key = vault.wal_key(name);
    let work = vault.recorder.work(Actor::Store, format!("store {name}"));
    match vault.saboteur.archiving(name, &vault.recorder) {
        ArchiveDeed::AcknowledgeOnly => {}
        ArchiveDeed::Store => {
            let path = path.to_path_buf();
            match vault.put_from(&key, move || std::fs::File::open(path), true).await {
                Ok((_, stored)) if stored == hash => {}
                Ok(_) => return Err(Error::Other(format!("{name} changed while it was stored"))),
                Err(Error::Store(e)) if e.problem == StoreProblem::Exists => {
                    if vault.check(&key).await? != hash {
                        return conflict();
                    }
                }
                Err(e) => return Err(e),
            }
        }
    }
    drop(work);
    state.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), hash.into());
    recorder.emit(Event::SegmentAcknowledged { name: name.into(), sha256: hash.into(), asked, instance: instance.into() });
    Ok(())
}

/// The archive as it was when a recovery began: names and sizes, complete.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// File name → bytes as stored.
    pub files: BTreeMap<String, u64>,
}

impl Snapshot {
    /// Lists the archive.
    pub async fn take(vault: &Vault) -> Outcome<Snapshot> {
        let files = vault.list("wal").await?.into_iter().map(|l| (vault.file_of(&l.key).to_string(), l.bytes)).collect();
        Ok(Snapshot { files })
    }
}

/// The restoring side of one recovery: brings the files of a snapshot to a node.
pub struct Bringing {
    /// What is brought: names and sizes as stored.
    pub files: BTreeMap<String, u64>,
    dir: PathBuf,
    session: String,
    failure: Arc<Mutex<Option<(FailureClass, String)>>>,
    task: JoinHandle<()>,
}

impl Drop for Bringing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Files that are brought at the same time.
const PARALLEL: usize = 3;

impl Bringing {
    /// Publishes the index of a snapshot and begins to bring its files, in the order of their names.
    pub fn start(node: &Node, role: Role, vault: Vault, snapshot: &Snapshot) -> Outcome<Bringing> {
        let dir = node.shared.join("restore");
        for d in [dir.clone(), dir.join("ready"), dir.join("failed")] {
            shared_dir(&d)?;
        }
        write_shared(&dir.join("restore.sh"), &RESTORE_SH.replace("DEADLINE", &(RESTORE_DEADLINE_S * 100).to_string()))?;
        let session = super::super::system::s3::random_hex(8)?;
        let mut index = String::new();
        let mut wanted = Vec::new();
        for name in snapshot.files.keys() {
            match vault.saboteur.fetching(role, name, &snapshot.files, &vault.recorder) {
                FetchDeed::Fetch => {
                    index.push_str(&format!("{name} -\n"));
                    wanted.push(name.clone());
                }
                FetchDeed::SayNotFound => {}
            }
        }
        index.push_str(&format!("complete {session}\n"));
        let hidden = dir.join(".index");
        write_shared(&hidden, &index)?;
        std::fs::rename(&hidden, dir.join("index")).doing(|| "publish the archive's index".into())?;
        let failure = Arc::new(Mutex::new(None));
        let task = tokio::spawn(bring_all(dir.clone(), vault, wanted, failure.clone()));
        Ok(Bringing { files: snapshot.files.clone(), dir, session, failure, task })
    }

    /// The command for the server's configuration.
    pub fn command(&self, node: &Node) -> String {
        format!("sh \"{}/restore/restore.sh\" \"%f\" \"%p\" {}", node.shared_inside(), self.session)
    }

    /// Why a file could not be brought, if one could not.
    pub fn failure(&self) -> Option<(FailureClass, String)> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether every file is there, or has failed.
    pub fn is_done(&self) -> bool {
        self.task.is_finished()
    }

    /// Where the files are, as the harness sees it.
    pub fn ready_dir(&self) -> PathBuf {
        self.dir.join("ready")
    }

    /// Waits until every file is there, or one cannot be brought.
    pub async fn all_here(&mut self) -> Outcome<()> {
        let _ = (&mut self.task).await;
        match self.failure() {
            Some((class, detail)) => Err(Error::Failed { class, detail }),
            None => Ok(()),
        }
    }
}

async fn bring_all(dir: PathBuf, vault: Vault, names: Vec<String>, failure: Arc<Mutex<Option<(FailureClass, String)>>>) {
    use futures_util::StreamExt;
    let dir = &dir;
    let vault = &vault;
    let failure = &failure;
    futures_util::stream::iter(names)
        .for_each_concurrent(PARALLEL, |name| async move {
            if let Err(e) = bring(dir, vault, &name).await {
                let class = match &e {
                    Error::Failed { class, .. } => *class,
                    _ => FailureClass::StoreUnavailable,
                };
                let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert((class, format!("{name}: {e}")));
                let _ = std::fs::write(dir.join("failed").join(&name), e.to_string());
            }
        })
        .await;
}

/// Brings one file of the archive into a directory of files that are ready.
pub async fn bring(dir: &Path, vault: &Vault, name: &str) -> Outcome<()> {
    let work = vault.recorder.work(Actor::Pipeline, format!("bring {name}"));
    let key = vault.wal_key(name);
    let (hidden, ready) = (dir.join(format!("ready/.{name}")), dir.join("ready").join(name));
    vault.fetch(&key, hidden.clone()).await?;
    vault.recorder.emit(Event::ObjectInspected { key, cipher: String::new(), opened: Some(true) });
    super::super::lab::set_mode(&hidden, 0o644)?;
    std::fs::rename(&hidden, &ready).doing(|| format!("write {}", ready.display()))?;
    drop(work);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_segment_is_a_switch() {
        assert!(is_switch("000000010000000000000005"));
        for other in
            ["000000010000000000000005.00000028.backup", "00000002.history", "000000010000000000000005.partial", "", "00000001000000000000000x"]
        {
            assert!(!is_switch(other), "{other}");
        }
    }
}
