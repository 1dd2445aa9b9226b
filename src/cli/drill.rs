//! `drill`: runs drills now.

use super::exit::Exit;
use super::out::Out;
use super::{catalog, shipped};
use crate::evidence::view::RunView;
use crate::evidence::{bundle, seal, verify};
use crate::harness::engine::{self, Order};
use crate::harness::error::Error;
use crate::harness::lab::programs::{self, Programs};
use crate::harness::lab::{LabOptions, Provider};
use crate::harness::sabotage::{self, Sabotage};
use crate::model::catalog::Catalog;
use crate::model::diag::{Diagnostics, did_you_mean, quoted};
use crate::model::event::{Event, Stamped};
use crate::model::plan::{Invocation, Plan, Series};
use crate::model::scenario::{self, Scenario};
use crate::model::seed::{derive, sha256};
use crate::model::source::Sources;
use crate::model::time::Wall;
use crate::model::units::{human_duration, human_size};
use crate::report;
use crate::report::style::Style;
use crate::verdict::Outcome;
use clap::{Args, ValueEnum};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

const EXAMPLES: &str = "Examples:
  passmuster drill --fetch                            both first-light drills
  passmuster drill postgres-drop-table --sabotage archive-skips-segment
                                                      broken on purpose: must end red
  passmuster drill postgres-instance-lost --set phase=before-switch
                                                      the worst moment of the archive cycle
  passmuster drill postgres-drop-table --repeat 20    twenty runs, and what they prove together
  passmuster drill my-scenario.yaml --lab docker --out evidence/";

/// What `drill` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct DrillArgs {
    /// Scenarios by name or path; the two first-light drills if none is named
    pub scenarios: Vec<String>,
    /// Break it on purpose, and see whether it is caught: most must end red, some inconclusive or healed
    /// (`passmuster list sabotages`)
    #[arg(long, value_name = "NAME")]
    pub sabotage: Option<String>,
    /// Override a setting of the scenario, by its path or the end of it; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Run each drill so often, each time with the next seed; several scenarios in random order
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = whole::<1, 100_000>, allow_negative_numbers = true)]
    pub repeat: u64,
    /// Seed of everything random; another is taken each time if it is not given
    #[arg(long, value_name = "N", value_parser = whole::<0, { u64::MAX }>, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Where evidence is written
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    pub out: PathBuf,
    /// Leave out the control restore, and say so
    #[arg(long)]
    pub quick: bool,
    /// Fetch a private PostgreSQL if none is installed
    #[arg(long)]
    pub fetch: bool,
    /// Where it runs.
    #[command(flatten)]
    pub lab: LabArgs,
}

/// Where drills run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where it runs")]
pub struct LabArgs {
    /// Processes on this machine, or containers
    #[arg(long, value_enum, default_value_t = LabChoice::Local)]
    pub lab: LabChoice,
    /// Directory for the lab's private files; on a disk, not on a memory file system
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// What containers are made from.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Leave everything in place at the end; `gc` removes it
    #[arg(long)]
    pub keep: bool,
}

/// Images of the docker lab.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where it runs")]
pub struct ImageArgs {
    /// Image of PostgreSQL for the docker lab; `{version}` stands for the version
    #[arg(long, value_name = "IMAGE", env = "PASSMUSTER_IMAGE_POSTGRES", hide_env_values = true)]
    pub image_postgres: Option<String>,
    /// Image of the S3 store for the docker lab
    #[arg(long, value_name = "IMAGE", env = "PASSMUSTER_IMAGE_S3", hide_env_values = true)]
    pub image_s3: Option<String>,
}

/// Where servers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LabChoice {
    /// Processes on this machine
    #[value(help = super::NO_HELP)]
    Local,
    /// Containers
    #[value(help = super::NO_HELP)]
    Docker,
}

impl LabArgs {
    /// The provider.
    pub fn provider(&self) -> Provider {
        match self.lab {
            LabChoice::Local => Provider::Local,
            LabChoice::Docker => Provider::Docker,
        }
    }

    /// The options of the lab.
    pub fn options(&self) -> LabOptions {
        let ImageArgs { image_postgres, image_s3 } = self.images.clone();
        LabOptions { scratch: self.scratch.clone(), image_postgres, image_s3, keep: self.keep }
    }
}

/// A scenario that was read, ready to run.
pub struct Ready {
    /// It.
    pub scenario: Scenario,
    /// SHA-256 of its text.
    pub sha256: String,
}

/// Reads scenarios; on any problem all of it is said and the exit is given.
pub fn read(names: &[String], sets: &[String], catalog: &Catalog, out: &mut Out) -> Result<Vec<Ready>, Exit> {
    let mut sources = Sources::default();
    let mut diags = Diagnostics::default();
    for set in sets {
        sources.add("--set", set.as_str());
    }
    let mut ready = Vec::new();
    for name in names {
        let Some(id) = shipped::scenario(name, &mut sources, &mut diags) else { continue };
        if let Some(scenario) = scenario::read(&sources, id, catalog, sets, &mut diags) {
            ready.push(Ready { scenario, sha256: sha256(sources.get(id).text.as_bytes()) });
        }
    }
    super::lint::show(&diags, &sources, out);
    if diags.has_errors() {
        return Err(Exit::Usage);
    }
    if diags.has_contradictions() {
        out.error("a promise cannot hold, whatever happens: nothing was started", None);
        return Err(Exit::Failed);
    }
    Ok(ready)
}

/// Runs the command.
pub fn run(args: &DrillArgs, out: &mut Out) -> Exit {
    let catalog = catalog::catalog();
    let names: Vec<String> = if args.scenarios.is_empty() { shipped::FIRST_LIGHT.map(String::from).to_vec() } else { args.scenarios.clone() };
    let ready = match read(&names, &args.set, &catalog, out) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let sabotage = match find_sabotage(args.sabotage.as_deref(), &catalog, out) {
        Ok(sabotage) => sabotage,
        Err(exit) => return exit,
    };
    if let Err(exit) = places(&args.out, &args.lab, out) {
        return exit;
    }
    let Some(runtime) = runtime(out) else { return Exit::Internal };
    runtime.block_on(async {
        let cancel = signals();
        if let Err(exit) = prepare(args, out).await {
            return exit;
        }
        let first_seed = args.seed.unwrap_or_else(random_seed);
        let order = schedule(ready.len(), args.repeat, first_seed);
        let runs = order.len() as u32;
        if args.repeat > 1 {
            let drawn = if ready.len() > 1 { ", in an order drawn from the seed" } else { "" };
            out.say(&format!("{runs} runs with seeds from {first_seed} on{drawn}"));
        }
        let mut exits = Vec::new();
        let mut views: Vec<(usize, RunView)> = Vec::new();
        for (position, (of, seed)) in (1..).zip(order) {
            let how = How {
                lab: &args.lab,
                seed,
                series: (runs > 1).then_some(Series { seed: first_seed, runs, position }),
                sabotage: sabotage.clone(),
                quick: args.quick,
                set: &args.set,
                out: &args.out,
                show: true,
            };
            let done = one(&ready[of], &how, cancel.clone(), out).await;
            exits.push(done.exit);
            views.extend(done.view.map(|v| (of, v)));
            if done.exit == Exit::Interrupted {
                break;
            }
        }
        if args.repeat > 1 {
            for (i, r) in ready.iter().enumerate() {
                let mine: Vec<RunView> = views.iter().filter(|(of, _)| *of == i).map(|(_, v)| v.clone()).collect();
                summary(&r.scenario.name, &mine, args.repeat, out);
            }
        }
        if out.json() {
            let text = report::json::runs(views.iter().map(|(_, v)| v));
            out.data(&text);
        }
        Exit::worst(exits)
    })
}

/// Which scenario runs when, and with which seed: fixed before the first run. Several runs of several scenarios are in
/// random order, derived from the seed, so that nothing that changes with time favours one of them.
fn schedule(scenarios: usize, repeat: u64, seed: u64) -> Vec<(usize, u64)> {
    let of = |i| (0..repeat).map(move |n| (i, seed.wrapping_add(n)));
    let mut order: Vec<(usize, u64)> = (0..scenarios).flat_map(of).collect();
    if repeat > 1 && scenarios > 1 {
        // Fisher and Yates, each exchange derived from the seed.
        for i in (1..order.len()).rev() {
            let with = derive(seed, "order", i as u64) % (i as u64 + 1);
            order.swap(i, with as usize);
        }
    }
    order
}

/// What several runs of a scenario came to. Runs without evidence are not passed over.
fn summary(scenario: &str, views: &[RunView], planned: u64, out: &mut Out) {
    if !out.json() {
        let text = report::terminal::repeated(views, out.style());
        out.data(&text);
    }
    if (views.len() as u64) < planned {
        let made = views.len();
        out.error(&format!("{made} of the {planned} planned runs of {scenario} left evidence: this is not the whole sample"), None);
    }
}

/// Finds the sabotage that was named.
pub fn find_sabotage(name: Option<&str>, catalog: &Catalog, out: &mut Out) -> Result<Option<Arc<dyn Sabotage>>, Exit> {
    let Some(name) = name else { return Ok(None) };
    if let Some(found) = sabotage::find(name) {
        return Ok(Some(found));
    }
    let hint = match did_you_mean(name, catalog.sabotages.iter().map(|s| s.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`passmuster list sabotages` names those that there are".into(),
    };
    out.error(&format!("there is no sabotage {}", quoted(name)), Some(&hint));
    Err(Exit::Usage)
}

/// Reads a whole number within bounds.
pub fn whole<const MIN: u64, const MAX: u64>(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|n| (MIN..=MAX).contains(n));
    number.ok_or_else(|| format!("expected a whole number from {MIN} to {MAX}"))
}

/// Evidence that cannot be written makes a drill worthless: that is found out before anything is started.
pub fn places(evidence: &Path, lab: &LabArgs, out: &mut Out) -> Result<(), Exit> {
    writable(evidence, "evidence", "--out", out)?;
    lab.scratch.as_deref().map_or(Ok(()), |dir| writable(dir, "the lab's files", "--scratch", out))
}

fn writable(dir: &Path, what: &str, option: &str, out: &mut Out) -> Result<(), Exit> {
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    let tried = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&probe, b"")).and_then(|()| std::fs::remove_file(&probe));
    tried.map_err(|e| {
        let why = if dir.exists() && !dir.is_dir() { "it is not a directory".into() } else { reason(&e) };
        let message = format!("{what} cannot be written to {}: {why}", dir.display());
        out.error(&message, Some(&format!("name another directory with `{option}`; nothing was started")));
        Exit::Usage
    })
}

/// The system's answer without its number.
pub fn reason(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// The run time of the harness.
pub fn runtime(out: &mut Out) -> Option<tokio::runtime::Runtime> {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(32).enable_all().build() {
        Ok(runtime) => Some(runtime),
        Err(e) => {
            out.error(&format!("the run time cannot be started: {e}"), None);
            None
        }
    }
}

/// Becomes true on Ctrl-C or SIGTERM.
pub fn signals() -> watch::Receiver<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(i), Ok(t)) => (i, t),
            _ => return,
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let _ = sender.send(true);
        // The sender must outlive the runs that watch it.
        sender.closed().await;
    });
    receiver
}

/// Finds PostgreSQL, or fetches it, before anything is started.
async fn prepare(args: &DrillArgs, out: &mut Out) -> Result<(), Exit> {
    if args.lab.provider() == Provider::Docker {
        return Ok(());
    }
    match Programs::find(None) {
        Ok(found) => {
            out.say(&format!("using PostgreSQL {} in {}", found.version, found.bin.display()));
            Ok(())
        }
        Err(_) if args.fetch => {
            out.say(&format!("no PostgreSQL is installed; fetching {}", programs::fetch_plan()));
            match programs::fetch().await {
                Ok(found) => {
                    out.say(&format!("using PostgreSQL {} in {}", found.version, found.bin.display()));
                    Ok(())
                }
                Err(e) => {
                    out.error(&e.to_string(), e.hint().as_deref());
                    Err(Exit::Undecided)
                }
            }
        }
        Err(e) => {
            out.error(&e.to_string(), e.hint().as_deref());
            Err(Exit::Undecided)
        }
    }
}

/// How one drill is run.
pub struct How<'a> {
    /// Where.
    pub lab: &'a LabArgs,
    /// Seed.
    pub seed: u64,
    /// The runs that it is one of.
    pub series: Option<Series>,
    /// Deliberate defect.
    pub sabotage: Option<Arc<dyn Sabotage>>,
    /// No control restore.
    pub quick: bool,
    /// Overrides.
    pub set: &'a [String],
    /// Where evidence is written.
    pub out: &'a Path,
    /// Whether the result is shown at once.
    pub show: bool,
}

/// What one drill came to.
pub struct Done {
    /// Exit for it alone.
    pub exit: Exit,
    /// Its view, if a record was begun.
    pub view: Option<RunView>,
    /// Its directory.
    pub dir: Option<PathBuf>,
    /// Something was left behind that could not be removed.
    pub left: bool,
}

/// Runs one drill: record, verdict, evidence, report.
pub async fn one(ready: &Ready, how: &How<'_>, cancel: watch::Receiver<bool>, out: &mut Out) -> Done {
    let run = format!("{}-{:08x}", Wall::now().compact(), derive(how.seed, "run", Wall::now().0 as u64) as u32);
    let invocation = Invocation {
        run: run.clone(),
        scenario_sha256: ready.sha256.clone(),
        lab: how.lab.provider().word().into(),
        seed: how.seed,
        series: how.series,
        quick: how.quick,
        sabotage: how.sabotage.as_ref().map(|s| s.spec().name.to_string()),
        set: how.set.to_vec(),
    };
    let plan = Plan::new(&ready.scenario, &invocation);
    let partial = how.out.join(format!(".partial-{run}"));
    let (sender, receiver) = mpsc::unbounded_channel();
    let progress = tokio::spawn(progress(receiver, Progress::new(out, &plan)));
    let order = Order {
        plan,
        scenario: ready.scenario.clone(),
        provider: how.lab.provider(),
        options: how.lab.options(),
        sabotage: how.sabotage.clone(),
        out: partial.clone(),
        observer: Some(sender),
        cancel,
    };
    let ended = engine::run(order).await;
    let _ = progress.await;
    match ended {
        Ok(ended) => {
            let whole = how.out.join(&run);
            let concluded = conclude(&partial, &whole, how, out);
            for left in &ended.left {
                out.error(&format!("could not be cleaned up: {left}"), Some("`passmuster gc` tries again"));
            }
            let left = !ended.left.is_empty();
            match concluded {
                Ok((view, dir)) => Done { exit: exit(&ended.status, view.verdict.outcome, left), view: Some(view), dir: Some(dir), left },
                Err(message) => {
                    out.error(&message, None);
                    Done { exit: Exit::Internal, view: None, dir: None, left }
                }
            }
        }
        Err(e) => {
            out.error(&e.to_string(), e.hint().as_deref());
            let exit = if matches!(e, Error::Io { .. }) { Exit::Undecided } else { Exit::Internal };
            Done { exit, view: None, dir: None, left: false }
        }
    }
}

/// The exit of one run. What was left behind is never a success, and nothing better than undecided.
fn exit(status: &str, outcome: Outcome, left: bool) -> Exit {
    let of_run = if status == "interrupted" { Exit::Interrupted } else { Exit::of(outcome) };
    Exit::worst([of_run, if left { Exit::Undecided } else { Exit::Ok }])
}

/// From the raw record to published evidence.
fn conclude(partial: &Path, whole: &Path, how: &How<'_>, out: &mut Out) -> Result<(RunView, PathBuf), String> {
    let text = |e: bundle::EvidenceError| e.to_string();
    let record = bundle::load(partial).map_err(text)?;
    let view = verify::recompute(&record);
    let page = report::html::run(&record, &view)?;
    bundle::write(partial, "run.json", view.to_json().as_bytes()).map_err(text)?;
    bundle::write(partial, "report.html", page.as_bytes()).map_err(text)?;
    bundle::write(partial, "environment.json", environment(&view).as_bytes()).map_err(text)?;
    if let Some(target) = &view.target {
        let json = serde_json::to_string_pretty(target).unwrap_or_default() + "\n";
        bundle::write(partial, "target.json", json.as_bytes()).map_err(text)?;
    }
    let shown = whole.join("report.html").display().to_string();
    bundle::write(partial, "terminal.txt", report::terminal::run(&view, Some("report.html"), Style::PLAIN).as_bytes()).map_err(text)?;
    bundle::compress(partial).map_err(text)?;
    seal::seal(partial).map_err(text)?;
    let dir = bundle::publish(partial, whole).map_err(text)?;
    if how.show && !out.json() {
        let text = report::terminal::run(&view, Some(&shown), out.style());
        out.data(&text);
    }
    Ok((view, dir))
}

/// What the run was made on. Nothing here names the machine or its user.
fn environment(view: &RunView) -> String {
    let value = serde_json::json!({
        "environment": 1,
        "tool": view.tool,
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "instances": view.instances,
        "relaxed": view.verdict.relaxed,
        "not_run": view.verdict.not_run,
    });
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

fn random_seed() -> u64 {
    let text = crate::harness::system::s3::random_hex(8).unwrap_or_default();
    // Short enough to be typed again.
    u64::from_str_radix(&text, 16).unwrap_or(1) % 1_000_000_000
}

/// How progress is shown.
struct Progress {
    style: Style,
    terminal: bool,
    quiet: bool,
    verbose: bool,
    open: Option<(String, crate::model::time::Stamp)>,
}

impl Progress {
    fn new(out: &Out, plan: &Plan) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let p = Progress { style: out.error_style(), terminal, quiet: out.common.quiet, verbose: out.common.verbose, open: None };
        if !p.quiet {
            let sabotage = plan.sabotage.as_ref().map_or(String::new(), |s| format!(", sabotage {s}"));
            p.write(&format!("{} on the {} lab, seed {}{sabotage}\n", p.style.bold(&plan.scenario), plan.lab, plan.seed));
        }
        p
    }

    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }

    fn close(&mut self, now: crate::model::time::Stamp) {
        let Some((name, since)) = self.open.take() else { return };
        let took = human_duration(now.since(since));
        let line = format!("  {name:<34} {took}\n");
        self.write(&if self.terminal { format!("\r\x1b[K{line}") } else { line });
    }

    fn take(&mut self, e: &Stamped) {
        if self.verbose && !matches!(e.event, Event::Progress { .. } | Event::Load { .. }) {
            let json = serde_json::to_string(&e.event).unwrap_or_default();
            self.write(&format!("  {:>9.3} {json}\n", e.t.secs()));
        }
        if self.quiet {
            return;
        }
        match &e.event {
            Event::Phase { name } => {
                self.close(e.t);
                if self.terminal {
                    self.write(&format!("  {name} …"));
                }
                self.open = Some((name.clone(), e.t));
            }
            Event::Progress { what, bytes, of } if self.terminal => {
                let of = of.map_or(String::new(), |of| format!(" of {}", human_size(of)));
                if let Some((name, since)) = &self.open {
                    let elapsed = e.t.since(*since);
                    let rate = (*bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
                    self.write(&format!("\r\x1b[K  {name} … {what} {}{of}, {}/s, {}", human_size(*bytes), human_size(rate), human_duration(elapsed)));
                }
            }
            Event::Broke { message, .. } => {
                self.close(e.t);
                self.write(&format!("  {} {message}\n", self.style.bad("broke:")));
            }
            Event::Failed { class, detail, .. } => {
                self.close(e.t);
                self.write(&format!("  {} {detail}\n", self.style.bad(&format!("{}:", class.word()))));
            }
            Event::Interrupted => {
                self.close(e.t);
                self.write("  interrupted; cleaning up\n");
            }
            Event::RunEnded { .. } => self.close(e.t),
            _ => {}
        }
    }
}

async fn progress(mut events: mpsc::UnboundedReceiver<Stamped>, mut shown: Progress) {
    while let Some(e) = events.recv().await {
        shown.take(&e);
        if matches!(e.event, Event::RunEnded { .. }) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn several_runs_of_several_scenarios_are_in_an_order_drawn_from_the_seed() {
        let order = schedule(2, 20, 7);
        let all: BTreeSet<(usize, u64)> = (0..2).flat_map(|s| (7..27).map(move |seed| (s, seed))).collect();
        assert_eq!((order.len(), order.iter().copied().collect::<BTreeSet<_>>()), (40, all));
        assert_eq!(order, schedule(2, 20, 7));
        assert_ne!(order, schedule(2, 20, 8));
        let changes = order.windows(2).filter(|w| w[0].0 != w[1].0).count();
        assert!(changes > 5, "one scenario after the other: {order:?}");
        // What is run once stays as it was typed, and a lone scenario has nothing to be mixed with.
        assert_eq!(schedule(3, 1, 7), [(0, 7), (1, 7), (2, 7)]);
        assert_eq!(schedule(1, 3, 7), [(0, 7), (0, 8), (0, 9)]);
        assert_eq!(schedule(1, 2, u64::MAX), [(0, u64::MAX), (0, 0)]);
    }

    #[test]
    fn what_is_left_behind_is_never_a_success() {
        for (outcome, left, code) in
            [(Outcome::Pass, false, 0), (Outcome::Pass, true, 11), (Outcome::Fail, true, 10), (Outcome::Error, true, 11), (Outcome::Error, false, 11)]
        {
            assert_eq!(exit("completed", outcome, left).code(), code, "{outcome:?} {left}");
        }
        assert_eq!(exit("interrupted", Outcome::Inconclusive, true), Exit::Interrupted);
    }
}
