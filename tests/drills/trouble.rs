//! The unhappy paths: what is missing, in the way, full, down, mute. Always a clear error with what to do, the right exit code, the
//! lab cleaned up, the evidence so far kept.

use crate::support::{Bed, LIMIT, Running, all_files, assert_green, cmdline, need_docker, need_local, need_minio, need_namespaces, view, within};
use crate::{Tests, test};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Command;
use std::time::Duration;

pub fn tests() -> Tests {
    vec![
        test("trouble::no_postgres", || {
            need_namespaces()?;
            let bed = Bed::new();
            let ran = Running::start(&mut without_postgres(&bed, &["drill"])).finish(LIMIT);
            ran.exits(11).says("no PostgreSQL server is installed").says("--fetch").says("apt-get install postgresql");
            bed.assert_nothing_left("no PostgreSQL");
            Ok(())
        }),
        test("trouble::no_postgres_but_fetch", || {
            need_namespaces()?;
            let bed = Bed::new();
            let ran = Running::start(&mut without_postgres(&bed, &["drill", "--fetch"])).finish(LIMIT);
            ran.exits(0).says("no PostgreSQL is installed; fetching");
            for run in bed.runs() {
                assert_green(&bed, &run);
            }
            bed.assert_nothing_left("a fetched PostgreSQL");
            Ok(())
        }),
        test("trouble::no_docker", || {
            let bed = Bed::new();
            let env = [("DOCKER_HOST".to_string(), "unix:///nowhere/docker.sock".to_string())];
            let ran = bed.run(["drill", "postgres-drop-table", "--lab", "docker"], &env);
            ran.exits(11).says("Docker").says("what to do");
            assert_ne!(view(&bed.only_run())["verdict"]["outcome"], "pass");
            bed.assert_nothing_left("no Docker");
            Ok(())
        }),
        test("trouble::no_image", || {
            let mut env = need_docker("15")?;
            env[0].1 = "passmuster-test/postgres:no-such-version".into();
            let bed = Bed::new();
            let ran = bed.run(["drill", "postgres-drop-table", "--lab", "docker"], &env);
            ran.exits(11).says("passmuster-test/postgres:no-such-version").says("what to do");
            bed.assert_nothing_left("a missing image");
            Ok(())
        }),
        test("trouble::no_such_version", || {
            need_local()?;
            let bed = Bed::new();
            let ran = bed.run(["drill", "postgres-drop-table", "--set", "systems.db.postgres.version=9"], &[]);
            ran.exits(11).says("PostgreSQL 9 is not installed (there is");
            bed.assert_nothing_left("a missing version");
            Ok(())
        }),
        test("trouble::a_server_that_never_starts", || {
            need_local()?;
            let bed = Bed::new();
            let ran = bed.run(["drill", "postgres-drop-table", "--set", "systems.db.postgres.settings={shared_buffers: 900TB}"], &[]);
            ran.exits(11).says("the origin server exited").says("what to do");
            assert_eq!(view(&bed.only_run())["verdict"]["outcome"], "error");
            bed.assert_nothing_left("a server that never starts");
            Ok(())
        }),
        test("trouble::the_port_is_taken", || {
            need_local()?;
            the_port_is_taken();
            Ok(())
        }),
        test("trouble::scratch_is_full", || {
            need_local()?;
            need_namespaces()?;
            for size in ["20m", "110m"] {
                let bed = Bed::new();
                let scratch = bed.path("scratch").display().to_string();
                let script =
                    format!("mount -t tmpfs -o size={size},mode=711 none {scratch} && \"$@\"; code=$?; find {scratch} -mindepth 2; exit $code");
                let mut drill = Command::new("unshare");
                drill.args(["-m", "sh", "-c", &script, "sh"]);
                let ran = Running::start(wrap(&mut drill, &bed.command(["drill", "postgres-drop-table"]))).finish(LIMIT);
                ran.exits(11).says("No space left on device").says("--scratch");
                assert!(!ran.stdout.lines().any(|l| l.starts_with(&scratch)), "left on the full disk: {}", ran.stdout);
                assert_ne!(view(&bed.only_run())["verdict"]["outcome"], "pass");
                bed.assert_nothing_left("a full disk");
            }
            Ok(())
        }),
        test("trouble::the_disk_of_the_evidence_is_full", || {
            need_local()?;
            need_namespaces()?;
            for size in ["16k", "300k"] {
                let bed = Bed::new();
                let out = bed.path("out");
                std::fs::create_dir(&out).expect("out");
                let script = format!("mount -t tmpfs -o size={size} none {} && exec \"$@\"", out.display());
                let mut drill = Command::new("unshare");
                drill.args(["-m", "sh", "-c", &script, "sh"]);
                let ran = Running::start(wrap(&mut drill, &bed.command(["drill", "postgres-instance-lost"]))).finish(LIMIT);
                assert!(matches!(ran.code, Some(1 | 11)), "without evidence there is no pass: {ran:?}");
                ran.says("No space left on device");
                bed.assert_nothing_left("a full disk for the evidence");
            }
            Ok(())
        }),
        test("trouble::the_store_goes_down_in_the_middle_of_a_backup", || {
            need_local()?;
            need_minio()?;
            let bed = Bed::new();
            let args = ["drill", "postgres-drop-table", "-v", "--set", "systems.store.s3.profile=minio", "--set", "systems.db.postgres.data=64MiB"];
            let running = Running::start(&mut bed.command(args));
            assert!(running.until_phase("base backup"), "it got there");
            let minio = bed.processes().into_iter().find(|(_, line)| line.contains("minio")).expect("MinIO runs");
            kill(Pid::from_raw(minio.0), Signal::SIGKILL).expect("killed");
            let ran = running.finish(LIMIT);
            assert!(matches!(ran.code, Some(10 | 11)), "{ran:?}");
            ran.says("store").says("what to do");
            assert_ne!(view(&bed.only_run())["verdict"]["outcome"], "pass");
            bed.assert_nothing_left("a store that went down");
            Ok(())
        }),
        test("trouble::a_hanging_server_process", || {
            need_local()?;
            let bed = Bed::new();
            let running = Running::start(&mut bed.command(["drill", "postgres-instance-lost", "-v"]));
            assert!(running.until_phase("load"), "it got there");
            let is_client = |line: &str| line.contains("postgres: ") && line.contains("127.0.0.1(");
            assert!(within(Duration::from_secs(10), || bed.processes().iter().any(|(_, l)| is_client(l))), "clients are connected");
            for (pid, _) in bed.processes().into_iter().filter(|(_, l)| is_client(l)).take(1) {
                kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("stopped");
            }
            // One client of four waits for an answer; the drill goes on, and judges what the others saw.
            let ran = running.finish(LIMIT);
            assert!(matches!(ran.code, Some(0 | 10 | 11)), "{ran:?}");
            assert_eq!(view(&bed.only_run())["verdict"]["status"], "completed");
            bed.run(["verify", &bed.only_run().display().to_string()], &[]).exits(0);
            bed.assert_nothing_left("a hanging process");
            Ok(())
        }),
        test("trouble::secrets_show_nowhere", || {
            need_local()?;
            need_minio()?;
            secrets_show_nowhere();
            Ok(())
        }),
    ]
}

/// The program where no PostgreSQL can be found.
fn without_postgres(bed: &Bed, args: &[&str]) -> Command {
    let script = "mkdir -p /usr/lib/postgresql && mount -t tmpfs none /usr/lib/postgresql && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]);
    wrap(&mut command, &bed.command(args));
    command.env_remove("PASSMUSTER_PG_BIN").env("PASSMUSTER_CACHE", bed.path("cache"));
    // Where pip and its settings are, and no PostgreSQL.
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Puts a command behind another one.
fn wrap<'c>(outer: &'c mut Command, inner: &Command) -> &'c mut Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(dir) = inner.get_current_dir() {
        outer.current_dir(dir);
    }
    outer
}

/// Between finding a port and using it another process can take it.
fn the_port_is_taken() {
    use passmuster::harness::error::Error;
    use passmuster::harness::lab::{Lab, LabOptions, Provider};
    use passmuster::harness::recorder::Recorder;
    use passmuster::harness::system::postgres::{ClusterSettings, Instance};
    use passmuster::model::event::Role;
    use std::sync::Arc;
    let bed = Bed::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a run time");
    let said = runtime.block_on(async {
        let recorder = Recorder::start(&bed.path("events.jsonl"), None).expect("a recorder");
        let options = LabOptions { scratch: Some(bed.path("scratch")), ..LabOptions::default() };
        let lab = Lab::open(Provider::Local, "port-taken", recorder.clone(), options).expect("a lab");
        let node = Arc::new(lab.node("db", None).await.expect("a node"));
        let taken = std::net::TcpListener::bind(node.address()).expect("the port is free until here");
        let settings = ClusterSettings { segment: 1 << 20, checksums: true, archive_timeout: Duration::from_secs(60), extra: Default::default() };
        let mut server = Instance::init(node, Role::Recovered, "db", &settings, recorder).await.expect("initdb");
        let configuration = server.configuration(&settings, &[]);
        let error = server.start(&configuration, false).await.expect_err("the port is taken");
        drop(taken);
        assert!(lab.close().await.is_empty());
        assert!(matches!(error, Error::Server { .. }), "no failure of a recovery: {error:?}");
        (error.to_string(), error.hint().unwrap_or_default())
    });
    assert!(said.1.contains("run again"), "{said:?}");
    bed.assert_nothing_left("a port that is taken");
}

/// Canaries: the key of the backup, the passwords of the server and of the store. They must work, and show nowhere.
fn secrets_show_nowhere() {
    let bed = Bed::new();
    let key = age_identity();
    let args = [
        "drill",
        "postgres-drop-table",
        "-v",
        "--set",
        "backup.encrypt={age: env:PM_CANARY_KEY}",
        "--set",
        "systems.store.s3.profile=minio",
        // Statements go to the server's log, where passwords would show.
        "--set",
        "systems.db.postgres.settings={log_statement: all, log_connections: 'true'}",
    ];
    let mut command = bed.command(args);
    command.env("PM_CANARY_KEY", &key);
    let mut running = Running::start(&mut command);
    let pid = running.child.id() as i32;
    let (mut arguments, mut secrets) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    // What every process below was given, looked at again and again while it runs.
    let ended = within(LIMIT, || {
        let mut seen = bed.processes();
        seen.push((pid, cmdline(pid)));
        for (pid, line) in seen {
            arguments.insert(line);
            let env = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            for variable in env.split(|b| *b == 0).map(String::from_utf8_lossy) {
                if let Some((name, value)) = variable.split_once('=')
                    && ["PGPASSWORD", "MINIO_ROOT_PASSWORD"].contains(&name)
                {
                    secrets.insert((name.to_string(), value.to_string()));
                }
            }
        }
        matches!(running.child.try_wait(), Ok(Some(_)))
    });
    assert!(ended, "it ended");
    let ran = running.finish(LIMIT);
    ran.exits(0);
    for name in ["PGPASSWORD", "MINIO_ROOT_PASSWORD"] {
        assert!(secrets.iter().any(|(n, _)| n == name), "{name} was seen at work, or this test shows nothing");
    }
    secrets.insert(("PM_CANARY_KEY".into(), key));
    let mut places: Vec<(String, String)> = vec![("stdout".into(), ran.stdout), ("stderr".into(), ran.stderr)];
    places.extend(arguments.into_iter().map(|a| ("arguments".into(), a)));
    for (path, content) in all_files(&bed.only_run()) {
        places.push((path.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
    }
    assert!(places.len() > 20);
    for (name, secret) in &secrets {
        for (place, text) in &places {
            assert!(!text.contains(secret.as_str()), "{name} shows in {place}");
        }
    }
    bed.assert_nothing_left("a drill with canaries");
}

/// A new identity of age.
fn age_identity() -> String {
    use age::secrecy::ExposeSecret;
    age::x25519::Identity::generate().to_string().expose_secret().to_string()
}
