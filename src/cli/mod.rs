//! temp
use crate::model::{source::Sources, diag::Diagnostics, scenario, plan::{Plan, Invocation}, seed};
use crate::harness::{engine, lab::{Provider, LabOptions}};
pub fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let mut sources = Sources::default();
    let text = std::fs::read_to_string(&args[1]).unwrap();
    let id = sources.add(args[1].clone(), text.clone());
    let mut catalog = crate::harness::catalog();
    for id in ["exact","control-restore-differs"] { catalog.expectations.push(crate::model::catalog::ExpectationSpec{id, summary:"", always:false}); }
    let mut diags = Diagnostics::default();
    let s = scenario::read(&sources, id, &catalog, &[], &mut diags);
    for d in diags.iter() { println!("{} {} {} {:?}", d.code, sources.place(d.span()), d.message, d.help); }
    let s = s.unwrap();
    let run = format!("{}-{}", crate::model::time::Wall::now().compact(), &args[2]);
    let how = Invocation { run: run.clone(), scenario_sha256: seed::sha256(text.as_bytes()), lab: args[3].clone(), seed: args[2].parse().unwrap(), quick: false, sabotage: None, set: vec![] };
    let plan = Plan::new(&s, &how);
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let (_c, cancel) = tokio::sync::watch::channel(false);
    rt.spawn(async move { while let Some(e) = rx.recv().await { let e: crate::model::event::Stamped = e; match &e.event { crate::model::event::Event::Load{..}|crate::model::event::Event::Progress{..} => {}, _ => println!("{:>9.3} {}", e.t.secs(), serde_json::to_string(&e.event).unwrap().chars().take(230).collect::<String>()) } } });
    let provider = if args[3] == "docker" { Provider::Docker } else { Provider::Local };
    let r = rt.block_on(engine::run(engine::Order { plan, scenario: s, provider, options: LabOptions{ image_postgres: std::env::var("IMG_PG").ok(), image_s3: std::env::var("IMG_S3").ok(), ..Default::default() }, sabotage: None, out: format!("/tmp/pmruns/{run}").into(), observer: Some(tx), cancel }));
    println!("{r:?}");
    std::process::ExitCode::SUCCESS
}
