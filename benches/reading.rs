//! Reading what people write and what a run recorded. `cargo bench --bench reading`
#![allow(missing_docs)] // criterion's macros write the functions

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use passmuster::cli::catalog::catalog;
use passmuster::cli::shipped::SCENARIOS;
use passmuster::model::diag::Diagnostics;
use passmuster::model::event::Stamped;
use passmuster::model::scenario;
use passmuster::model::source::Sources;
use std::hint::black_box;

const EVENTS: &str = include_str!("../tests/fixtures/golden-drop-table/events.jsonl");

/// From text to a validated scenario, the static algebra included.
fn scenarios(c: &mut Criterion) {
    let catalog = catalog();
    for (name, text) in SCENARIOS {
        c.bench_function(&format!("scenario/{name}"), |b| {
            b.iter_batched(
                || (Sources::default(), Diagnostics::default()),
                |(mut sources, mut diags)| {
                    let id = sources.add(*name, *text);
                    black_box(scenario::read(&sources, id, &catalog, &[], &mut diags))
                },
                BatchSize::SmallInput,
            );
        });
    }
}

/// The events of the golden run, a hundred times over.
fn events(c: &mut Criterion) {
    let text = EVENTS.repeat(100);
    let mut group = c.benchmark_group("events");
    group.throughput(Throughput::Elements(text.lines().count() as u64));
    group.bench_function("parse", |b| {
        b.iter(|| text.lines().filter_map(|l| serde_json::from_str::<Stamped>(l).ok()).map(black_box).count());
    });
    group.finish();
}

criterion_group!(benches, scenarios, events);
criterion_main!(benches);
