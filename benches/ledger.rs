//! The ledger: what an outcome costs when it is written down, and what a million of them cost when they are checked.
//! `cargo bench --bench ledger`
#![allow(missing_docs)] // criterion's macros write the functions

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use passmuster::harness::workload::ledger_writer::LedgerWriter;
use passmuster::model::ledger::{Control, Line, LineChain, LinkedObject, Op, OpKind, OpOutcome, chain_next, chain_start, short_sha};
use passmuster::model::seed;
use passmuster::model::time::Stamp;
use passmuster::verdict::book::BookReader;
use std::hint::black_box;

const RUN: &str = "20261121T173843Z-34912735";
const SEED: u64 = 11;
const CLIENTS: u64 = 4;
const ENTRIES: u64 = 1_000_000;

/// The operations of some clients in turn: a quarter of them stores an object, one in fifty fails.
struct Ops {
    last: Vec<String>,
    at: u64,
}

impl Ops {
    fn new() -> Ops {
        Ops { last: (1..=CLIENTS as u32).map(|c| chain_start(RUN, c)).collect(), at: 0 }
    }

    fn next(&mut self) -> Op {
        let (client, seq, t) = ((self.at % CLIENTS) as u32 + 1, self.at / CLIENTS, 1_394_320_162 + self.at * 250_000);
        self.at += 1;
        let last = &mut self.last[client as usize - 1];
        let payload = short_sha(seed::payload(SEED, client, seq).as_bytes());
        let chain = chain_next(last, client, seq, &payload);
        let failed = seq % 50 == 49;
        if !failed {
            last.clone_from(&chain);
        }
        let linked = seq.is_multiple_of(4);
        let object = linked.then(|| LinkedObject {
            key: format!("ledger/{client}.{seq}"),
            version: None,
            sha: short_sha(seed::object(SEED, client, seq).as_bytes()),
        });
        Op {
            client,
            seq,
            kind: if linked { OpKind::Linked } else { OpKind::Row },
            invoked: Stamp(t),
            completed: Stamp(t + 730_112),
            outcome: if failed { OpOutcome::Fail } else { OpOutcome::Ok },
            xid: (!failed).then_some(self.at as u32),
            payload,
            chain,
            object,
            why: failed.then(|| "42P01".into()),
        }
    }
}

/// An outcome from its fields to the kernel's hands: encoded, chained, written.
fn append(c: &mut Criterion) {
    let path = std::env::temp_dir().join(format!("passmuster-bench-{}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let Ok(writer) = LedgerWriter::create(&path, RUN, SEED) else { return };
    let mut ops = Ops::new();
    let op = ops.next();
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(1));
    group.bench_function("append", |b| b.iter(|| writer.op(black_box(op.clone()))));
    group.finish();
    let _ = std::fs::remove_file(&path);
}

/// A whole ledger, every digest and chain checked against the seed.
fn check(c: &mut Criterion) {
    let (mut chain, mut text, mut ops) = (LineChain::default(), String::new(), Ops::new());
    let mut seal = |line: Line| chain.seal(&line.encode(), &mut text);
    seal(Line::Control(Control::Head { ledger: 1, run: RUN.into(), seed: SEED }));
    for c in 1..=CLIENTS as u32 {
        seal(Line::Control(Control::Client { c, slot: c - 1, table: "ledger_a".into(), instance: "1/1".into() }));
        seal(Line::Control(Control::Reserve { c, from: 0, to: ENTRIES }));
    }
    (0..ENTRIES).for_each(|_| seal(Line::Op(ops.next())));
    seal(Line::Control(Control::End { t: Stamp(u64::MAX) }));
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("check/1000000", |b| {
        b.iter(|| {
            let mut reader = BookReader::default();
            text.lines().for_each(|l| reader.take(l));
            let book = reader.finish();
            // A check that found something would be another thing than what is measured.
            assert!(book.closed && book.problems.is_empty() && book.operations == ENTRIES, "{:?}", book.problems);
            book
        });
    });
    group.finish();
}

criterion_group!(benches, append, check);
criterion_main!(benches);
