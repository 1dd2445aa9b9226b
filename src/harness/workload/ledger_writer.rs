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
}

impl LedgerWriter {
    /// Creates the file and its first line.
    pub fn create(path: &Path, run: &str, seed: u64) -> Outcome<LedgerWriter> {
        let file = File::create_new(path).doing(|| format!("create {}", path.display()))?;
        let writer = LedgerWriter { inner: Mutex::new(Inner { file, chain: LineChain::default(), buffer: String::new() }) };
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
        let Inner { file, chain, buffer } = &mut *inner;
        buffer.clear();
        chain.seal(json, buffer);
        file.write_all(buffer.as_bytes()).doing(|| "append to the ledger".into())
    }

    /// Makes all of it durable.
    pub fn sync(&self) -> Outcome<()> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.file.sync_data().doing(|| "sync the ledger".into())
    }
}
