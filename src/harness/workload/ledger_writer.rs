//! Writes the ledger: intents reserved in fsynced blocks, outcomes written before the client's next send.

use super::super::error::{Doing, Outcome};
use crate::model::ledger::{Control, Line, LineChain, Op};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Operations reserved at a time for a client: one fsync for as many requests.
pub const BLOCK: u64 = 1000;

/// The ledger of one run, open for appending.
pub struct LedgerWriter {
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    chain: LineChain,
    buffer: String,
    /// Bytes of whole lines.
    whole: u64,
    /// A line could not be written: none is written after it, so that the ledger ends with its last whole line. A torn one
    /// would look as if somebody had changed the ledger.
    lost: Option<(std::io::ErrorKind, String)>,
}

impl LedgerWriter {
    /// Creates the file and its first line.
    pub fn create(path: &Path, run: &str, seed: u64) -> Outcome<LedgerWriter> {
        let file = File::create_new(path).doing(|| format!("create {}", path.display()))?;
        let writer = LedgerWriter { inner: Mutex::new(Inner { file, chain: LineChain::default(), buffer: String::new(), whole: 0, lost: None }) };
        writer.control(&Control::Head { ledger: 1, run: run.into(), seed })?;
        writer.sync()?;
        Ok(writer)
    }

    /// Appends an outcome; it is in the kernel's hands when this returns, and durable after [`Self::sync`].
    pub fn op(&self, op: Op) -> Outcome<()> {
        self.append(&Line::Op(op).encode())
    }

    /// Appends another line.
    pub fn control(&self, control: &Control) -> Outcome<()> {
        self.append(&Line::Control(control.clone()).encode())
    }

    fn append(&self, json: &str) -> Outcome<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { file, chain, buffer, whole, lost } = &mut *inner;
        let what = || "append to the ledger".to_string();
        if let Some((kind, words)) = lost {
            return Err(std::io::Error::new(*kind, words.clone())).doing(what);
        }
        buffer.clear();
        chain.seal(json, buffer);
        match file.write_all(buffer.as_bytes()) {
            Ok(()) => {
                *whole += buffer.len() as u64;
                Ok(())
            }
            Err(e) => {
                let _ = file.set_len(*whole);
                *lost = Some((e.kind(), e.to_string()));
                Err(e).doing(what)
            }
        }
    }

    /// Makes all of it durable.
    pub fn sync(&self) -> Outcome<()> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.file.sync_data().doing(|| "sync the ledger".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_could_not_go_on_ends_with_a_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let ledger = LedgerWriter::create(&path, "r", 7).unwrap();
        let retire = Control::Retire { c: 1, why: "x".into() };
        ledger.control(&retire).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        // The next write fails as on a full disk.
        let real = std::mem::replace(&mut ledger.inner.lock().unwrap().file, File::options().write(true).open("/dev/full").unwrap());
        assert!(ledger.control(&retire).unwrap_err().to_string().contains("No space left"));
        ledger.inner.lock().unwrap().file = real;
        let e = ledger.control(&retire).unwrap_err();
        assert!(e.to_string().contains("No space left"), "it does not go on with a hole: {e}");
        assert!(e.hint().is_some());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
    }
}
