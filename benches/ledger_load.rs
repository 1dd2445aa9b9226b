//! What the ledger costs the load: throughput of the linked workload at equal clients, as fast as they can, with and without its
//! ledger, in interleaved pairs on a real server. Absolute figures mean nothing on a shared machine.
//!
//!     cargo bench --bench ledger_load            20 pairs of 2 s each
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench is a program for its developers")]

use passmuster::harness::endpoint::Endpoint;
use passmuster::harness::lab::{Lab, LabOptions, Provider};
use passmuster::harness::recorder::Recorder;
use passmuster::harness::system::postgres::{ClusterSettings, Instance};
use passmuster::harness::system::s3::S3System;
use passmuster::harness::workload::ledger_writer::LedgerWriter;
use passmuster::harness::workload::linked::{self, Linked, Settings};
use passmuster::model::event::Role;
use passmuster::model::params::{Params, Value};
use passmuster::model::source::Span;
use std::sync::Arc;
use std::time::Duration;

const SECONDS: u64 = 2;

fn main() {
    // `cargo test --benches` and `cargo bench` both pass flags; a number is the count of pairs.
    let pairs = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(20);
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a run time");
    let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    runtime.block_on(async {
        let dir = tempfile::tempdir_in("/var/tmp").expect("a directory");
        let recorder = Recorder::start(&dir.path().join("events.jsonl"), None).expect("a recorder");
        let lab =
            Arc::new(Lab::open(Provider::Local, &format!("bench-{}", std::process::id()), recorder.clone(), LabOptions::default()).expect("a lab"));
        let mut params = Params::default();
        params.set("profile", Value::Text("embedded".into()), Span::default());
        params.set("versioning", Value::Bool(false), Span::default());
        let store = S3System::start(&lab, "store", &params).await.expect("a store");
        let bucket = store.bucket("objects");
        bucket.create().await.expect("a bucket");
        let settings = ClusterSettings { segment: 16 << 20, checksums: true, archive_timeout: Duration::from_secs(60), extra: Default::default() };
        let node = Arc::new(lab.node("db", None).await.expect("a node"));
        let mut server = Instance::init(node.clone(), Role::Origin, "bench", &settings, recorder.clone()).await.expect("initdb");
        let configuration = server.configuration(&settings, &[]);
        server.start(&configuration, false).await.expect("a server");
        let client = server.connect().await.expect("a connection");
        linked::load_base(&client, 1, 1 << 20, |_| ()).await.expect("tables");
        let endpoint = Endpoint::open(node.address()).await.expect("an endpoint");
        for pair in 0..pairs {
            // Which of the two comes first alternates.
            let mut rates = [0.0; 2];
            for half in [pair % 2, 1 - pair % 2] {
                let run = format!("bench-{pair}-{half}");
                let ledger = Arc::new(LedgerWriter::create(&dir.path().join(&run), &run, 1).expect("a ledger"));
                client.batch_execute("TRUNCATE ledger_a, ledger_b, presence, journal; CHECKPOINT").await.expect("empty tables");
                let settings = Settings {
                    run,
                    seed: 1,
                    clients: 4,
                    rate: 0.0,
                    objects: 0.0,
                    endpoint: endpoint.address,
                    login: server.login.clone(),
                    bucket: bucket.clone(),
                    ledger: half == 1,
                };
                let load = Linked::start(settings, recorder.clone(), ledger);
                let begun = recorder.now();
                tokio::time::sleep(Duration::from_secs(SECONDS)).await;
                let count = load.acknowledged();
                rates[half] = count as f64 / recorder.now().since(begun).as_secs_f64();
                load.stop().await.expect("the load ends");
            }
            with.push(rates[1]);
            without.push(rates[0]);
            ratios.push(rates[1] / rates[0]);
        }
        drop(client);
        store.stop().await;
        assert!(lab.close().await.is_empty(), "nothing is left");
    });
    let median = |xs: &mut Vec<f64>| {
        xs.sort_by(f64::total_cmp);
        xs[xs.len() / 2]
    };
    let (low, high) = (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
    println!(
        "{pairs} interleaved pairs of {SECONDS} s, 4 clients, medians: with the ledger {:.0}/s, without {:.0}/s",
        median(&mut with),
        median(&mut without)
    );
    println!("with ÷ without: {:.3} (pairs {low:.3} to {high:.3}); the ledger may cost at most 10 %", median(&mut ratios));
}
