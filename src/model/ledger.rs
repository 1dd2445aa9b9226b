//! The ledger of acknowledged writes: its lines, its chains, and how it is read back.
//!
//! One line is a JSON object, a tab, and 32 hexadecimal digits: the first 16 bytes of
//! SHA-256(previous line's digits ‖ the JSON). So an edited, removed or moved line shows
//! (the format is in docs/EVIDENCE.md).

use super::digits::{Digits, Stack};
use super::time::Stamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
    last: Option<Digits>,
}

impl LineChain {
    /// The digits of the last line; empty before the first.
    pub fn last(&self) -> &str {
        self.last.as_ref().map_or("", Digits::as_str)
    }

    /// Appends the encoded line, with tab, digits and line break, to `out`.
    pub fn seal(&mut self, json: &str, out: &mut String) {
        let digits = self.link(json);
        out.push_str(json);
        out.push('\t');
        out.push_str(digits.as_str());
        out.push('\n');
        self.last = Some(digits);
    }

    /// Checks one line (without its line break) and gives back its JSON.
    pub fn open<'l>(&mut self, line: &'l str) -> Result<&'l str, LedgerProblem> {
        let (json, digits) = line.rsplit_once('\t').ok_or(LedgerProblem::NotSealed)?;
        let expected = self.link(json);
        if expected != *digits {
            return Err(LedgerProblem::Broken);
        }
        self.last = Some(expected);
        Ok(json)
    }

    /// The digits of a line that follows.
    fn link(&self, json: &str) -> Digits {
        let mut hash = Sha256::new();
        if let Some(last) = &self.last {
            hash.update(last.as_bytes());
        }
        hash.update(json.as_bytes());
        Digits::from_hash(hash)
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

/// An operation as its checker needs it, borrowed from its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpView<'l> {
    /// As in [`Op`].
    pub client: u32,
    /// As in [`Op`].
    pub seq: u64,
    /// As in [`Op`].
    pub kind: OpKind,
    /// As in [`Op`].
    pub invoked: Stamp,
    /// As in [`Op`].
    pub completed: Stamp,
    /// As in [`Op`].
    pub outcome: OpOutcome,
    /// As in [`Op`].
    pub xid: Option<u32>,
    /// As in [`Op`].
    pub payload: &'l str,
    /// As in [`Op`].
    pub chain: &'l str,
    /// Key and digest of the linked object.
    pub object: Option<(&'l str, &'l str)>,
}

impl<'l> OpView<'l> {
    /// What an operation says.
    pub fn of(op: &'l Op) -> OpView<'l> {
        OpView {
            client: op.client,
            seq: op.seq,
            kind: op.kind,
            invoked: op.invoked,
            completed: op.completed,
            outcome: op.outcome,
            xid: op.xid,
            payload: &op.payload,
            chain: &op.chain,
            object: op.object.as_ref().map(|o| (o.key.as_str(), o.sha.as_str())),
        }
    }

    /// Reads a line's JSON in the one form in which it is written, without escapes. `None` says nothing about it: it may be
    /// another line, another form of the same, or no JSON at all, and [`Line::decode`] tells.
    pub fn scan(json: &'l str) -> Option<OpView<'l>> {
        let mut s = Scan(json);
        let client = u32::try_from(s.take("{\"c\":")?.number()?).ok()?;
        let seq = s.take(",\"n\":")?.number()?;
        let kind = match s.take(",\"w\":\"")?.text()? {
            "row" => OpKind::Row,
            "linked" => OpKind::Linked,
            _ => return None,
        };
        let invoked = Stamp(s.take(",\"i\":")?.number()?);
        let completed = Stamp(s.take(",\"e\":")?.number()?);
        let outcome = match s.take(",\"o\":\"")?.text()? {
            "ok" => OpOutcome::Ok,
            "fail" => OpOutcome::Fail,
            "unknown" => OpOutcome::Unknown,
            _ => return None,
        };
        let xid = if s.has(",\"x\":") { Some(u32::try_from(s.number()?).ok()?) } else { None };
        let payload = s.take(",\"p\":\"")?.text()?;
        let chain = s.take(",\"h\":\"")?.text()?;
        let mut object = None;
        if s.has(",\"b\":{\"key\":\"") {
            let key = s.text()?;
            if s.has(",\"v\":\"") {
                s.text()?;
            }
            object = Some((key, s.take(",\"s\":\"")?.text()?));
            s.take("}")?;
        }
        if s.has(",\"y\":\"") {
            s.text()?;
        }
        (s.0 == "}").then_some(OpView { client, seq, kind, invoked, completed, outcome, xid, payload, chain, object })
    }
}

/// What is left of a text that is read from left to right.
struct Scan<'l>(&'l str);

impl<'l> Scan<'l> {
    /// Goes on after `expected`, if it is next.
    fn has(&mut self, expected: &str) -> bool {
        let rest = self.0.strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn take(&mut self, expected: &str) -> Option<&mut Self> {
        self.has(expected).then_some(self)
    }

    /// A whole number as JSON has it: no sign, and no zero before others.
    fn number(&mut self) -> Option<u64> {
        let len = self.0.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        if len > 1 && digits.starts_with('0') { None } else { digits.parse().ok() }
    }

    /// A text up to its closing quote; one with an escape or a control character is left to others.
    fn text(&mut self) -> Option<&'l str> {
        let end = self.0.bytes().position(|b| b == b'"' || b == b'\\' || b < b' ')?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }
}

/// First 16 bytes of SHA-256 in hexadecimal.
pub fn short_sha(bytes: &[u8]) -> String {
    Digits::of(bytes).to_string()
}

/// The chain of a client before its first operation.
pub fn chain_start(run: &str, client: u32) -> String {
    short_sha(format!("passmuster/chain/v1 {run} {client}").as_bytes())
}

/// The chain with one more acknowledged operation.
pub fn chain_next(previous: &str, client: u32, seq: u64, payload: &str) -> String {
    chain_digits(previous.as_bytes(), client, seq, payload.as_bytes()).to_string()
}

/// The same, from digits to digits.
pub fn chain_digits(previous: &[u8], client: u32, seq: u64, payload: &[u8]) -> Digits {
    let id = Stack::new().with(b" ").number(u64::from(client)).with(b".").number(seq).with(b" ");
    Digits::from_hash(Sha256::new_with_prefix(previous).chain_update(id.as_bytes()).chain_update(payload))
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
