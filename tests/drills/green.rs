//! Drills that must pass: both scenarios on both labs, every version, every kind of target.

use crate::support::{Bed, assert_green, judged, need_docker, need_local, need_minio, need_postgres, view};
use crate::{Tests, test};
use serde_json::Value;
use std::collections::BTreeSet;

const FIRST_LIGHT: [&str; 2] = ["postgres-drop-table", "postgres-instance-lost"];

pub fn tests() -> Tests {
    let mut all: Tests = vec![
        test("green::first_light_as_the_readme_has_it", || {
            need_local()?;
            let bed = Bed::new();
            let ran = bed.run(["drill", "--fetch"], &[]);
            ran.exits(0).says("verified RTO").says("not proven").says("report.html");
            for scenario in FIRST_LIGHT {
                ran.says(scenario);
            }
            assert_eq!(bed.runs().len(), 2);
            for run in bed.runs() {
                assert_green(&bed, &run);
            }
            bed.assert_nothing_left("first light");
            Ok(())
        }),
        test("green::postgres_crash", || {
            need_local()?;
            let bed = Bed::new();
            bed.run(["drill", "postgres-crash"], &[]).exits(0);
            let view = assert_green(&bed, &bed.only_run());
            assert_eq!(view["verdict"]["loss"]["archive"]["transactions"].as_u64().unwrap_or(0), 0, "a crash loses nothing acknowledged");
            bed.assert_nothing_left("a crash drill");
            Ok(())
        }),
        test("green::quick_leaves_the_control_restore_out_and_says_so", || {
            need_local()?;
            let bed = Bed::new();
            bed.run(["drill", "postgres-drop-table", "--quick"], &[]).says("control");
            let view = view(&bed.only_run());
            let not_run = view["verdict"]["not_run"].as_array().expect("not_run");
            assert!(not_run.iter().any(|n| n[0].as_str().is_some_and(|n| n.contains("control"))), "{not_run:?}");
            assert_ne!(judged(&view, "control-restore-differs").map(|j| &j["outcome"]), Some(&Value::from("pass")), "not run is no pass");
            bed.assert_nothing_left("a quick drill");
            Ok(())
        }),
        test("green::instance_lost_before_the_switch", || {
            need_local()?;
            let bed = Bed::new();
            // The adversarial phase: the whole of `archive_timeout` is at risk.
            bed.run(["drill", "postgres-instance-lost", "--set", "phase=before-switch"], &[]).exits(0);
            let view = assert_green(&bed, &bed.only_run());
            let lost = view["verdict"]["loss"]["archive"]["transactions"].as_u64().expect("archive loss");
            assert!(lost > 0, "just before the switch something acknowledged is not archived yet");
            bed.assert_nothing_left("an instance lost");
            Ok(())
        }),
        test("green::the_local_lab_with_minio", || {
            need_local()?;
            need_minio()?;
            let bed = Bed::new();
            bed.run(["drill", "postgres-drop-table", "--set", "systems.store.s3.profile=minio"], &[]).exits(0);
            let view = assert_green(&bed, &bed.only_run());
            let relaxed = view["verdict"]["relaxed"].to_string();
            assert!(!relaxed.contains("embedded store"), "{relaxed}");
            bed.assert_nothing_left("MinIO as a process");
            Ok(())
        }),
        test("green::the_same_seed_takes_the_same_decisions", || {
            need_local()?;
            let bed = Bed::new();
            for _ in 0..2 {
                bed.run(["drill", "postgres-instance-lost", "--seed", "42"], &[]).exits(0);
            }
            let plans: Vec<Value> = bed.runs().iter().map(|r| view(r)["plan"].clone()).collect();
            let without_run = |p: &Value| {
                let mut p = p.clone();
                p.as_object_mut().expect("plan").remove("run");
                p
            };
            assert_eq!(without_run(&plans[0]), without_run(&plans[1]));
            assert_ne!(plans[0]["run"], plans[1]["run"]);
            Ok(())
        }),
    ];
    for scenario in FIRST_LIGHT {
        all.push(test(format!("green::repeat_20::{scenario}"), move || {
            need_local()?;
            let bed = Bed::new();
            let ran = bed.run(["drill", scenario, "--repeat", "20", "--format", "json"], &[]);
            ran.exits(0);
            assert_eq!(bed.runs().len(), 20);
            let views: Vec<Value> = bed.runs().iter().map(|r| assert_green(&bed, r)).collect();
            let seeds: BTreeSet<u64> = views.iter().map(|v| v["plan"]["seed"].as_u64().expect("seed")).collect();
            assert_eq!(seeds.len(), 20, "a seed of its own each");
            assert_eq!(ran.json()["runs"].as_array().map(Vec::len), Some(20));
            bed.assert_nothing_left("20 runs");
            Ok(())
        }));
        for major in ["15", "18"] {
            all.push(test(format!("green::docker::{scenario}::{major}"), move || {
                let env = need_docker(major)?;
                let bed = Bed::new();
                bed.run(["drill", scenario, "--lab", "docker"], &env).exits(0);
                let view = assert_green(&bed, &bed.only_run());
                let version = view["instances"][0]["version"].as_str().expect("version");
                assert!(version.starts_with(&format!("{major}.")), "{version}");
                bed.assert_nothing_left("a drill in containers");
                Ok(())
            }));
        }
        for major in ["13", "15", "16", "17", "18"] {
            all.push(test(format!("green::version::{scenario}::{major}"), move || {
                let waldump = need_postgres(major)?;
                let bed = Bed::new();
                let version = format!("systems.db.postgres.version={major}");
                let mut args = vec!["drill", scenario, "--set", &version];
                if !waldump && scenario == "postgres-drop-table" {
                    args.extend(["--set", "known_from=oracle"]);
                }
                let ran = bed.run(args, &[]);
                ran.exits(0);
                let view = assert_green(&bed, &bed.only_run());
                assert!(view["instances"][0]["version"].as_str().is_some_and(|v| v.starts_with(&format!("{major}."))));
                if !waldump {
                    let not_run = view["verdict"]["not_run"].to_string();
                    assert!(not_run.contains("pg_waldump"), "what a missing program leaves out is said: {not_run}");
                }
                bed.assert_nothing_left("a drill");
                Ok(())
            }));
        }
    }
    // Every kind of target with its own definition of exact, and every way to know it (S5-4).
    for (kind, known_from) in
        [("name", "oracle"), ("lsn", "oracle"), ("time", "oracle"), ("xid", "oracle"), ("xid", "wal"), ("lsn", "wal"), ("time", "alert")]
    {
        all.push(test(format!("green::target::{kind}_from_{known_from}"), move || {
            if need_postgres("15").is_err() {
                need_local()?;
            }
            let bed = Bed::new();
            let (known, of_kind) = (format!("known_from={known_from}"), format!("to.kind={kind}"));
            let mut args = vec!["drill", "postgres-drop-table", "--set", &known];
            match known_from {
                "alert" => args.extend(["--set", "to.margin=500ms"]),
                _ => args.extend(["--set", &of_kind]),
            }
            if need_postgres("15").is_ok() {
                args.extend(["--set", "systems.db.postgres.version=15"]);
            }
            bed.run(args, &[]).exits(0);
            let view = assert_green(&bed, &bed.only_run());
            assert_eq!(view["target"]["kind"], kind, "{}", view["target"]);
            assert_eq!(judged(&view, "exact").map(|j| &j["outcome"]), Some(&Value::from("pass")));
            assert_eq!(judged(&view, "control-restore-differs").map(|j| &j["outcome"]), Some(&Value::from("pass")));
            Ok(())
        }));
    }
    all.push(test("green::target::on_the_timeline_where_the_damage_was_found", || {
        need_local()?;
        let bed = Bed::new();
        bed.run(["drill", "postgres-drop-table", "--set", "to.timeline=located"], &[]).exits(0);
        assert_green(&bed, &bed.only_run());
        Ok(())
    }));
    all
}
