//! The command line as a user meets it: help, lists, explanations, bad input, streams and exit codes, and evidence
//! read again. Nothing here starts a server; drills are in `tests/drills`.
//!
//! Every run of the program has an environment of its own (no PATH, no HOME, 100 columns), so that a snapshot depends
//! on the program alone. New snapshots are accepted with `INSTA_UPDATE=always cargo test --test cli`, and then read.
// Tests spawn the program and give up by panicking; the rules for the library do not fit here.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/evidence.rs"]
mod evidence;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/input.rs"]
mod input;
#[path = "cli/streams.rs"]
mod streams;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const PROGRAM: &str = env!("CARGO_BIN_EXE_passmuster");

/// Exit codes that `--help` lists.
const EXITS: [i32; 8] = [0, 1, 2, 3, 10, 11, 12, 130];

/// An empty directory to run the program in, removed at the end.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Place { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Place {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// A recorded run, copied so that it can be spoilt.
    fn with_run(&self, fixture: &str, name: &str) -> &Place {
        for entry in std::fs::read_dir(fixtures().join(fixture)).unwrap() {
            let from = entry.unwrap().path();
            if from.is_dir() {
                let below = from.file_name().unwrap().to_string_lossy();
                self.with_run(&format!("{fixture}/{below}"), &format!("{name}/{below}"));
                continue;
            }
            self.write(&format!("{name}/{}", from.file_name().unwrap().to_string_lossy()), std::fs::read(&from).unwrap());
        }
        self
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(command(PROGRAM, &self.dir).args(args).output().unwrap(), args)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A program with nothing from the environment of the tests.
fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env_clear().env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// Runs the program where it does not matter.
fn run(args: &[&str]) -> Ran {
    Ran::from(command(PROGRAM, &fixtures()).args(args).output().unwrap(), args)
}

/// What came of a run of the program.
struct Ran {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn from(output: Output, args: &[&str]) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let exit = output.status.code().unwrap_or_else(|| panic!("{args:?} was killed: {}", output.status));
        let ran = Ran { exit, stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(EXITS.contains(&ran.exit), "{args:?} ended with {}", ran.exit);
        assert!(!ran.stderr.contains("panicked"), "{args:?}: {}", ran.stderr);
        ran
    }

    /// The result, of a run in which all went well and nothing else was said.
    fn result(self, args: &[&str]) -> String {
        assert_eq!((self.exit, self.stderr.as_str()), (0, ""), "{args:?}");
        self.stdout
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    /// All of it, for a snapshot.
    fn shown(&self, args: &[&str]) -> String {
        let section = |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("--- {name}\n{text}\n") };
        let arg = |a: &&str| if a.contains([' ', '{']) { format!("'{a}'") } else { a.to_string() };
        let typed = args.iter().map(arg).collect::<Vec<_>>().join(" ");
        format!(
            "$ passmuster {typed}\nexit {}\n{}{}",
            self.exit,
            section("standard output", self.stdout.trim_end()),
            section("standard error", self.stderr.trim_end())
        )
    }
}

/// Compares with `tests/snapshots/NAME.snap`.
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Snapshots that no test looks at would rot.
#[test]
fn every_snapshot_belongs_to_a_test() {
    let expected: std::collections::BTreeSet<String> =
        [help::snapshots(), input::snapshots(), evidence::snapshots(), streams::snapshots()].concat().into_iter().collect();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    let there: std::collections::BTreeSet<String> = names.filter_map(|n| n.strip_suffix(".snap").map(String::from)).collect();
    let rot: Vec<_> = there.difference(&expected).collect();
    let missing: Vec<_> = expected.difference(&there).collect();
    assert!(rot.is_empty() && missing.is_empty(), "no test for {rot:?}; no snapshot for {missing:?}");
}
