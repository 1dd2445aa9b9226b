//! Evidence read again with nothing running: `verify` and `report` on two recorded runs, and on what is not evidence.
//!
//! The runs in `tests/fixtures` were made by
//! `passmuster drill postgres-drop-table --seed 7 --set rate=40/s --set data=1MiB --set lead=1s`, the red one with
//! `--sabotage archive-skips-segment`.

use super::{Place, fixtures, run, snapshot};
use passmuster::model::seed::sha256_base64;
use serde_json::Value;

const RUNS: [(&str, &str); 2] = [("run-green", "pass"), ("run-red", "fail")];

/// The snapshots of this file.
pub fn snapshots() -> Vec<String> {
    ["report-run-green", "report-run-red", "report-run-red-narrow", "verify", "verify-what-is-no-evidence", "report-what-is-no-evidence"]
        .map(String::from)
        .to_vec()
}

fn kept(run: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixtures().join(run).join("run.json")).unwrap()).unwrap()
}

#[test]
fn the_terminal_report_is_rendered_from_the_record() {
    for (name, _) in RUNS {
        let text = run(&["report", name]).result(&["report", name]);
        let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > 100).collect();
        assert_eq!(wide, Vec::<&str>::new(), "{name}");
        snapshot(&format!("report-{name}"), &text);
    }
    let mut narrow = super::command(super::PROGRAM, &fixtures());
    let output = narrow.args(["report", "run-red"]).env("COLUMNS", "72").output().unwrap();
    snapshot("report-run-red-narrow", &String::from_utf8(output.stdout).unwrap());
}

#[test]
fn the_verdict_is_computed_again_and_is_the_one_that_was_kept() {
    let args = ["verify", "run-green", "run-red"];
    snapshot("verify", &run(&args).shown(&args));
    let place = Place::new();
    place.with_run("run-green", "run-green").with_run("run-red", "run-red");
    let json = place.run(&["verify", ".", "--format", "json"]);
    assert_eq!(json.exit, 0, "{}", json.stdout);
    let lines = json.json()["runs"].clone();
    for (line, (name, outcome)) in lines.as_array().unwrap().iter().zip(RUNS) {
        assert_eq!(line["directory"], format!("./{name}"));
        assert_eq!((&line["outcome"], &line["verifies"]), (&outcome.into(), &true.into()));
        assert_eq!(line["run"], kept(name)["run"]);
        // The machine view is that of the file, of this version of the program.
        let mut view = run(&["report", name, "--format", "json"]).json()["runs"][0].clone();
        view["tool"] = kept(name)["tool"].clone();
        assert_eq!(view, kept(name), "{name}");
    }
    assert_eq!(lines.as_array().unwrap().len(), RUNS.len());
}

/// A change of the record: where, and what must be named as different.
type Spoil = (&'static str, fn(&Place), &'static str);

const SPOILS: [Spoil; 9] = [
    ("the verdict that was kept says pass", |p| edit(p, "run.json", "\"outcome\": \"fail\"", "\"outcome\": \"pass\""), "/verdict"),
    ("a figure that was kept", |p| edit(p, "run.json", "\"acknowledged\": 97", "\"acknowledged\": 96"), "/verdict/loss/acknowledged"),
    ("the promise", |p| edit(p, "plan.json", "900000000000", "900000000001"), "/plan/objectives/rto"),
    ("the sabotage", |p| edit(p, "plan.json", "\"archive-skips-segment\"", "null"), "/plan/sabotage"),
    ("a moment", |p| edit(p, "events.jsonl", "\"event\":\"run-ended\"", "\"event\":\"run-never\""), "record-unreadable"),
    ("the ledger is gone", |p| std::fs::remove_file(p.path("run/ledger.jsonl.zst")).unwrap(), "ledger"),
    ("the ledger is cut off", |p| cut(p, "run/ledger.jsonl.zst"), "ledger"),
    ("the verdict is gone", |p| std::fs::remove_file(p.path("run/run.json")).unwrap(), "cannot be read"),
    (
        "the raw record is gone",
        |p| ["events.jsonl", "plan.json"].iter().for_each(|f| std::fs::remove_file(p.path(&format!("run/{f}"))).unwrap()),
        "the raw record is gone",
    ),
];

fn edit(place: &Place, file: &str, from: &str, to: &str) {
    let name = format!("run/{file}");
    let text = std::fs::read_to_string(place.path(&name)).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    place.write(&name, text.replacen(from, to, 1));
}

fn cut(place: &Place, name: &str) {
    let bytes = std::fs::read(place.path(name)).unwrap();
    place.write(name, &bytes[..bytes.len() / 2]);
}

#[test]
fn evidence_that_was_changed_does_not_verify() {
    let untouched = Place::new();
    assert_eq!(untouched.with_run("run-red", "run").run(&["verify", "run"]).exit, 0);
    for (what, spoil, named) in SPOILS {
        let place = Place::new();
        place.with_run("run-red", "run").with_run("run-green", "other");
        spoil(&place);
        // Also from the directory above, where a run that is not recognised would be passed over.
        for path in ["run", "."] {
            let ran = place.run(&["verify", path]);
            assert_eq!(ran.exit, 12, "{what}: {}{}", ran.stdout, ran.stderr);
            assert!(ran.stdout.contains("DOES NOT VERIFY"), "{what}: {}", ran.stdout);
            assert!(ran.stdout.contains(named), "{what}: {}", ran.stdout);
        }
    }
}

#[test]
fn a_run_that_never_ended_does_not_verify() {
    let place = Place::new();
    place.with_run("run-green", "runs/.partial-20260101T000000Z-0badcafe");
    let ran = place.run(&["verify", "runs"]);
    assert_eq!(ran.exit, 11);
    // Whatever the record so far seems to say.
    assert!(ran.stdout.starts_with("UNFINISHED  -  "), "{}", ran.stdout);
}

#[test]
fn what_is_no_evidence_is_said_with_the_right_exit_code() {
    let place = Place::new();
    place.write("empty/notes.txt", "").write("file", "").with_run("run-green", "run");
    place.write("broken/run.json", "{}");
    for command in ["verify", "report"] {
        let mut all = String::new();
        for (exit, paths) in [(3, &[][..]), (2, &["nowhere"]), (3, &["empty"]), (2, &["file"]), (12, &["broken"]), (2, &["run", "nowhere", "broken"])]
        {
            let args = [&[command], paths].concat();
            let ran = place.run(&args);
            assert_eq!(ran.exit, exit, "{args:?}: {}", ran.stderr);
            // The report itself has a snapshot of its own.
            let ran = if command == "report" { super::Ran { stdout: String::new(), ..ran } } else { ran };
            all.push_str(&ran.shown(&args));
        }
        snapshot(&format!("{command}-what-is-no-evidence"), &all);
    }
    let json = place.run(&["verify", "empty", "--format", "json"]);
    assert_eq!((json.exit, json.json()), (3, serde_json::json!({"version": 1, "runs": []})));
}

#[test]
fn the_page_stands_alone() {
    for (name, outcome) in RUNS {
        let place = Place::new();
        place.with_run(name, "run");
        let ran = place.run(&["report", "run", "--html", "page.html"]);
        assert_eq!((ran.exit, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
        let page = std::fs::read_to_string(place.path("page.html")).unwrap();
        let low = page.to_lowercase();
        for loaded in
            ["<script", "<link", "<img", "<iframe", "<object", "<embed", " src=", "href=", "@import", "url(", "http:", "https:", "onload", "onclick"]
        {
            assert!(!low.contains(loaded), "{name} has {loaded}");
        }
        assert!(page.starts_with("<!doctype html>") && page.contains("<svg"), "{name}");
        // The policy forbids everything but this style, so it must be its hash.
        let style = page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).unwrap().0;
        let policy = page.split_once("Content-Security-Policy\" content=\"").unwrap().1.split_once('"').unwrap().0.replace("&#x2f;", "/");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains(&format!("style-src 'sha256-{}'", sha256_base64(style.as_bytes()))), "{name}: {policy}");
        assert!(!page.contains(" style=\""), "{name}: the policy forbids styles of elements");
        balanced(&page);
        let view = kept(name);
        assert!(page.contains(&format!("<title>postgres-drop-table: {outcome}</title>")), "{name}");
        for judgement in view["verdict"]["judgements"].as_array().unwrap() {
            assert!(page.contains(judgement["id"].as_str().unwrap()), "{name}: {judgement}");
        }
        assert!(page.contains(view["run"].as_str().unwrap()), "{name}");
        assert_eq!(page.contains("archive-skips-segment"), name == "run-red", "{name}: the sabotage is named");
    }
}

/// Every element that is opened is closed, in order.
fn balanced(page: &str) {
    const VOID: [&str; 4] = ["meta", "br", "hr", "!doctype"];
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let (inside, _) = tag.split_once('>').unwrap_or_else(|| panic!("`<{tag}` has no end"));
        let name = inside.split([' ', '/', '\n']).find(|p| !p.is_empty()).unwrap_or_default();
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed, but not opened last");
        } else if !VOID.contains(&name) && !inside.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "opened and never closed");
}

#[test]
fn a_page_holds_one_run_and_must_be_writable() {
    let place = Place::new();
    place.with_run("run-green", "runs/a").with_run("run-red", "runs/b").write("file", "");
    let two = place.run(&["report", "runs", "--html", "page.html"]);
    assert_eq!(two.exit, 2);
    assert!(two.stderr.contains("2 runs do not fit into one page") && !place.has("page.html"), "{}", two.stderr);
    let unwritable = place.run(&["report", "runs/a", "--html", "file/page.html"]);
    assert_eq!(unwritable.exit, 2);
    assert!(unwritable.stderr.contains("file/page.html cannot be written: not a directory"), "{}", unwritable.stderr);
}
