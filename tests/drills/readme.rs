//! The README's commands, as printed.

use crate::support::{Bed, LIMIT, PROGRAM, Running, need_docker, need_local};
use crate::{Tests, test};
use std::process::Command;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

pub fn tests() -> Tests {
    vec![
        test("readme::every_command_does_what_it_says", || {
            need_local()?;
            let bed = Bed::new();
            let text = std::fs::read_to_string(README).expect("README.md");
            let yaml = blocks(&text, "yaml");
            assert_eq!(yaml.len(), 1, "one scenario");
            assert!(yaml[0].lines().count() <= 10, "a scenario in ten lines");
            std::fs::write(bed.path("orders-dropped.yaml"), &yaml[0]).expect("the scenario");
            let commands: Vec<String> = blocks(&text, "sh").iter().flat_map(|b| b.lines().map(String::from).collect::<Vec<_>>()).collect();
            assert!(commands.len() >= 6, "{commands:?}");
            for line in commands {
                let args = line.strip_prefix("cargo run -- ").unwrap_or_else(|| panic!("a command that this test does not know: {line}"));
                let mut command = Command::new(PROGRAM);
                command.args(args.split_whitespace()).current_dir(bed.path(""));
                if args.contains("--lab docker") {
                    command.envs(need_docker("18")?);
                }
                let ran = Running::start(&mut command).finish(LIMIT);
                // The red run is red; everything else holds.
                ran.exits(if args.contains("--sabotage") { 10 } else { 0 });
            }
            Ok(())
        }),
        test("readme::what_it_names_is_there", || {
            let text = std::fs::read_to_string(README).expect("README.md");
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            let targets: Vec<&str> = text.split("](").skip(1).filter_map(|t| t.split(')').next()).filter(|t| !t.contains("://")).collect();
            assert!(targets.len() >= 5);
            for target in targets.iter().chain(&["tests/run", ".ci/run"]) {
                assert!(root.join(target.split('#').next().expect("a path")).exists(), "the README names {target}");
            }
            Ok(())
        }),
    ]
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&opening).skip(1).filter_map(|rest| rest.split_once("\n```").map(|(block, _)| block.to_string())).collect()
}
