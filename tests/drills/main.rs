//! Drills against real servers, run as a user runs them: one test at a time, since each measures time.
//!
//! A test that needs what is not here is reported as ignored with the reason, and noted in the file that `PM_TEST_SKIPS` names;
//! `tests/run` fails on a skip that `tests/unsupported-here.txt` does not name.
#![allow(clippy::disallowed_methods, reason = "tests start the program under test and look at the machine from outside")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod green;
mod readme;
mod red;
mod stops;
mod support;
mod trouble;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::io::Write;
use support::{Done, Skip};

/// Tests by name.
pub type Tests = Vec<(String, Box<dyn FnOnce() -> Done + Send>)>;

/// One test of a list.
pub fn test(name: impl Into<String>, run: impl FnOnce() -> Done + Send + 'static) -> (String, Box<dyn FnOnce() -> Done + Send>) {
    (name.into(), Box::new(run))
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let all = [green::tests(), red::tests(), trouble::tests(), stops::tests(), readme::tests()];
    let trials = all.into_iter().flatten().map(|(name, run)| {
        let noted = name.clone();
        Trial::ignorable_test(name, move || {
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            match run {
                Ok(Ok(())) => Ok(Completion::Completed),
                Ok(Err(Skip(why))) => {
                    note(&noted, &why);
                    Ok(Completion::ignored_with(why))
                }
                Err(panic) => {
                    let words = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
                    Err(Failed::from(words.unwrap_or_else(|| "it panicked".into())))
                }
            }
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit()
}

fn note(name: &str, why: &str) {
    if let Some(path) = std::env::var_os("PM_TEST_SKIPS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the list of skips");
        writeln!(file, "{name}\t{why}").expect("the list of skips");
    }
}
