//! What a run has acquired, written down *before* it is created, so that it is undone at the end, on
//! Ctrl-C, and by `gc` after a SIGKILL.
//!
//! The journal of a run lies beside its private directory and is locked for as long as the run lives;
//! a journal that can be locked by another process belongs to a run that is gone.

use super::super::error::{Doing, Error, Outcome};
use super::super::process;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Something to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "kebab-case")]
pub enum Acquired {
    /// A directory: processes that work below it are killed, their shared memory removed, then it goes.
    Directory {
        /// Path.
        path: PathBuf,
    },
    /// A container.
    Container {
        /// Name.
        name: String,
    },
    /// A volume.
    Volume {
        /// Name.
        name: String,
    },
    /// A network.
    Network {
        /// Name.
        name: String,
    },
}

/// The journal of one run.
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    acquired: Mutex<Vec<Acquired>>,
}

/// The directory under which all runs of this user live. Not on a memory file system, where there is a choice:
/// on one, nothing that is measured says anything about durability.
pub fn scratch_base(chosen: Option<&Path>) -> Outcome<PathBuf> {
    let uid = nix::unistd::getuid().as_raw();
    let dir = scratch_path(chosen);
    if !dir.is_dir() {
        std::fs::create_dir_all(&dir).doing(|| format!("create {}", dir.display()))?;
        super::set_mode(&dir, 0o711)?;
    }
    use std::os::unix::fs::MetadataExt;
    let owner = dir.metadata().doing(|| format!("look at {}", dir.display()))?.uid();
    if owner != uid {
        return Err(Error::Other(format!("{} belongs to user {owner}, not to us: choose another place with `--scratch DIR`", dir.display())));
    }
    Ok(dir)
}

/// Where that directory is or would be; nothing is created.
pub fn scratch_path(chosen: Option<&Path>) -> PathBuf {
    let base = match chosen {
        Some(dir) => dir.to_path_buf(),
        None => {
            let candidates = [PathBuf::from("/var/tmp"), std::env::temp_dir()];
            candidates.iter().find(|d| d.is_dir() && !is_tmpfs(d)).unwrap_or(&candidates[1]).clone()
        }
    };
    base.join(format!("passmuster-{}", nix::unistd::getuid().as_raw()))
}

/// Whether a path lies on a memory file system.
pub fn is_tmpfs(path: &Path) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|s| s.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
}

/// Bytes that are free for us where `path` lies.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let s = nix::sys::statvfs::statvfs(path).ok()?;
    Some(s.blocks_available() * s.fragment_size())
}

fn journal_path(base: &Path, run: &str) -> PathBuf {
    base.join(format!("{run}.journal"))
}

impl Journal {
    /// Begins the journal of a run, locked until this process ends; its first entry is the run's directory.
    pub fn create(base: &Path, run: &str, dir: &Path) -> Outcome<Journal> {
        let path = journal_path(base, run);
        let file = OpenOptions::new().create_new(true).append(true).open(&path).doing(|| format!("create {}", path.display()))?;
        file.try_lock().map_err(|e| Error::Other(format!("lock {}: {e}", path.display())))?;
        let journal = Journal { path, file: Mutex::new(file), acquired: Mutex::new(Vec::new()) };
        journal.note(Acquired::Directory { path: dir.to_path_buf() })?;
        Ok(journal)
    }

    /// Writes down what is about to be created, durably.
    pub fn note(&self, acquired: Acquired) -> Outcome<()> {
        let line = serde_json::to_string(&acquired).map_err(|e| Error::Other(e.to_string()))? + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).doing(|| "write the clean-up journal".into())?;
        self.acquired.lock().unwrap_or_else(PoisonError::into_inner).push(acquired);
        Ok(())
    }

    /// Undoes everything, last first, and removes the journal if nothing is left.
    pub async fn undo_all(&self) -> Vec<String> {
        let all = std::mem::take(&mut *self.acquired.lock().unwrap_or_else(PoisonError::into_inner));
        let left = undo(&all).await;
        if left.is_empty() {
            let _ = std::fs::remove_file(&self.path);
        }
        left
    }
}

async fn undo(all: &[Acquired]) -> Vec<String> {
    let mut left = Vec::new();
    for acquired in all.iter().rev() {
        if let Err(e) = undo_one(acquired).await {
            left.push(format!("{acquired:?}: {e}"));
        }
    }
    left
}

async fn undo_one(acquired: &Acquired) -> Outcome<()> {
    match acquired {
        Acquired::Directory { path } => remove_directory(path).await,
        Acquired::Container { name } => super::docker::remove_container(name).await,
        Acquired::Volume { name } => super::docker::remove_volume(name).await,
        Acquired::Network { name } => super::docker::remove_network(name).await,
    }
}

/// How long something may go on writing into a directory that is removed.
const STILL_WRITING: Duration = Duration::from_secs(15);

/// Removes a directory with all that is below, the processes that work there ended. A file that appears meanwhile (a program that
/// the kernel is still ending, a server in a container) makes it try again.
async fn remove_directory(path: &Path) -> Outcome<()> {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotFound, ResourceBusy};
    let deadline = tokio::time::Instant::now() + STILL_WRITING;
    loop {
        kill_below(path).await?;
        match std::fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            // Also where something of it was removed by another meanwhile.
            Err(e) if e.kind() == NotFound && !path.exists() => return Ok(()),
            Err(e) if matches!(e.kind(), NotFound | DirectoryNotEmpty | ResourceBusy) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(e) => return Err(e).doing(|| format!("remove {}", path.display())),
        }
    }
}

/// Kills every process that works below a directory, and removes the shared memory of servers there.
async fn kill_below(path: &Path) -> Outcome<()> {
    let mut segments = shared_memory_below(path);
    // A server that is just starting has a segment and has not written it down yet.
    let pids: Vec<i32> = process::working_below(path).iter().map(|p| p.pid).collect();
    segments.extend(shared_memory_made_by(&pids));
    let left = process::kill_all(|| process::working_below(path), None, Duration::from_secs(20)).await;
    if !left.is_empty() {
        return Err(Error::Other(format!("{} processes below {} cannot be ended", left.len(), path.display())));
    }
    for id in segments {
        remove_shared_memory(id).await;
    }
    Ok(())
}

/// Ids of the System V segments of the servers whose data lies at most three levels below.
fn shared_memory_below(path: &Path) -> Vec<i64> {
    let mut found = Vec::new();
    let mut level = vec![path.to_path_buf()];
    for _ in 0..3 {
        let mut next = Vec::new();
        for dir in level {
            found.extend(shared_memory_of(&dir));
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            next.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        }
        level = next;
    }
    found
}

/// Ids of the System V segments that processes have created, from `/proc/sysvipc/shm`: key, id, mode, size, creator, …
pub fn shared_memory_made_by(pids: &[i32]) -> Vec<i64> {
    let text = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (id, creator) = (fields.get(1)?.parse().ok()?, fields.get(4)?.parse::<i32>().ok()?);
        pids.contains(&creator).then_some(id)
    };
    text.lines().skip(1).filter_map(of).collect()
}

/// Id of the System V segment of a server, from line 7 of its `postmaster.pid`: `key id`.
pub fn shared_memory_of(data: &Path) -> Option<i64> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    text.lines().nth(6)?.split_whitespace().nth(1)?.parse().ok()
}

/// Removes a System V segment; one that is gone already is no error.
pub async fn remove_shared_memory(id: i64) {
    let spec = process::Spec::new("ipcrm", ["-m".to_string(), id.to_string()]);
    let _ = process::output(&spec, None, Duration::from_secs(5)).await;
}

/// What `gc` found of one dead run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Run id.
    pub run: String,
    /// What was acquired and is now gone.
    pub removed: Vec<String>,
    /// What could not be removed.
    pub left: Vec<String>,
}

/// Removes what dead runs left behind. Runs that are alive hold the lock of their journal and are not touched.
pub async fn sweep(base: &Path, dry: bool) -> Outcome<Vec<Swept>> {
    let mut swept = Vec::new();
    let entries = std::fs::read_dir(base).doing(|| format!("read {}", base.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "journal")).collect();
    paths.sort();
    for path in paths {
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_err() {
            continue;
        }
        // A line that a crash tore was written before the thing was created: nothing is behind it.
        let acquired: Vec<Acquired> = BufReader::new(&file).lines().map_while(Result::ok).filter_map(|l| serde_json::from_str(&l).ok()).collect();
        let left = if dry { Vec::new() } else { undo(&acquired).await };
        if left.is_empty() && !dry {
            std::fs::remove_file(&path).doing(|| format!("remove {}", path.display()))?;
        }
        let describe = |a: &Acquired| match a {
            Acquired::Directory { path } => format!("directory {}", path.display()),
            Acquired::Container { name } => format!("container {name}"),
            Acquired::Volume { name } => format!("volume {name}"),
            Acquired::Network { name } => format!("network {name}"),
        };
        swept.push(Swept {
            run: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            removed: acquired.iter().map(describe).collect(),
            left,
        });
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_directory_that_is_still_written_to_is_removed_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let inner = path.join("node/data");
        std::fs::create_dir_all(&inner).unwrap();
        let (sender, began) = std::sync::mpsc::channel();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let writer = std::thread::spawn(move || {
            // As an unpacking that nobody waits for: new directories and files.
            let mut made = 0;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                let sub = inner.join(format!("d{made}"));
                made += usize::from(std::fs::create_dir_all(&sub).and_then(|()| std::fs::write(sub.join("f"), b"x")).is_ok());
                if made == 50 {
                    let _ = sender.send(());
                }
            }
        });
        began.recv().unwrap();
        let end = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        // What comes back after the removal is not ours to prevent; that it does not fail meanwhile is.
        remove_directory(&path).await.unwrap();
        end.await.unwrap();
        writer.join().unwrap();
        remove_directory(&path).await.unwrap();
        assert!(!path.exists());
        remove_directory(&path).await.unwrap();
    }
}
