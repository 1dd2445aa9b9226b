//! Results on standard output and everything else on standard error; colour where it is wanted; readers that go away.

use super::{PROGRAM, Place, Ran, command, fixtures, run, snapshot};
use std::io::Read;
use std::process::Stdio;

/// Commands with a result, which they write to standard output and nothing beside it.
const RESULTS: [&[&str]; 9] = [
    &["--help"],
    &["--version"],
    &["list", "sabotages"],
    &["explain", "postgres"],
    &["completions", "bash"],
    &["report", "run-green"],
    &["report", "run-red"],
    &["verify", "run-green", "run-red"],
    &["report", "run-green", "--format", "json"],
];

/// Commands that must complain, and have no result: with the exit code.
const COMPLAINTS: [(i32, &[&str]); 8] = [
    (2, &[]),
    (2, &["frobnicate"]),
    (2, &["list", "fualts"]),
    (2, &["list", "--format", "xml"]),
    (2, &["explain", "drop-tabel"]),
    (2, &["explain", "nonsense"]),
    (2, &["completions", "bsh"]),
    (2, &["gc", "--scratch", "nowhere"]),
];

/// The snapshots of this file.
pub fn snapshots() -> Vec<String> {
    ["complaints", "gc"].map(String::from).to_vec()
}

const ESCAPE: char = '\x1b';

#[test]
fn results_go_to_standard_output_and_complaints_to_standard_error() {
    for args in RESULTS {
        let ran = run(args);
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""), "{args:?}");
        assert!(ran.stdout.ends_with('\n') && ran.stdout.len() > 10, "{args:?}: {:?}", ran.stdout);
    }
    let mut all = String::new();
    for (exit, args) in COMPLAINTS {
        let ran = run(args);
        assert_eq!((ran.exit, ran.stdout.as_str()), (exit, ""), "{args:?}");
        // With no command at all, the help is the answer; it has a snapshot of its own.
        if !args.is_empty() {
            all.push_str(&ran.shown(args));
        }
    }
    snapshot("complaints", &all);
}

#[test]
fn quiet_leaves_results_and_errors() {
    let place = Place::new();
    place.write("good.yaml", include_str!("base.yaml")).write("bad.yaml", "scenario: x\n");
    assert_eq!(place.run(&["lint", "good.yaml"]).stderr, "1 file read, nothing found\n");
    assert_eq!(place.run(&["-q", "lint", "good.yaml"]).stderr, "");
    assert!(place.run(&["lint", "bad.yaml", "--quiet"]).stderr.contains("PM0103"));
    assert_eq!(place.run(&["-q", "-v", "list"]).exit, 2);
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let place = Place::new();
    place.write("bad.yaml", "scenario: x\n");
    let green = fixtures().join("run-green").display().to_string();
    for args in [&["lint", "bad.yaml"][..], &["report", &green], &["verify", &green], &["list", "faults"], &["explain", "exact"]] {
        let with = |more: &[&str]| {
            let ran = place.run(&[args, more].concat());
            ran.stdout + &ran.stderr
        };
        // Neither stream is a terminal here.
        let plain = with(&[]);
        assert!(!plain.contains(ESCAPE), "{args:?}");
        assert_eq!(with(&["--color", "never"]), plain, "{args:?}");
        let coloured = with(&["--color", "always"]);
        assert!(coloured.contains(ESCAPE), "{args:?}");
        if args[0] != "lint" {
            assert_eq!(without_escapes(&coloured), plain, "{args:?}: colour must not change the text");
        }
    }
}

#[test]
fn on_a_terminal_there_is_colour_unless_somebody_objects() {
    let place = Place::new();
    place.write("bad.yaml", "scenario: x\n");
    let on_terminal = |environment: &[(&str, &str)], typed: &str| {
        let mut script = command("/usr/bin/script", &place.dir);
        // The program's streams are those of a terminal that `script` makes; it writes what is shown there.
        script.args(["-q", "-e", "-c", &format!("exec {PROGRAM} {typed}"), "/dev/null"]).env("TERM", "xterm").envs(environment.iter().copied());
        let output = script.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (typed, exit, word) in [("lint bad.yaml", 2, "PM0103"), ("list faults", 0, "drop-table")] {
        for (environment, more, coloured) in [
            (&[][..], "", true),
            (&[("NO_COLOR", "")], "", true),
            (&[("NO_COLOR", "1")], "", false),
            (&[("TERM", "dumb")], "", false),
            (&[], "--color never", false),
            (&[("NO_COLOR", "1")], "--color always", true),
        ] {
            let (code, shown) = on_terminal(environment, &format!("{typed} {more}"));
            assert_eq!(code, Some(exit), "{typed} {more} {environment:?}: {shown}");
            assert!(shown.contains(word), "{typed} {more} {environment:?}: {shown}");
            assert_eq!(shown.contains(ESCAPE), coloured, "{typed} {more} {environment:?}: {shown:?}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_no_panic() {
    let mut commands = RESULTS.to_vec();
    commands.push(&["lint", "--format", "json"]);
    for args in commands {
        // Gone before anything is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(PROGRAM, &fixtures()).args(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let ran = Ran::from(output, args);
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""), "{args:?}");
        // `| head -c 1`
        let mut child = command(PROGRAM, &fixtures()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let ran = Ran::from(child.wait_with_output().unwrap(), args);
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    for args in [&["list", "codes"][..], &["verify", "run-green"], &["report", "run-green", "--format", "json"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::from(command(PROGRAM, &fixtures()).args(args).stdout(full).stderr(Stdio::piped()).output().unwrap(), args);
        assert_eq!(ran.exit, 1, "{args:?}");
        assert!(ran.stderr.contains("could not be written to standard output"), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn gc_removes_what_a_dead_run_left_and_else_does_nothing() {
    let place = Place::new();
    place.write("scratch/other", "");
    let user = nix::unistd::getuid();
    let base = format!("scratch/passmuster-{user}");
    let mut all = String::new();
    let mut gc = |more: &[&str]| {
        let args = [&["gc", "--scratch", "scratch"], more].concat();
        let ran = place.run(&args);
        assert_eq!(ran.exit, 0, "{args:?}: {}", ran.stderr);
        all.push_str(&ran.shown(&args).replace(&place.dir.display().to_string(), "[DIR]").replace(&format!("passmuster-{user}"), "passmuster-[UID]"));
        ran
    };
    gc(&[]);
    assert!(!place.has(&base), "nothing to do, and a directory was made");
    assert_eq!(gc(&["--format", "json"]).json()["runs"], serde_json::json!([]));
    let left = place.path(&format!("{base}/20260101T000000Z-0badcafe"));
    let journal = format!("{{\"k\":\"directory\",\"path\":\"{}\"}}\n{{\"k\":\"direc", left.display());
    place.write(&format!("{base}/20260101T000000Z-0badcafe.journal"), journal);
    place.write(&format!("{base}/20260101T000000Z-0badcafe/db/data"), "x");
    gc(&["--dry-run"]);
    assert!(left.join("db/data").exists(), "a dry run removed something");
    gc(&[]);
    assert!(!left.exists());
    gc(&[]);
    assert!(place.has("scratch/other"));
    snapshot("gc", &all);
}

#[test]
fn doctor_says_for_each_thing_whether_it_is_there_and_how_to_get_it() {
    let place = Place::new();
    // No engine answers at this address.
    let doctor = |args: &[&str]| {
        let mut doctor = command(PROGRAM, &place.dir);
        doctor.arg("doctor").args(args).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        Ran::from(doctor.output().unwrap(), args)
    };
    let ran = doctor(&["--format", "json"]);
    let json = ran.json();
    assert_eq!(json["version"], 1);
    assert_eq!(json["docker"], false);
    let local = json["local"].as_bool().unwrap();
    assert_eq!(ran.exit, if local { 0 } else { 11 });
    assert_eq!(ran.stderr, "");
    let findings = json["findings"].as_array().unwrap();
    let named = |what: &str| findings.iter().find(|f| f["what"].as_str().unwrap().contains(what)).unwrap_or_else(|| panic!("{what}: {json}"));
    for what in ["PostgreSQL", "user for servers", "scratch directory", "Docker Engine", "minio"] {
        let f = named(what);
        assert!(["there", "missing"].contains(&f["state"].as_str().unwrap()), "{f}");
        assert!(!f["detail"].as_str().unwrap().is_empty(), "{f}");
        assert_eq!(f["add"].is_string(), f["state"] == "missing", "{f}");
    }
    assert_eq!(named("Docker Engine")["state"], "missing");
    // With an empty PATH there is no `minio`.
    assert_eq!(named("minio")["state"], "missing");
    let human = doctor(&[]);
    assert_eq!((human.exit, human.stderr.as_str()), (ran.exit, ""));
    for f in findings {
        assert!(human.stdout.contains(f["what"].as_str().unwrap()), "{f}");
    }
    let word = if local { "ready" } else { "not ready" };
    assert!(human.stdout.ends_with(&format!("\n local lab: {word}, docker lab: not ready\n")), "{}", human.stdout);
}

fn without_escapes(text: &str) -> String {
    let mut parts = text.split(ESCAPE);
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |out, part| out + part.split_once('m').map_or("", |(_, rest)| rest))
}
