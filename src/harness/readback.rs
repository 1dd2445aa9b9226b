//! Reading everything back after a recovery, into a file of the evidence: what is there, and that it was looked for. Nothing is compared here: that is the
//! verdict's, and pure.

use super::error::{Doing, Error, Outcome};
use super::recorder::Recorder;
use super::store::Bucket;
use super::workload::linked::TABLES;
use crate::model::event::Actor;
use crate::model::ledger::short_sha;
use crate::model::readback::{BASE_CHUNK, JOURNAL, PRESENCE, ReadLine, Row};
use crate::model::seed::hex;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres::Client;

/// Writes the lines of one read-back.
pub struct ReadbackFile {
    out: BufWriter<File>,
}

impl ReadbackFile {
    /// Creates the file.
    pub fn create(path: &Path) -> Outcome<ReadbackFile> {
        Ok(ReadbackFile { out: BufWriter::new(File::create(path).doing(|| format!("create {}", path.display()))?) })
    }

    /// Appends a line.
    pub fn line(&mut self, line: &ReadLine) -> Outcome<()> {
        let json = serde_json::to_string(line).map_err(|e| Error::Other(e.to_string()))?;
        writeln!(self.out, "{json}").doing(|| "write the read-back".into())
    }

    /// Makes it durable.
    pub fn finish(self) -> Outcome<()> {
        let file = self.out.into_inner().map_err(|e| Error::Other(e.to_string()))?;
        file.sync_data().doing(|| "sync the read-back".into())
    }
}

/// Reads every ledgered row, the base data and every object. `client` is connected where the clients connect.
pub async fn read_all(
    role: &str,
    instance: &str,
    client: &mut Client,
    objects: Option<&Bucket>,
    path: &Path,
    recorder: &Arc<Recorder>,
) -> Outcome<()> {
    let mut file = ReadbackFile::create(path)?;
    let from = recorder.now();
    file.line(&ReadLine::Head { role: role.into(), instance: instance.into(), from })?;
    let work = recorder.work(Actor::Server, format!("read everything back ({role})"));
    rows(client, &mut file).await?;
    drop(work);
    if let Some(bucket) = objects {
        let _work = recorder.work(Actor::Store, "read every object back");
        read_objects(bucket, &mut file).await?;
    }
    file.line(&ReadLine::End { to: recorder.now() })?;
    file.finish()
}

/// All rows as of one snapshot, so that the tables agree while clients write.
async fn rows(client: &mut Client, file: &mut ReadbackFile) -> Outcome<()> {
    let what = || "read everything back".to_string();
    let tx = client.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).read_only(true).start().await.doing(what)?;
    // The first query takes the snapshot.
    let sql = "SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public' AND relkind = 'r'";
    let there: Vec<String> = tx.query(sql, &[]).await.doing(what)?.iter().map(|r| r.get(0)).collect();
    let tables = [PRESENCE, JOURNAL, TABLES[0], TABLES[1], "fence", "base_data"];
    for table in tables {
        let exists = there.iter().any(|t| t == table);
        if table == "fence" && !exists {
            continue;
        }
        file.line(&ReadLine::Table { name: table.into(), exists })?;
        if !exists {
            continue;
        }
        let read = match table {
            PRESENCE => copy(&tx, "SELECT c, n FROM presence", file, |f| row(PRESENCE, f)).await,
            JOURNAL => copy(&tx, "SELECT c, n, chain FROM journal", file, |f| row(JOURNAL, f)).await,
            "fence" => copy(&tx, "SELECT name FROM fence", file, |f| f.first().map(|n| ReadLine::Marker { name: n.to_string() })).await,
            "base_data" => base(&tx, file).await,
            ledgered => copy(&tx, &format!("SELECT c, n, payload, object FROM {ledgered}"), file, |f| row(ledgered, f)).await,
        };
        // A relation that cannot be read is a finding; the savepoint lets the others be read.
        if let Err(e) = read {
            file.line(&ReadLine::Unreadable { what: table.into(), why: e.to_string() })?;
            let _ = tx.batch_execute("ROLLBACK TO SAVEPOINT one_table").await;
        }
    }
    Ok(())
}

fn row(table: &str, fields: &[&str]) -> Option<ReadLine> {
    let (client, seq) = (fields.first()?.parse().ok()?, fields.get(1)?.parse().ok()?);
    let mut row = Row { table: table.into(), client, seq, payload: None, object: None, chain: None };
    match table {
        PRESENCE => {}
        JOURNAL => row.chain = Some(fields.get(2)?.to_string()),
        _ => {
            row.payload = Some(short_sha(fields.get(2)?.as_bytes()));
            row.object = Some(fields.get(3)?.to_string()).filter(|o| o != "\\N");
        }
    }
    Some(ReadLine::Row(row))
}

/// Streams a query's rows through COPY and writes a line for each.
async fn copy(tx: &tokio_postgres::Transaction<'_>, sql: &str, file: &mut ReadbackFile, make: impl Fn(&[&str]) -> Option<ReadLine>) -> Outcome<()> {
    each_row(tx, sql, |text| {
        let fields: Vec<&str> = text.split('\t').collect();
        match make(&fields) {
            Some(line) => file.line(&line),
            None => Err(Error::Other(format!("a row that cannot be read: {text}"))),
        }
    })
    .await
}

async fn each_row(tx: &tokio_postgres::Transaction<'_>, sql: &str, mut take: impl FnMut(&str) -> Outcome<()>) -> Outcome<()> {
    let what = || "read rows back".to_string();
    tx.batch_execute("SAVEPOINT one_table").await.doing(what)?;
    let stream = tx.copy_out(&format!("COPY ({sql}) TO STDOUT")).await.doing(what)?;
    let mut stream = std::pin::pin!(stream);
    while let Some(piece) = stream.next().await {
        let piece = piece.doing(what)?;
        // The server sends one row in one message.
        let text = std::str::from_utf8(&piece).map_err(|_| Error::Other("a row that is not UTF-8".into()))?;
        for line in text.split_terminator('\n') {
            take(line)?;
        }
    }
    Ok(())
}

/// The base data in blocks of consecutive ids, each with the hash of its rows.
async fn base(tx: &tokio_postgres::Transaction<'_>, file: &mut ReadbackFile) -> Outcome<()> {
    let (mut chunk, mut rows, mut hash) = (0, 0, Sha256::new());
    let mut done = Vec::new();
    each_row(tx, "SELECT id, content FROM base_data ORDER BY id", |text| {
        hash.update(text.as_bytes());
        hash.update(b"\n");
        rows += 1;
        if rows == BASE_CHUNK {
            done.push(ReadLine::Base { chunk, rows, sha: hex(&std::mem::take(&mut hash).finalize()) });
            (chunk, rows) = (chunk + 1, 0);
        }
        Ok(())
    })
    .await?;
    if rows > 0 {
        done.push(ReadLine::Base { chunk, rows, sha: hex(&hash.finalize()) });
    }
    done.iter().try_for_each(|line| file.line(line))
}

/// Objects that are read at the same time.
const PARALLEL: usize = 4;

async fn read_objects(bucket: &Bucket, file: &mut ReadbackFile) -> Outcome<()> {
    let listed = bucket.list("").await?;
    // Written also where there is none: nothing there is another finding than nobody looked.
    file.line(&ReadLine::Objects { listed: listed.len() as u64 })?;
    let mut reads = futures_util::stream::iter(listed)
        .map(|l| async move {
            let sha = bucket.read(&l.key).await.map(|content| short_sha(&content));
            (l.key, sha)
        })
        .buffered(PARALLEL);
    while let Some((key, sha)) = reads.next().await {
        if let Err(e) = &sha {
            file.line(&ReadLine::Unreadable { what: key.clone(), why: e.to_string() })?;
        }
        file.line(&ReadLine::Object { key, version: None, sha: sha.ok() })?;
    }
    Ok(())
}
