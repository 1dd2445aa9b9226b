//! What was read back after a recovery, one line each of `readback-<role>.jsonl`.

use super::time::Stamp;
use serde::{Deserialize, Serialize};

/// The table whose rows tell that a transaction is there, whatever the fault did to others.
pub const PRESENCE: &str = "presence";
/// The table of the clients' chains.
pub const JOURNAL: &str = "journal";

/// One line of a read-back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "kebab-case")]
pub enum ReadLine {
    /// The first line.
    Head {
        /// `recovered` or `control`.
        role: String,
        /// `system identifier/start number` of the instance that answered.
        instance: String,
        /// Before the snapshot was taken.
        from: Stamp,
    },
    /// A table that was looked for.
    Table {
        /// Its name.
        name: String,
        /// Whether it is there.
        exists: bool,
    },
    /// A row of one of the ledgered tables.
    Row(Row),
    /// A block of consecutive rows of the base data.
    Base {
        /// Number of the block, from 0.
        chunk: u64,
        /// Rows in it.
        rows: u64,
        /// SHA-256 over `id TAB content LF` of the rows in order.
        sha: String,
    },
    /// The objects were listed; a line for each follows. Without it nobody looked for objects.
    Objects {
        /// How many there were.
        listed: u64,
    },
    /// An object.
    Object {
        /// Its key.
        key: String,
        /// Version id, if the store has versions.
        #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// First 16 bytes of SHA-256 of its content; `None`: listed, and reading it failed.
        #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
        sha: Option<String>,
    },
    /// A marker of the harness's fence; not part of the ledger's sets.
    Marker {
        /// Its name.
        name: String,
    },
    /// A relation or object that could not be read.
    Unreadable {
        /// What.
        what: String,
        /// The server's words.
        why: String,
    },
    /// The last line of a read-back that was completed.
    End {
        /// After the last row.
        to: Stamp,
    },
}

/// A row of a ledgered table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The table.
    #[serde(rename = "t")]
    pub table: String,
    /// Client.
    #[serde(rename = "c")]
    pub client: u32,
    /// Operation.
    #[serde(rename = "n")]
    pub seq: u64,
    /// Short SHA-256 of the payload as read.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The object that the row names.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The chain as read.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
}

/// Rows of base data in one block.
pub const BASE_CHUNK: u64 = 1024;
