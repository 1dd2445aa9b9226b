//! `basebackup-wal`: a base backup by `pg_basebackup` as one tar stream, and the continuous archive.

use super::super::error::{Doing, Error, Outcome};
use super::super::lab::tree::TreeSink;
use super::super::lab::{Call, Node};
use super::super::recorder::Recorder;
use super::super::system::postgres::Instance;
use super::manifest::{Found, Manifest};
use super::page::{self, PAGE};
use super::pipeline::{ChannelReader, corrupt};
use super::vault::{StoredObject, Vault};
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::{Actor, Event, FailureClass, Role};
use crate::model::params::{ParamSpec, ParamType};
use crate::model::seed::hex;
use crate::model::time::Wall;
use crate::model::wal::Lsn;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Registration.
pub const SPEC: KindSpec = KindSpec {
    class: Class::Method,
    name: "basebackup-wal",
    summary: "A base backup by pg_basebackup, and the continuous archive, both straight into the store",
    doc: "The base backup is one tar stream with its manifest (SHA-256 of every file), compressed and encrypted on \
          the way and stored in parts; nothing is kept on the instance. PostgreSQL hears that a segment is archived only after the \
          store has acknowledged it; the same name with other content is refused. A restore goes only through the \
          store and checks every file against the manifest.",
    on: &["postgres"],
    params: &[
        ParamSpec::new("compress", ParamType::Choice(&["zstd", "none"]), "zstd", "Compression of what is stored."),
        ParamSpec::new("encrypt", ParamType::Cipher, "{age: ephemeral}", "Encryption of what is stored, with a key by reference."),
    ],
    sabotages: &[
        "archive-skips-segment",
        "archive-skips-earlier-segment",
        "archive-skips-last-segment",
        "object-truncated",
        "object-byte-flipped",
        "base-page-flipped",
        "base-page-flipped-healed",
        "base-page-flipped-manifest-fits",
        "base-file-missing",
        "base-of-another-cluster",
        "base-of-a-sibling",
        "foreign-timeline",
        "stored-unencrypted",
        "wrong-key",
        "not-found-instead-of-503",
    ],
};

/// Name of the manifest in the tar stream.
pub const MANIFEST_NAME: &str = "backup_manifest";

/// What is stored beside a base backup, so that a victim finds it there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupNote {
    /// Version of this note.
    pub note: u32,
    /// Id of the backup.
    pub id: String,
    /// Cluster.
    pub system_identifier: String,
    /// Server version.
    pub version: String,
    /// Timeline.
    pub timeline: u32,
    /// Replay begins here.
    pub start: Lsn,
    /// Replay must at least reach this.
    pub stop: Lsn,
    /// Bytes of a segment.
    pub segment: u64,
    /// Whether pages carry checksums.
    pub checksums: bool,
    /// The object of the base backup.
    pub object: String,
    /// SHA-256 of that object as stored.
    pub object_sha256: String,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Tables as of `tables_at`.
    pub tables: Vec<TableNote>,
    /// Position from which the log tells every later change of `tables`.
    pub tables_at: Lsn,
    /// When it ended.
    pub ended: Wall,
}

/// Where a table was stored when it was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableNote {
    /// Schema and name.
    pub name: String,
    /// Object id: stays through rewrites.
    pub oid: u32,
    /// File node: changes with each rewrite.
    pub node: u32,
    /// Database.
    pub database: u32,
}

impl BackupNote {
    /// The log from this backup on, as far as an archive's files reach.
    pub fn log<'a>(&self, files: &'a BTreeMap<String, u64>) -> super::super::locate::LogRange<'a> {
        super::super::locate::LogRange { from: self.start, tli: self.timeline, segment: self.segment, files }
    }
}

/// An edit of a base backup's files on their way to the store: for sabotages. `false`: the file is left out.
pub type BaseEdit = Box<dyn FnMut(&Path, &mut Vec<u8>) -> bool + Send>;

#[derive(Debug)]
struct Streamed {
    manifest: Vec<u8>,
    raw_bytes: u64,
    /// Cluster, from the control file.
    system_identifier: Option<String>,
}

/// Where a cluster keeps who it is.
const CONTROL_FILE: &str = "global/pg_control";

/// The system identifier: the first eight bytes of a control file, in the order of the machine that wrote it (a restore needs one
/// of the same kind anyway).
fn identifier(control_file: &[u8]) -> Option<String> {
    control_file.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes).to_string())
}

/// Takes a base backup of `source` into the vault.
pub async fn take(source: &Instance, vault: &Vault, id: &str, segment: u64) -> Outcome<BackupNote> {
    let failed = |e: Error| match e {
        Error::Program { .. } => Error::failed(FailureClass::BackupFailed, e.to_string()),
        Error::Store(s) => Error::failed(FailureClass::BackupFailed, format!("the store did not take the backup: {s}")),
        other => other,
    };
    let work = vault.recorder.work(Actor::Program, "pg_basebackup");
    let (host, port) = source.node.listen();
    let host = if host == "*" { "127.0.0.1".to_string() } else { host };
    let args = [
        "--pgdata=-".to_string(),
        "--format=tar".into(),
        "--wal-method=fetch".into(),
        "--checkpoint=fast".into(),
        "--manifest-checksums=SHA256".into(),
        "--no-password".into(),
        format!("--label={id}"),
        format!("--host={host}"),
        format!("--port={port}"),
        format!("--username={}", source.login.user),
    ];
    let call = Call::new("pg_basebackup", args).env("PGPASSWORD", &source.login.password);
    let stream = source.node.stream(&call).await?;
    let edit = vault.saboteur.base_edit(&vault.recorder);
    let key = vault.base_key(id, "base.tar");
    let reader = ChannelReader::new(stream.stdout);
    let recorder = vault.recorder.clone();
    let stored = vault.put_stream(&key, move |out| copy_base(reader, out, edit, &recorder)).await;
    let ended = stream.done.await.map_err(|e| Error::Other(e.to_string()))?;
    // The program's own words come first: a cut stream is their consequence.
    ended.map_err(failed)?;
    let (object, streamed) = stored.map_err(failed)?;
    drop(work);
    let manifest = Manifest::read(&streamed.manifest).map_err(|e| Error::failed(FailureClass::BackupFailed, e.to_string()))?;
    let range = manifest.wal.first().ok_or_else(|| Error::failed(FailureClass::BackupFailed, "the manifest names no log"))?;
    let no_control = || Error::failed(FailureClass::BackupFailed, "the base backup has no control file");
    let system_identifier = streamed.system_identifier.ok_or_else(no_control)?;
    let (tables, tables_at, checksums) = tables(source).await?;
    let note = BackupNote {
        note: 1,
        id: id.into(),
        system_identifier,
        version: source.node.version().into(),
        timeline: range.timeline,
        start: range.start,
        stop: range.end,
        segment,
        checksums,
        object: object.key.clone(),
        object_sha256: object.sha256.clone(),
        raw_bytes: streamed.raw_bytes,
        tables,
        tables_at,
        ended: Wall::now(),
    };
    let body = serde_json::to_vec_pretty(&note).map_err(|e| Error::Other(e.to_string()))?;
    vault.put(&vault.base_key(id, "backup.json"), body, false).await.map_err(failed)?;
    Ok(note)
}

/// Records a base backup as an event.
pub fn announce(note: &BackupNote, stored: u64, recorder: &Recorder) {
    recorder.emit(Event::BaseBackup {
        id: note.id.clone(),
        system_identifier: note.system_identifier.clone(),
        timeline: note.timeline,
        start: note.start,
        stop: note.stop,
        raw_bytes: note.raw_bytes,
        stored_bytes: stored,
    });
}

/// Tables with their storage, and a position before which nothing of it is missed.
async fn tables(source: &Instance) -> Outcome<(Vec<TableNote>, Lsn, bool)> {
    let client = source.connect().await.doing(|| "connect to the server".into())?;
    let at: String = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.doing(|| "ask the log's position".into())?.get(0);
    let sql = "SELECT n.nspname || '.' || c.relname, c.oid::bigint, pg_relation_filenode(c.oid)::bigint, d.oid::bigint \
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_database d ON d.datname = current_database() \
               WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1";
    let rows = client.query(sql, &[]).await.doing(|| "list the tables".into())?;
    let number = |row: &tokio_postgres::Row, i: usize| row.get::<_, Option<i64>>(i).unwrap_or(0) as u32;
    let tables = rows.iter().map(|r| TableNote { name: r.get(0), oid: number(r, 1), node: number(r, 2), database: number(r, 3) }).collect();
    let checksums: String = client.query_one("SHOW data_checksums", &[]).await.doing(|| "ask for checksums".into())?.get(0);
    Ok((tables, at.parse().unwrap_or_default(), checksums == "on"))
}

/// Copies the tar stream, keeping the manifest on the way; with an edit, every file goes through it.
fn copy_base(source: ChannelReader, out: &mut dyn Write, edit: Option<BaseEdit>, recorder: &Recorder) -> io::Result<Streamed> {
    match edit {
        None => {
            let mut archive = tar::Archive::new(Tee { source, out, bytes: 0, told: 0, recorder });
            let (mut manifest, mut control_file) = (Vec::new(), Vec::new());
            for entry in archive.entries()? {
                let mut entry = entry?;
                let path = entry.path()?.into_owned();
                if path == Path::new(MANIFEST_NAME) {
                    entry.read_to_end(&mut manifest)?;
                } else if path == Path::new(CONTROL_FILE) {
                    entry.by_ref().take(8).read_to_end(&mut control_file)?;
                }
            }
            let mut tee = archive.into_inner();
            io::copy(&mut tee, &mut io::sink())?;
            Ok(Streamed { manifest, raw_bytes: tee.bytes, system_identifier: identifier(&control_file) })
        }
        Some(mut edit) => {
            let mut archive = tar::Archive::new(source);
            let mut builder = tar::Builder::new(out);
            let (mut manifest, mut raw_bytes, mut system_identifier) = (Vec::new(), 0, None);
            for entry in archive.entries()? {
                let mut entry = entry?;
                let mut header = entry.header().clone();
                let path = entry.path()?.into_owned();
                if !header.entry_type().is_file() {
                    builder.append(&header, io::empty())?;
                    continue;
                }
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                if !edit(&path, &mut content) {
                    continue;
                }
                header.set_size(content.len() as u64);
                header.set_cksum();
                raw_bytes += content.len() as u64;
                builder.append(&header, content.as_slice())?;
                if path == Path::new(CONTROL_FILE) {
                    system_identifier = identifier(&content);
                }
                if path == Path::new(MANIFEST_NAME) {
                    manifest = content;
                }
            }
            builder.finish()?;
            Ok(Streamed { manifest, raw_bytes, system_identifier })
        }
    }
}

/// Passes on what is read.
struct Tee<'a, R, W: ?Sized> {
    source: R,
    out: &'a mut W,
    bytes: u64,
    told: u64,
    recorder: &'a Recorder,
}

impl<R: Read, W: Write + ?Sized> Read for Tee<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.out.write_all(&buffer[..n])?;
        self.bytes += n as u64;
        if self.bytes - self.told > (8 << 20) {
            self.told = self.bytes;
            self.recorder.emit(Event::Progress { what: "base backup".into(), bytes: self.bytes, of: None });
        }
        Ok(n)
    }
}

/// The newest base backup of a vault, by its note.
pub async fn newest(vault: &Vault) -> Outcome<BackupNote> {
    let listed = vault.list("base").await?;
    let key = listed.iter().rev().map(|l| l.key.as_str()).find(|k| vault.file_of(k) == "backup.json");
    let key = key.ok_or_else(|| Error::failed(FailureClass::NoBackup, "the store has no base backup of this cluster"))?;
    let (_, body) = vault.read(key).await?;
    serde_json::from_slice(&body).map_err(|e| Error::failed(FailureClass::ObjectCorrupt, format!("{key} is not a backup's note: {e}")))
}

/// What a restore found.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// What differs from the manifest, by path.
    pub differences: Vec<(String, String)>,
    /// Cluster, from the control file.
    pub system_identifier: String,
    /// The object that was read.
    pub object: Option<StoredObject>,
}

/// Files of a source's own configuration: never used, written anew.
const CONFIGURATION: [&str; 4] = ["postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"];

/// Unpacks a base backup into a node's data directory, checking every file against the manifest.
pub async fn restore(vault: &Vault, note: &BackupNote, node: &Node, role: Role) -> Outcome<Restored> {
    let work = vault.recorder.work(Actor::Pipeline, format!("restore the base backup ({})", role.word()));
    let sink = node.sink().await?;
    let recorder = vault.recorder.clone();
    let of = note.raw_bytes;
    let (object, (restored, upload)) = vault.read_stream(&note.object, move |plain| unpack(plain, sink, &recorder, of)).await?;
    if let Some(upload) = upload {
        upload.await.map_err(|e| Error::Other(e.to_string()))??;
    }
    drop(work);
    vault.recorder.emit(Event::ObjectInspected { key: object.key.clone(), cipher: String::new(), opened: Some(true) });
    for (file, problem) in &restored.differences {
        vault.recorder.emit(Event::ManifestMismatch { role, file: file.clone(), problem: problem.clone() });
    }
    if object.sha256 != note.object_sha256 {
        return Err(Error::failed(FailureClass::ObjectCorrupt, format!("{} is not what was stored: its SHA-256 is {}", object.key, object.sha256)));
    }
    Ok(Restored { object: Some(object), ..restored })
}

type Upload = Option<tokio::task::JoinHandle<Outcome<()>>>;

fn unpack(plain: &mut dyn Read, mut sink: TreeSink, recorder: &Arc<Recorder>, of: u64) -> Outcome<(Restored, Upload)> {
    let writing = || "unpack the base backup".to_string();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let (mut manifest, mut restored, mut done, mut told) = (Vec::new(), Restored::default(), 0u64, 0u64);
    let mut archive = tar::Archive::new(plain);
    for entry in archive.entries().map_err(corrupt)? {
        let mut entry = entry.map_err(corrupt)?;
        let path = entry.path().map_err(corrupt)?.into_owned();
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                sink.directory(&path).doing(writing)?;
                continue;
            }
            tar::EntryType::Regular => {}
            other => {
                return Err(Error::failed(
                    FailureClass::BackupIncomplete,
                    format!("{} is a {other:?}; tablespaces are not restored by this method", path.display()),
                ));
            }
        }
        let name = path.to_string_lossy().trim_start_matches("./").to_string();
        let size = entry.size();
        let mut noting =
            Noting { inner: &mut entry, hash: Sha256::new(), size: 0, head: Vec::new(), keep: usize::from(name == CONTROL_FILE) * 8, error: None };
        if name == MANIFEST_NAME {
            noting.read_to_end(&mut manifest).map_err(corrupt)?;
            let mut copy = manifest.as_slice();
            sink.file(&path, manifest.len() as u64, &mut copy).doing(writing)?;
            continue;
        }
        let put = if CONFIGURATION.contains(&name.as_str()) {
            io::copy(&mut noting, &mut io::sink()).map(|_| ())
        } else {
            sink.file(&path, size, &mut noting)
        };
        if let Err(e) = put {
            // Damage of the stored object and trouble with our own disk look alike from here, but for who said it.
            return Err(if noting.error.is_some() { corrupt(e) } else { Error::Io { what: writing(), source: e } });
        }
        if noting.keep > 0
            && let Some(found) = identifier(&noting.head)
        {
            restored.system_identifier = found;
        }
        done += noting.size;
        found.insert(name, Found { size: noting.size, sha256: hex(&noting.hash.finalize()) });
        if done - told > (8 << 20) {
            told = done;
            recorder.emit(Event::Progress { what: "restore".into(), bytes: done, of: Some(of) });
        }
    }
    if manifest.is_empty() {
        return Err(Error::failed(FailureClass::BackupIncomplete, "the base backup has no manifest"));
    }
    let manifest = Manifest::read(&manifest).map_err(|e| Error::failed(FailureClass::BackupIncomplete, e.to_string()))?;
    restored.differences = manifest.differences(&found);
    let upload = sink.finish().doing(writing)?;
    Ok((restored, upload))
}

/// Hashes and counts what is read, and remembers who failed.
struct Noting<'a, R> {
    inner: &'a mut R,
    hash: Sha256,
    size: u64,
    head: Vec<u8>,
    keep: usize,
    error: Option<io::ErrorKind>,
}

impl<R: Read> Read for Noting<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out).inspect_err(|e| self.error = Some(e.kind()))?;
        self.hash.update(&out[..n]);
        self.size += n as u64;
        if self.head.len() < self.keep {
            self.head.extend_from_slice(&out[..n.min(self.keep - self.head.len())]);
        }
        Ok(n)
    }
}

/// Reads the base backup once more and finds the damaged pages of some of its files: `(path, blocks)`. A file
/// without a damaged page, by checksum, has an empty list.
pub async fn damaged_pages(vault: &Vault, note: &BackupNote, files: BTreeSet<String>) -> Outcome<Vec<(String, Vec<u64>)>> {
    let (_, pages) = vault
        .read_stream(&note.object, move |plain| {
            let mut out = Vec::new();
            let mut archive = tar::Archive::new(plain);
            for entry in archive.entries().map_err(corrupt)? {
                let mut entry = entry.map_err(corrupt)?;
                let name = entry.path().map_err(corrupt)?.to_string_lossy().into_owned();
                if !files.contains(&name) {
                    continue;
                }
                let first = page::first_block(name.rsplit('/').next().unwrap_or(&name));
                let (mut blocks, mut block, mut buffer) = (Vec::new(), first, [0u8; PAGE]);
                while entry.read_exact(&mut buffer).is_ok() {
                    if !page::is_sound(&buffer, block) {
                        blocks.push(u64::from(block));
                    }
                    block += 1;
                }
                out.push((name, blocks));
            }
            Ok(out)
        })
        .await?;
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream of a base backup of a cluster, as `pg_basebackup` gives it.
    fn stream_of(cluster: u64) -> ChannelReader {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            tar.append_data(&mut header, path, content).unwrap();
        };
        let mut control_file = cluster.to_ne_bytes().to_vec();
        control_file.resize(8192, 7);
        add("PG_VERSION", b"15");
        add(CONTROL_FILE, &control_file);
        add(MANIFEST_NAME, b"{}");
        let (sender, receiver) = tokio::sync::mpsc::channel(1000);
        for piece in tar.into_inner().unwrap().chunks(100) {
            sender.try_send(Ok(bytes::Bytes::copy_from_slice(piece))).unwrap();
        }
        ChannelReader::new(receiver)
    }

    #[test]
    fn a_base_backup_itself_says_of_which_cluster_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::start(&dir.path().join("events.jsonl"), None).unwrap();
        for cluster in [7_400_000_000_000_000_001, u64::MAX] {
            let streamed = copy_base(stream_of(cluster), &mut io::sink(), None, &recorder).unwrap();
            assert_eq!(streamed.system_identifier, Some(cluster.to_string()));
            assert_eq!(streamed.manifest, b"{}");
            // The same where every file goes through an edit.
            let all: BaseEdit = Box::new(|_, _| true);
            assert_eq!(copy_base(stream_of(cluster), &mut io::sink(), Some(all), &recorder).unwrap().system_identifier, Some(cluster.to_string()));
            let without: BaseEdit = Box::new(|path, _| path != Path::new(CONTROL_FILE));
            assert_eq!(copy_base(stream_of(cluster), &mut io::sink(), Some(without), &recorder).unwrap().system_identifier, None);
        }
    }
}
