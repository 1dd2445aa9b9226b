//! Runs that are stopped: Ctrl-C and SIGTERM in each phase, SIGKILL and `gc`. Nothing may be left.

use crate::support::{Bed, LIMIT, Running, need_docker, need_local, recorded, view, within};
use crate::{Tests, test};
use nix::sys::signal::Signal;
use std::time::Duration;

pub fn tests() -> Tests {
    let mut all: Tests = Vec::new();
    for scenario in ["postgres-drop-table", "postgres-instance-lost"] {
        all.push(test(format!("stops::interrupted_in_each_phase::{scenario}"), move || {
            need_local()?;
            interrupted_in_each_phase(scenario, &[], None);
            Ok(())
        }));
    }
    all.push(test("stops::interrupted_in_containers", || {
        let env = need_docker("15")?;
        let phases = ["start the database", "load the base data", "base backup", "recover: pitr", "control restore"];
        interrupted_in_each_phase("postgres-drop-table", &env, Some(&phases));
        Ok(())
    }));
    all.push(test("stops::sigterm_is_the_same", || {
        need_local()?;
        let bed = Bed::new();
        stopped(&bed, "postgres-instance-lost", "load", Signal::SIGTERM, &[]);
        Ok(())
    }));
    for phase in ["load the base data", "base backup", "load", "recover: pitr"] {
        all.push(test(format!("stops::killed_then_gc::{}", phase.replace([' ', ':'], "-")), move || {
            need_local()?;
            killed_then_gc(phase, &[]);
            Ok(())
        }));
    }
    all.push(test("stops::killed_then_gc::containers", || {
        let env = need_docker("15")?;
        killed_then_gc("load", &env);
        Ok(())
    }));
    all.push(test("stops::gc_leaves_a_run_alone_that_is_under_way", || {
        need_local()?;
        let bed = Bed::new();
        let running = Running::start(&mut bed.command(["drill", "postgres-instance-lost", "-v"]));
        assert!(running.until_phase("load"), "it got there");
        bed.run(["gc", "--scratch", &bed.path("scratch").display().to_string()], &[]).exits(0).says("0 dead runs");
        running.finish(LIMIT).exits(0);
        bed.assert_nothing_left("a run beside a gc");
        Ok(())
    }));
    all
}

/// The phases of a scenario, as a whole run records them.
fn phases_of(scenario: &str) -> Vec<String> {
    let bed = Bed::new();
    bed.run(["drill", scenario], &[]).exits(0);
    let events = recorded(&bed.only_run(), "events.jsonl");
    let values = events.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
    values.filter(|e| e["event"] == "phase").filter_map(|e| e["name"].as_str().map(String::from)).collect()
}

fn interrupted_in_each_phase(scenario: &str, env: &[(String, String)], only: Option<&[&str]>) {
    let phases = only.map_or_else(|| phases_of(scenario), |p| p.iter().map(|s| s.to_string()).collect());
    assert!(phases.len() >= 5, "{phases:?}");
    for phase in &phases {
        let bed = Bed::new();
        stopped(&bed, scenario, phase, Signal::SIGINT, env);
    }
}

fn stopped(bed: &Bed, scenario: &str, phase: &str, signal: Signal, env: &[(String, String)]) {
    let mut args = vec!["drill", scenario, "-v"];
    if !env.is_empty() {
        args.extend(["--lab", "docker"]);
    }
    let mut command = bed.command(args);
    command.envs(env.iter().map(|(k, v)| (k, v)));
    let running = Running::start(&mut command);
    assert!(running.until_phase(phase), "{scenario} has the phase {phase}");
    // Somewhere in the phase: after the next thing that happens in it.
    running.until(LIMIT, |_| true);
    running.signal(signal);
    let ran = running.finish(Duration::from_secs(60));
    bed.assert_nothing_left(&format!("{signal} in `{phase}`"));
    let view = view(&bed.only_run());
    if phase == "clean up" {
        // Everything was judged when the request came.
        assert!(matches!(ran.code, Some(0 | 130)), "{ran:?}");
        return;
    }
    ran.exits(130);
    assert_eq!(view["verdict"]["status"], "interrupted", "{phase}");
    assert_ne!(view["verdict"]["outcome"], "pass", "{phase}: an interrupted run is no pass");
    bed.run(["verify", &bed.only_run().display().to_string()], &[]).exits(0);
}

fn killed_then_gc(phase: &str, env: &[(String, String)]) {
    let bed = Bed::new();
    let mut args = vec!["drill", "postgres-drop-table", "-v"];
    if !env.is_empty() {
        args.extend(["--lab", "docker"]);
    }
    let mut command = bed.command(args);
    command.envs(env.iter().map(|(k, v)| (k, v)));
    let running = Running::start(&mut command);
    assert!(running.until_phase(phase), "it got there");
    running.until(LIMIT, |_| true);
    running.signal(Signal::SIGKILL);
    let ran = running.finish(Duration::from_secs(60));
    assert_eq!(ran.code, None, "killed");
    assert!(!bed.left().is_empty(), "a SIGKILL leaves something, or this test shows nothing");
    let scratch = bed.path("scratch").display().to_string();
    bed.run(["gc", "--scratch", &scratch, "--dry-run"], &[]).exits(0).says("would remove");
    assert!(!bed.left().is_empty(), "--dry-run removes nothing");
    bed.run(["gc", "--scratch", &scratch], &[]).exits(0).says("removed");
    // Processes of the killed run are reaped by init, not by us.
    within(Duration::from_secs(10), || bed.left().is_empty());
    bed.assert_nothing_left("gc");
    bed.run(["gc", "--scratch", &scratch], &[]).exits(0).says("0 dead runs");
    // The raw record so far is kept, and is no pass.
    let partial = std::fs::read_dir(bed.path("out")).expect("evidence").flatten().map(|e| e.path()).next().expect("a partial record");
    assert!(partial.join("events.jsonl").exists());
    let verified = bed.run(["verify", &partial.display().to_string(), "--format", "json"], &[]);
    assert_ne!(verified.json()["runs"][0]["outcome"], "pass");
}
