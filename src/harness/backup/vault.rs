//! Where one cluster's backups lie: a bucket, a prefix that names the cluster, and the sealing of what is stored.

use super::super::blocking::Blocking;
use super::super::error::{Doing, Error, Outcome};
use super::super::recorder::Recorder;
use super::super::sabotage::Saboteur;
use super::super::store::{Bucket, Listed, StoreProblem};
use super::pipeline::{self, ChannelReader, Key, Parts, Sealer, Sealing, StoreTrouble};
use crate::model::event::{Actor, Event, FailureClass};
use crate::model::seed::sha256;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Key in the bucket.
    pub key: String,
    /// Bytes as stored.
    pub bytes: u64,
    /// SHA-256 of the bytes as stored.
    pub sha256: String,
}

/// The vault of one cluster.
#[derive(Clone)]
pub struct Vault {
    /// The bucket.
    pub bucket: Bucket,
    /// The cluster's prefix: its system identifier.
    pub prefix: String,
    /// What is done to bytes before they are stored.
    pub sealing: Sealing,
    /// The key that is used to open; the same, unless someone took the wrong one.
    pub opening: Option<Key>,
    /// The run's recorder.
    pub recorder: Arc<Recorder>,
    /// Deliberate defects.
    pub saboteur: Saboteur,
    blocking: Blocking,
    seen: Arc<Mutex<Hashes>>,
}

/// SHA-256 of objects by key: as stored, and as read to the end when they were opened last.
#[derive(Default)]
struct Hashes {
    stored: BTreeMap<String, String>,
    opened: BTreeMap<String, String>,
}

impl Vault {
    /// The vault of a cluster: its objects are opened with the key that they are sealed with.
    pub fn new(bucket: Bucket, prefix: &str, sealing: Sealing, recorder: Arc<Recorder>, saboteur: Saboteur, blocking: Blocking) -> Vault {
        Vault { bucket, prefix: prefix.into(), opening: sealing.key.clone(), sealing, recorder, saboteur, blocking, seen: Arc::default() }
    }

    fn hashes(&self) -> std::sync::MutexGuard<'_, Hashes> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, stored: &StoredObject) {
        self.hashes().stored.insert(stored.key.clone(), stored.sha256.clone());
        self.recorder.emit(Event::ObjectStored { key: stored.key.clone(), bytes: stored.bytes, sha256: stored.sha256.clone() });
    }

    /// The suffix that says how an object is sealed.
    pub fn suffix(&self) -> &'static str {
        match (self.sealing.compress, self.sealing.key.is_some()) {
            (true, true) => ".zst.age",
            (true, false) => ".zst",
            (false, true) => ".age",
            (false, false) => "",
        }
    }

    /// The key of a file of the archive.
    pub fn wal_key(&self, file: &str) -> String {
        format!("{}/wal/{file}{}", self.prefix, self.suffix())
    }

    /// The key of an object of a base backup.
    pub fn base_key(&self, backup: &str, object: &str) -> String {
        format!("{}/base/{backup}/{object}{}", self.prefix, self.suffix())
    }

    /// How bytes are sealed when they are stored: as promised, unless a sabotage acts.
    fn effective_sealing(&self) -> Sealing {
        if self.saboteur.stores_plaintext(&self.recorder) { Sealing { key: None, ..self.sealing.clone() } } else { self.sealing.clone() }
    }

    /// Seals and stores a small object. With `only_new`, an object that is there already is an error.
    pub async fn put(&self, key: &str, plain: Vec<u8>, only_new: bool) -> Outcome<StoredObject> {
        self.put_from(key, move || Ok(std::io::Cursor::new(plain)), only_new).await.map(|(stored, _)| stored)
    }

    /// Seals and stores what a reader gives, as one object in one request: only the sealed bytes are held. Gives back the SHA-256
    /// of the plain bytes, too.
    pub async fn put_from<R: Read>(
        &self,
        key: &str,
        open: impl FnOnce() -> std::io::Result<R> + Send + 'static,
        only_new: bool,
    ) -> Outcome<(StoredObject, String)> {
        let sealing = self.effective_sealing();
        let sealed = self.blocking.run(move || -> std::io::Result<(Vec<u8>, String)> {
            let mut sealer = Sealer::new(&sealing, Vec::new())?;
            let mut plain = Hashing { inner: open()?, hash: Default::default(), bytes: 0 };
            std::io::copy(&mut plain, &mut sealer)?;
            Ok((sealer.finish()?, plain.finish().0))
        });
        let (sealed, plain_sha) = sealed.await.map_err(|e| Error::Other(e.to_string()))?.map_err(|e| Error::Other(format!("seal {key}: {e}")))?;
        let stored = StoredObject { key: key.into(), bytes: sealed.len() as u64, sha256: sha256(&sealed) };
        self.bucket.put(key, sealed.into(), only_new).await?;
        self.announce(&stored);
        Ok((stored, plain_sha))
    }

    /// Seals and stores a stream. `fill` runs in a blocking thread and writes the plain bytes.
    pub async fn put_stream<T: Send + 'static>(
        &self,
        key: &str,
        fill: impl FnOnce(&mut dyn Write) -> std::io::Result<T> + Send + 'static,
    ) -> Outcome<(StoredObject, T)> {
        let (sender, mut parts) = mpsc::channel::<Bytes>(1);
        let sealing = self.effective_sealing();
        let sealing = self.blocking.run(move || -> std::io::Result<((String, u64), T)> {
            let mut sealer = Sealer::new(&sealing, Parts::new(sender))?;
            let result = fill(&mut sealer)?;
            Ok((sealer.finish()?.finish()?, result))
        });
        let upload = async {
            // What fits into one part is stored in one request.
            let Some(first) = parts.recv().await else { return self.bucket.put(key, Bytes::new(), false).await.map(|_| ()) };
            let Some(second) = parts.recv().await else { return self.bucket.put(key, first, false).await.map(|_| ()) };
            let mut upload = self.bucket.begin(key).await?;
            let mut waiting = std::collections::VecDeque::from([first, second]);
            loop {
                let Some(part) = (match waiting.pop_front() {
                    Some(part) => Some(part),
                    None => parts.recv().await,
                }) else {
                    break;
                };
                if let Err(e) = upload.part(part).await {
                    upload.abort().await;
                    return Err(e);
                }
            }
            upload.complete().await
        };
        let uploaded = upload.await;
        drop(parts);
        let sealed = sealing.await.map_err(|e| Error::Other(e.to_string()))?;
        // A broken upload is the cause, and a broken pipe in the sealer its consequence.
        uploaded?;
        let ((sha256, bytes), result) = sealed.map_err(|e| Error::Other(format!("seal {key}: {e}")))?;
        let stored = StoredObject { key: key.into(), bytes, sha256 };
        self.announce(&stored);
        Ok((stored, result))
    }

    /// Reads and opens an object in a blocking thread; `drain` gets the plain bytes, and what is stored is hashed
    /// on the way.
    pub async fn read_stream<T: Send + 'static>(
        &self,
        key: &str,
        drain: impl FnOnce(&mut dyn Read) -> Outcome<T> + Send + 'static,
    ) -> Outcome<(StoredObject, T)> {
        let (body, bytes) = self.bucket.get(key).await.map_err(|e| unreadable(&e))?;
        let (sender, receiver) = mpsc::channel(4);
        let place = key.to_string();
        let fetch = async move {
            let mut body = body;
            loop {
                let piece = match body.try_next().await {
                    Ok(Some(piece)) => Ok(piece),
                    Ok(None) => return,
                    Err(e) => Err(std::io::Error::other(StoreTrouble(format!("read {place}: {e}")))),
                };
                let failed = piece.is_err();
                if sender.send(piece).await.is_err() || failed {
                    return;
                }
            }
        };
        let key_used = self.opening.clone();
        let open = self.blocking.run(move || -> Outcome<(String, u64, T)> {
            let mut hashing = Hashing { inner: ChannelReader::new(receiver), hash: Default::default(), bytes: 0 };
            let result = {
                let mut plain = pipeline::open(&mut hashing, key_used.as_ref())?;
                drain(&mut plain)?
            };
            std::io::copy(&mut hashing, &mut std::io::sink()).map_err(pipeline::corrupt)?;
            let (sha256, bytes) = hashing.finish();
            Ok((sha256, bytes, result))
        });
        let (_, opened) = tokio::join!(fetch, open);
        let (sha256, read, result) = opened.map_err(|e| Error::Other(e.to_string()))??;
        if read != bytes {
            return Err(Error::failed(FailureClass::ObjectCorrupt, format!("{key} has {read} bytes, the store says {bytes}")));
        }
        self.hashes().opened.insert(key.into(), sha256.clone());
        Ok((StoredObject { key: key.into(), bytes, sha256 }, result))
    }

    /// Reads and opens a small object.
    pub async fn read(&self, key: &str) -> Outcome<(StoredObject, Vec<u8>)> {
        self.read_stream(key, |plain| {
            let mut out = Vec::new();
            plain.read_to_end(&mut out).map_err(pipeline::corrupt)?;
            Ok(out)
        })
        .await
    }

    /// Reads and opens an object without keeping it; gives back the SHA-256 of its plain bytes.
    pub async fn check(&self, key: &str) -> Outcome<String> {
        let hashed = self.read_stream(key, |plain| {
            let mut hashing = Hashing { inner: plain, hash: Default::default(), bytes: 0 };
            std::io::copy(&mut hashing, &mut std::io::sink()).map_err(pipeline::corrupt)?;
            Ok(hashing.finish().0)
        });
        hashed.await.map(|(_, sha)| sha)
    }

    /// Whether an object opens with the key, to its end, and is what was stored. One that a restore has read is not read again.
    pub async fn opens(&self, key: &str) -> Outcome<bool> {
        let known = self.hashes().opened.get(key).cloned();
        if known.is_none() {
            let _work = self.recorder.work(Actor::Pipeline, format!("open {key}"));
            match self.check(key).await {
                Ok(_) => {}
                // Nothing is known of an object that could not be asked for.
                Err(Error::Failed { class: FailureClass::StoreUnavailable, detail }) => {
                    return Err(Error::failed(FailureClass::StoreUnavailable, detail));
                }
                Err(Error::Failed { .. }) => return Ok(false),
                Err(other) => return Err(other),
            }
        }
        let hashes = self.hashes();
        Ok(match (hashes.stored.get(key), hashes.opened.get(key)) {
            (Some(stored), Some(opened)) => stored == opened,
            (None, opened) => opened.is_some(),
            (Some(_), None) => false,
        })
    }

    /// Reads and opens an object into a file.
    pub async fn fetch(&self, key: &str, file: std::path::PathBuf) -> Outcome<StoredObject> {
        let fetched = self.read_stream(key, move |plain| {
            let name = file.display().to_string();
            let mut out = std::fs::File::create(&file).doing(|| format!("create {name}"))?;
            copy_telling(plain, &mut out)
                .map_err(|(ours, e)| if ours { Error::Io { what: format!("write {name}"), source: e } } else { pipeline::corrupt(e) })
        });
        fetched.await.map(|(stored, ())| stored)
    }

    /// Everything of a kind (`wal`, `base`), as listed.
    pub async fn list(&self, kind: &str) -> Outcome<Vec<Listed>> {
        let _work = self.recorder.work(Actor::Store, format!("list {kind}"));
        self.bucket.list(&format!("{}/{kind}/", self.prefix)).await.map_err(|e| unreadable(&e))
    }

    /// The file name of an archived object's key.
    pub fn file_of<'k>(&self, key: &'k str) -> &'k str {
        let name = key.rsplit('/').next().unwrap_or(key);
        name.strip_suffix(self.suffix()).unwrap_or(name)
    }
}

/// An answer of the store during a recovery is a result of the drill.
fn unreadable(e: &super::super::store::StoreError) -> Error {
    let class = match e.problem {
        StoreProblem::NotFound => FailureClass::NoBackup,
        _ => FailureClass::StoreUnavailable,
    };
    Error::failed(class, e.to_string())
}

/// Copies, and tells on an error whether it was the writing side's.
fn copy_telling(from: &mut dyn Read, to: &mut dyn Write) -> Result<(), (bool, std::io::Error)> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        let n = from.read(&mut buffer).map_err(|e| (false, e))?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..n]).map_err(|e| (true, e))?;
    }
}

struct Hashing<R> {
    inner: R,
    hash: sha2::Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        use sha2::Digest;
        let n = self.inner.read(out)?;
        self.hash.update(&out[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

impl<R> Hashing<R> {
    fn finish(self) -> (String, u64) {
        use sha2::Digest;
        (crate::model::seed::hex(&self.hash.finalize()), self.bytes)
    }
}
