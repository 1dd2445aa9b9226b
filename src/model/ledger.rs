//! The ledger of acknowledged writes: its lines, its chains, and how it is read back.
//!
//! One line is a JSON object, a tab, and 32 hexadecimal digits: the first 16 bytes of
//! SHA-256(previous line's digits ‖ the JSON). So an edited, removed or moved line shows
//! (the format is in docs/EVIDENCE.md).

use super::seed;
use super::time::Stamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpOutcome {
    /// The server answered COMMIT, and nothing says that a wait was cancelled.
    Ok,
    /// Definitely not committed.
    Fail,
    /// COMMIT was sent and no answer came. Never counted as lost, nor as acknowledged.
    Unknown,
}

/// What an operation writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpKind {
    /// Rows only.
    Row,
    /// An object, acknowledged first, and rows that name it.
    Linked,
}

/// The object of a linked operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedObject {
    /// Its key.
    pub key: String,
    /// Version id as the store gave it, if it has versions.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// First 16 bytes of SHA-256 of its content.
    #[serde(rename = "s")]
    pub sha: String,
}

/// One operation with its outcome. Its id is `client.seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// Client identity.
    #[serde(rename = "c")]
    pub client: u32,
    /// Number within the client, from 0.
    #[serde(rename = "n")]
    pub seq: u64,
    /// What it writes.
    #[serde(rename = "w")]
    pub kind: OpKind,
    /// Before anything was sent.
    #[serde(rename = "i")]
    pub invoked: Stamp,
    /// When the outcome was known.
    #[serde(rename = "e")]
    pub completed: Stamp,
    /// The outcome.
    #[serde(rename = "o")]
    pub outcome: OpOutcome,
    /// Transaction id (32 bits), valid within the client's instance.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub xid: Option<u32>,
    /// First 16 bytes of SHA-256 of the payload.
    #[serde(rename = "p")]
    pub payload: String,
    /// The client's chain with this operation in it.
    #[serde(rename = "h")]
    pub chain: String,
    /// The linked object, once its PUT was acknowledged.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub object: Option<LinkedObject>,
    /// Why it failed or is in doubt: an SQLSTATE, or a word.
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A line that is not an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "kebab-case")]
pub enum Control {
    /// The first line.
    Head {
        /// Version of this format.
        ledger: u32,
        /// Run id.
        run: String,
        /// Seed of all payloads.
        seed: u64,
    },
    /// A client identity begins.
    Client {
        /// Its number.
        c: u32,
        /// The worker that bears it.
        slot: u32,
        /// The table that it writes to, beside the presence and journal tables.
        table: String,
        /// `system identifier/start number` of the instance that it writes to.
        instance: String,
    },
    /// The operations `from..to` of a client may be attempted from now on. Fsynced before use.
    Reserve {
        /// Client.
        c: u32,
        /// First.
        from: u64,
        /// One past the last.
        to: u64,
    },
    /// A client identity ends; with an operation in doubt its chain is broken.
    Retire {
        /// Client.
        c: u32,
        /// Why.
        why: String,
    },
    /// The last line of a ledger that was closed in order.
    End {
        /// When.
        t: Stamp,
    },
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An operation.
    Op(Op),
    /// Anything else.
    Control(Control),
}

/// The running digest of the lines.
#[derive(Debug, Clone, Default)]
pub struct LineChain {
    last: String,
}

impl LineChain {
    /// The digits of the last line; empty before the first.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Appends the encoded line, with tab, digits and line break, to `out`.
    pub fn seal(&mut self, json: &str, out: &mut String) {
        self.last = link(&self.last, json);
        out.push_str(json);
        let _ = writeln!(out, "\t{}", self.last);
    }

    /// Checks one line (without its line break) and gives back its JSON.
    pub fn open<'l>(&mut self, line: &'l str) -> Result<&'l str, LedgerProblem> {
        let (json, digits) = line.rsplit_once('\t').ok_or(LedgerProblem::NotSealed)?;
        let expected = link(&self.last, json);
        if expected != digits {
            return Err(LedgerProblem::Broken);
        }
        self.last = expected;
        Ok(json)
    }
}

/// What is wrong with a line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerProblem {
    /// There is no digest on the line.
    #[error("the line has no digest: it is torn or not a ledger's")]
    NotSealed,
    /// The digest is not that of the line and all before it.
    #[error("the line, or one before it, was changed, removed or moved")]
    Broken,
    /// The JSON is not a ledger's.
    #[error("the line is not a ledger's: {0}")]
    Malformed(String),
}

fn link(previous: &str, json: &str) -> String {
    let mut h = Sha256::new();
    h.update(previous.as_bytes());
    h.update(json.as_bytes());
    seed::hex(&h.finalize()[..16])
}

impl Line {
    /// The JSON of the line.
    pub fn encode(&self) -> String {
        let encoded = match self {
            Line::Op(op) => serde_json::to_string(op),
            Line::Control(control) => serde_json::to_string(control),
        };
        // Plain structs of numbers and strings always encode.
        encoded.unwrap_or_default()
    }

    /// Reads the JSON of a line.
    pub fn decode(json: &str) -> Result<Line, LedgerProblem> {
        let malformed = |e: serde_json::Error| LedgerProblem::Malformed(e.to_string());
        // Operations are the many: they have no tag, so that they need no second look.
        if json.starts_with("{\"c\":") {
            serde_json::from_str(json).map(Line::Op).map_err(malformed)
        } else {
            serde_json::from_str(json).map(Line::Control).map_err(malformed)
        }
    }
}

/// First 16 bytes of SHA-256 in hexadecimal: enough to tell contents apart, short enough to keep millions.
pub fn short_sha(bytes: &[u8]) -> String {
    seed::hex(&Sha256::digest(bytes)[..16])
}

/// The chain of a client before its first operation.
pub fn chain_start(run: &str, client: u32) -> String {
    short_sha(format!("passmuster/chain/v1 {run} {client}").as_bytes())
}

/// The chain with one more acknowledged operation.
pub fn chain_next(previous: &str, client: u32, seq: u64, payload: &str) -> String {
    short_sha(format!("{previous} {client}.{seq} {payload}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(seq: u64) -> Line {
        Line::Op(Op {
            client: 1,
            seq,
            kind: OpKind::Row,
            invoked: Stamp(1),
            completed: Stamp(2),
            outcome: OpOutcome::Ok,
            xid: Some(745),
            payload: short_sha(b"x"),
            chain: chain_start("r", 1),
            object: None,
            why: None,
        })
    }

    #[test]
    fn lines_round_trip_and_every_edit_shows() {
        let lines = [Line::Control(Control::Head { ledger: 1, run: "r".into(), seed: 7 }), op(0), op(1)];
        let (mut chain, mut text) = (LineChain::default(), String::new());
        for line in &lines {
            chain.seal(&line.encode(), &mut text);
        }
        let read = |text: &str| {
            let mut chain = LineChain::default();
            text.lines().map(|l| chain.open(l).and_then(Line::decode)).collect::<Result<Vec<_>, _>>()
        };
        assert_eq!(read(&text).unwrap(), lines);
        assert_eq!(read(&text.replacen("\"ok\"", "\"fail\"", 1)), Err(LedgerProblem::Broken));
        let without_second: String = text.lines().enumerate().filter(|(i, _)| *i != 1).map(|(_, l)| format!("{l}\n")).collect();
        assert_eq!(read(&without_second), Err(LedgerProblem::Broken));
        assert_eq!(read("{}"), Err(LedgerProblem::NotSealed));
    }
}
