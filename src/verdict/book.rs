//! The ledger as the verdict needs it: checked line by line, kept small.

use crate::model::digits::{Digits, Stack};
use crate::model::ledger::{Control, LedgerProblem, Line, LineChain, OpKind, OpOutcome, OpView, chain_digits, chain_start};
use crate::model::seed;
use crate::model::time::Stamp;
use std::collections::BTreeMap;

/// One operation, without what can be derived from the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Before anything was sent.
    pub invoked: Stamp,
    /// When the outcome was known.
    pub completed: Stamp,
    /// Transaction id, valid within the client's instance.
    pub xid: Option<u32>,
    /// The outcome.
    pub outcome: OpOutcome,
    /// Whether it stores an object.
    pub linked: bool,
}

/// One client identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The table that it writes to.
    pub table: String,
    /// The instance that it writes to.
    pub instance: String,
    /// Its operations; `None` where an operation was reserved and has no outcome.
    pub ops: Vec<Option<Entry>>,
    /// One past the last reserved operation.
    pub reserved: u64,
    /// Its chain so far.
    chain: Chain,
    /// It retired, or is at an operation in doubt: nothing of it may follow.
    over: bool,
}

/// A client's chain before its first acknowledged operation, and after each.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Chain {
    Start(String),
    At(Digits),
}

impl Chain {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Chain::Start(text) => text.as_bytes(),
            Chain::At(digits) => digits.as_bytes(),
        }
    }
}

/// The whole ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// Run id of the first line.
    pub run: String,
    /// Seed of the first line.
    pub seed: u64,
    /// Client identities.
    pub clients: BTreeMap<u32, Client>,
    /// What is wrong with the ledger itself.
    pub problems: Vec<String>,
    /// Whether the last line says that it was closed in order.
    pub closed: bool,
    /// Operations with an outcome.
    pub operations: u64,
}

/// Reads a ledger line by line.
#[derive(Default)]
pub struct BookReader {
    book: Book,
    chain: LineChain,
    line: u64,
    broken: bool,
}

/// Problems that are kept; the rest is counted by the first.
const KEPT: usize = 20;

impl BookReader {
    /// Takes the next line, without its line break. After a broken chain nothing more is believed.
    pub fn take(&mut self, line: &str) {
        self.line += 1;
        if self.broken {
            return;
        }
        if let Err(problem) = self.believe(line) {
            self.broken = true;
            self.problem(problem.to_string());
        }
    }

    fn believe(&mut self, line: &str) -> Result<(), LedgerProblem> {
        let json = self.chain.open(line)?;
        // Operations are the many, and are nearly always in the form in which they were written.
        let quick = OpView::scan(json);
        let decoded = if quick.is_none() { Some(Line::decode(json)?) } else { None };
        if self.book.closed {
            self.problem("it comes after the end".into());
        }
        match (quick, decoded) {
            (Some(op), _) => self.op(op),
            (None, Some(Line::Op(op))) => self.op(OpView::of(&op)),
            (None, Some(Line::Control(control))) => self.control(control),
            (None, None) => {}
        }
        Ok(())
    }

    /// The book, after the last line.
    pub fn finish(self) -> Book {
        self.book
    }

    fn problem(&mut self, what: String) {
        if self.book.problems.len() < KEPT {
            self.book.problems.push(format!("line {}: {what}", self.line));
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Head { ledger, run, seed } => {
                if ledger != 1 || self.line != 1 {
                    self.problem(format!("a head of version {ledger} that is not the first line of a ledger of version 1"));
                }
                (self.book.run, self.book.seed) = (run, seed);
            }
            Control::Client { c, table, instance, .. } => {
                let chain = Chain::Start(chain_start(&self.book.run, c));
                let client = Client { chain, ..Client::new(&table, &instance) };
                if self.book.clients.insert(c, client).is_some() {
                    self.problem(format!("client {c} begins twice"));
                }
            }
            Control::Reserve { c, from, to } => match self.book.clients.get_mut(&c) {
                Some(client) if client.reserved == from && to > from => client.reserved = to,
                _ => self.problem(format!("client {c} reserves {from}..{to} out of order")),
            },
            Control::Retire { c, .. } => match self.book.clients.get_mut(&c) {
                Some(client) => client.over = true,
                None => self.problem(format!("client {c} retires and never began")),
            },
            Control::End { .. } => self.book.closed = true,
        }
    }

    fn op(&mut self, op: OpView<'_>) {
        let (c, n) = (op.client, op.seq);
        let seed = self.book.seed;
        let Some(client) = self.book.clients.get_mut(&c) else {
            return self.problem(format!("operation {c}.{n} of a client that never began"));
        };
        let mut wrong = Vec::new();
        let next = client.ops.len() as u64;
        if n >= client.reserved {
            wrong.push("was never reserved");
        }
        if n < next {
            wrong.push("has an outcome already");
        }
        // A client writes an outcome down before it goes on, so its numbers have no gaps.
        if n > next {
            wrong.push("leaves a gap in its client's numbers");
        }
        if client.over {
            wrong.push("comes after its client's last");
        }
        if op.completed < op.invoked {
            wrong.push("ended before it began");
        }
        let payload = seed::payload_digits(seed, c, n);
        let chain = chain_digits(client.chain.as_bytes(), c, n, payload.as_bytes());
        if payload != *op.payload {
            wrong.push("has another payload than the seed says");
        }
        if chain != *op.chain {
            wrong.push("does not follow from its client's chain");
        }
        let object_key = || Stack::new().with(b"ledger/").number(u64::from(c)).with(b".").number(n);
        if let Some((key, sha)) = op.object
            && (seed::object_digits(seed, c, n) != *sha || key.as_bytes() != object_key().as_bytes())
        {
            wrong.push("names another object than the seed says");
        }
        if op.outcome == OpOutcome::Ok && op.object.is_some() != (op.kind == OpKind::Linked) {
            wrong.push("was acknowledged, and its object is not what its kind says");
        }
        if op.outcome == OpOutcome::Ok {
            client.chain = Chain::At(chain);
            if op.xid.is_none() {
                wrong.push("was acknowledged without a transaction id");
            }
        }
        client.over |= op.outcome == OpOutcome::Unknown;
        if n == next && n < client.reserved {
            let linked = op.kind == OpKind::Linked;
            client.ops.push(Some(Entry { invoked: op.invoked, completed: op.completed, xid: op.xid, outcome: op.outcome, linked }));
            self.book.operations += 1;
        }
        for what in wrong {
            self.problem(format!("operation {c}.{n} {what}"));
        }
    }
}

impl Client {
    /// A client that has done nothing yet.
    pub fn new(table: &str, instance: &str) -> Client {
        Client { table: table.into(), instance: instance.into(), ops: Vec::new(), reserved: 0, chain: Chain::Start(String::new()), over: false }
    }
}

impl Book {
    /// Every operation that has an outcome: client number, client, operation number, entry.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Client, u64, &Entry)> {
        self.clients
            .iter()
            .flat_map(|(c, client)| client.ops.iter().enumerate().filter_map(move |(n, entry)| entry.as_ref().map(|e| (*c, client, n as u64, e))))
    }

    /// One operation.
    pub fn entry(&self, c: u32, n: u64) -> Option<&Entry> {
        self.clients.get(&c)?.ops.get(usize::try_from(n).ok()?)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ledger::{Op, chain_next, short_sha};

    /// A ledger of one client with these outcomes, one after the other, 10 ns each.
    pub fn ledger(outcomes: &[OpOutcome]) -> String {
        let (mut chain, mut text) = (LineChain::default(), String::new());
        let mut seal = |line: Line| chain.seal(&line.encode(), &mut text);
        seal(Line::Control(Control::Head { ledger: 1, run: "r".into(), seed: 7 }));
        seal(Line::Control(Control::Client { c: 1, slot: 0, table: "ledger_a".into(), instance: "1/1".into() }));
        seal(Line::Control(Control::Reserve { c: 1, from: 0, to: 1000 }));
        let mut last = chain_start("r", 1);
        for (n, outcome) in outcomes.iter().enumerate() {
            let n = n as u64;
            let payload = short_sha(seed::payload(7, 1, n).as_bytes());
            let chain = chain_next(&last, 1, n, &payload);
            let (kind, outcome, object, why) = (OpKind::Row, *outcome, None, None);
            seal(Line::Op(Op {
                client: 1,
                seq: n,
                kind,
                invoked: Stamp(n * 10),
                completed: Stamp(n * 10 + 9),
                outcome,
                xid: Some(700 + n as u32),
                payload,
                chain: chain.clone(),
                object,
                why,
            }));
            if outcome == OpOutcome::Ok {
                last = chain;
            }
        }
        seal(Line::Control(Control::End { t: Stamp(1) }));
        text
    }

    fn read(text: &str) -> Book {
        let mut reader = BookReader::default();
        text.lines().for_each(|l| reader.take(l));
        reader.finish()
    }

    #[test]
    fn a_good_ledger_has_no_problems() {
        let book = read(&ledger(&[OpOutcome::Ok, OpOutcome::Fail, OpOutcome::Ok]));
        assert_eq!(book.problems, Vec::<String>::new());
        assert!(book.closed);
        assert_eq!(book.operations, 3);
        assert_eq!(book.entry(1, 2).unwrap().xid, Some(702));
    }

    #[test]
    fn an_edited_outcome_is_a_problem_and_so_is_one_whose_digests_were_made_to_fit() {
        let good = ledger(&[OpOutcome::Ok, OpOutcome::Ok]);
        assert_eq!(read(&good.replacen("\"ok\"", "\"fail\"", 1)).problems.len(), 1);
        // Every digest made anew: the client's own chain still shows it.
        let edited = good.replacen("\"ok\"", "\"fail\"", 1);
        let (mut chain, mut text) = (LineChain::default(), String::new());
        for line in edited.lines() {
            chain.seal(line.rsplit_once('\t').unwrap().0, &mut text);
        }
        let problems = read(&text).problems;
        assert_eq!(problems, vec!["line 5: operation 1.1 does not follow from its client's chain".to_string()]);
    }
}
