//! Green can go red: every sabotage, on every lab where it differs, and the messages of a red run.

use crate::support::{Bed, LIMIT, Running, all_files, need_docker, need_local};
use crate::{Tests, test};
use passmuster::cli::catalog::catalog;
use std::collections::BTreeSet;

pub fn tests() -> Tests {
    let mut all: Tests = vec![test("red::the_readmes_red_run", || {
        need_local()?;
        let bed = Bed::new();
        let ran = bed.run(["drill", "postgres-drop-table", "--sabotage", "archive-skips-segment"], &[]);
        ran.exits(10).says("archive-complete").says("sabotage");
        bed.assert_nothing_left("a red run");
        Ok(())
    })];
    let scenarios: BTreeSet<&str> = catalog().sabotages.iter().flat_map(|s| s.scenarios.iter().copied()).collect();
    for scenario in scenarios {
        all.push(test(format!("red::falsify::{scenario}"), move || {
            need_local()?;
            let of: Vec<&str> = catalog().sabotages.iter().filter(|s| s.scenarios.contains(&scenario)).map(|s| s.name).collect();
            falsify(scenario, &[], &[], of.len())
        }));
        let differing: Vec<&str> =
            catalog().sabotages.iter().filter(|s| s.differs_by_lab && s.scenarios.contains(&scenario)).map(|s| s.name).collect();
        if !differing.is_empty() {
            all.push(test(format!("red::falsify::docker::{scenario}"), move || {
                let env = need_docker("15")?;
                falsify(scenario, &differing, &env, differing.len())
            }));
        }
    }
    all
}

fn falsify(scenario: &str, only: &[&str], env: &[(String, String)], expected: usize) -> Result<(), crate::support::Skip> {
    let bed = Bed::new();
    let mut args = vec!["falsify", scenario, "--format", "json"];
    for name in only {
        args.extend(["--only", name]);
    }
    if !env.is_empty() {
        args.extend(["--lab", "docker"]);
    }
    let mut command = bed.command(args);
    command.envs(env.iter().map(|(k, v)| (k, v)));
    let ran = Running::start(&mut command).finish(LIMIT * expected as u32);
    let value = ran.json();
    let survived: Vec<_> = value["sabotages"].as_array().expect("sabotages").iter().filter(|s| s["fate"] != "killed").collect();
    assert!(survived.is_empty(), "survivors: {survived:#?}");
    assert_eq!(value["killed"].as_u64(), Some(expected as u64), "{value:#}");
    for green in value["without_sabotage"].as_array().expect("without sabotage") {
        assert_eq!(green["outcome"], "pass", "green, red, green: {green}");
    }
    assert_eq!(value["without_sabotage"].as_array().map(Vec::len), Some(2), "before and after");
    ran.exits(0);
    // What is recorded of each run verifies with nothing running: the same verdicts, the red ones as well.
    bed.run(["verify", &bed.path("out").display().to_string()], &[]).exits(0);
    assert!(all_files(&bed.path("out")).len() > expected * 8, "evidence of every run");
    bed.assert_nothing_left("falsify");
    Ok(())
}
