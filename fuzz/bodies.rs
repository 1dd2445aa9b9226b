//! What is fuzzed, one function for each target. `fuzz_targets/` only call these; `tests/properties.rs` runs them, too, so
//! that they are compiled and exercised wherever the tests are.
//!
//! Each takes any bytes, and must neither panic nor take long nor believe what it should not.

use passmuster::cli::catalog::catalog;
use passmuster::evidence::{bundle as evidence, seal, verify};
use passmuster::harness::backup::waldump::{Said, read_line};
use passmuster::model::catalog::Catalog;
use passmuster::model::diag::Diagnostics;
use passmuster::model::event::Stamped;
use passmuster::model::ledger::LineChain;
use passmuster::model::plan::{Invocation, Plan};
use passmuster::model::scenario;
use passmuster::model::source::Sources;
use passmuster::report;
use passmuster::report::style::Style;
use passmuster::verdict::Record;
use passmuster::verdict::book::{Book, BookReader};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A scenario: it is read, or at least one diagnostic says why not, and each points into the text.
pub fn scenario(data: &[u8]) {
    scenario_with(data, &[]);
}

/// The same, with the texts of `--set`.
pub fn scenario_with(data: &[u8], sets: &[String]) {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut sources, mut diags) = (Sources::default(), Diagnostics::default());
    sets.iter().for_each(|s| {
        sources.add("--set", s.as_str());
    });
    let id = sources.add("fuzzed.yaml", text);
    let read = scenario::read(&sources, id, CATALOG.get_or_init(catalog), sets, &mut diags);
    assert_eq!(read.is_none(), diags.has_errors(), "a scenario is read if and only if nothing is wrong with it");
    for d in diags.iter() {
        assert!(!d.message.is_empty() && !d.labels.is_empty(), "{d:?}");
        for label in &d.labels {
            let (text, span) = (&sources.get(label.span.source).text, label.span);
            assert!(span.start <= span.end && text.get(span.start as usize..span.end as usize).is_some(), "{d:?} points out of {text:?}");
        }
    }
    assert_eq!(report::diagnostics::human(&diags, &sources, Style::PLAIN).is_empty(), diags.is_empty());
    assert_eq!(report::diagnostics::views(&diags, &sources).len(), diags.len());
    assert!(diags.left_out() == 0 || diags.len() >= 100, "only of very many some are left out");
    if let Some(scenario) = read {
        let plan = Plan::new(&scenario, &invocation());
        let json = serde_json::to_string(&plan).expect("a plan encodes");
        assert_eq!(serde_json::from_str::<Plan>(&json).expect("a plan decodes"), plan);
    }
}

fn invocation() -> Invocation {
    Invocation {
        run: "r".into(),
        scenario_sha256: String::new(),
        lab: "local".into(),
        seed: 1,
        quick: false,
        sabotage: None,
        set: Vec::new(),
        series: None,
    }
}

/// A ledger: read as it is, and once more with its lines sealed anew, so that what stands in them is reached.
pub fn ledger(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    believe(book(&text));
    let (mut chain, mut sealed) = (LineChain::default(), String::new());
    text.lines().for_each(|line| chain.seal(line.rsplit_once('\t').map_or(line, |(json, _)| json), &mut sealed));
    believe(book(&sealed));
}

/// Reads a ledger from its text.
pub fn book(text: &str) -> Book {
    let mut reader = BookReader::default();
    text.lines().for_each(|line| reader.take(line));
    reader.finish()
}

/// Judges the golden run with another ledger.
fn believe(book: Book) {
    let mut record = golden().clone();
    record.book = Some(book);
    render(&record);
}

/// Events: those that can be read are the same after another round, and can be judged.
pub fn events(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read: Vec<Stamped> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    for e in &read {
        round_trip(e);
    }
    let mut record = golden().clone();
    record.events.extend(read.iter().cloned());
    render(&record);
    record.events = read;
    render(&record);
}

/// An event is one line, and the same after it was read back.
pub fn round_trip(e: &Stamped) {
    let json = serde_json::to_string(e).expect("an event encodes");
    assert!(!json.contains('\n'));
    assert_eq!(serde_json::from_str::<Stamped>(&json).expect("an event decodes"), *e, "{json}");
}

/// A record is judged and shown without a panic, and twice the same.
pub fn render(record: &Record) {
    let view = verify::recompute(record);
    assert_eq!(view.to_json(), verify::recompute(record).to_json());
    assert!(!report::terminal::run(&view, None, Style::PLAIN).is_empty());
    report::html::run(record, &view).expect("the page renders");
}

/// A bundle: the golden run with one of its files replaced. It does not verify, unless the file is what it was.
pub fn bundle(data: &[u8]) {
    let [which, content @ ..] = data else { return };
    let (name, kept) = &golden_files()[usize::from(*which) % golden_files().len()];
    // Big evidence is not what is looked for here.
    if content.len() > 1 << 20 {
        return;
    }
    let dir = Scratch::new();
    for (other, bytes) in golden_files() {
        dir.write(other, if other == name { content } else { bytes });
    }
    let verifies = verify::verify(dir.path()).is_ok_and(|v| v.differences.is_empty());
    assert_eq!(verifies, content == kept.as_slice(), "{name}");
    if let Ok(record) = evidence::load(dir.path()) {
        render(&record);
    }
    // Sealed anew by whoever changed it: the verdict is still computed again.
    seal::seal(dir.path()).expect("plain files can be sealed");
    let _ = verify::verify(dir.path());
}

/// The text of `pg_waldump`: whatever it says, positions come from its lines.
pub fn waldump(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for images in [false, true] {
        let mut said = Vec::new();
        for line in text.lines() {
            let before = said.len();
            read_line(line, 1, images, &mut said);
            assert!(said.len() == before || line.starts_with("rmgr: "));
            assert!(images || !said[before..].iter().any(|s| matches!(s, Said::Image { .. })), "{line}");
        }
    }
}

/// The repository: this file is compiled by the tests' crate and by the fuzzer's.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if here.join("tests/fixtures").is_dir() { here.to_path_buf() } else { here.join("..") }
}

/// Where the golden run is.
pub fn golden_dir() -> PathBuf {
    root().join("tests/fixtures/golden-drop-table")
}

/// The golden run.
pub fn golden() -> &'static Record {
    static GOLDEN: OnceLock<Record> = OnceLock::new();
    GOLDEN.get_or_init(|| evidence::load(&golden_dir()).expect("the golden run can be read"))
}

/// Its files by name, with their content.
pub fn golden_files() -> &'static [(String, Vec<u8>)] {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut all = Vec::new();
        let mut queue = vec![String::new()];
        while let Some(below) = queue.pop() {
            for entry in std::fs::read_dir(golden_dir().join(&below)).expect("the golden run is there") {
                let entry = entry.expect("the golden run is there");
                let name = format!("{below}{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    queue.push(name + "/");
                } else {
                    all.push((name, std::fs::read(entry.path()).expect("the golden run can be read")));
                }
            }
        }
        all.sort();
        all
    })
}

/// A directory of its own, removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    pub fn new() -> Scratch {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("passmuster-bodies-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        Scratch(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it.
    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.0.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory can be made");
        }
        std::fs::write(path, content).expect("a file can be written");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
