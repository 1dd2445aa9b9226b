//! PostgreSQL servers on nodes of a lab.

use super::super::error::{Doing, Error, Outcome};
use super::super::lab::{Call, Node};
use super::super::recorder::{Recorder, poll};
use super::super::workload::linked::INSTANCE_SQL;
use super::super::workload::wire::Login;
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::{Actor, Event, FailureClass, Role};
use crate::model::params::{ParamSpec, ParamType, Params};
use crate::model::time::{Stamp, Wall};
use crate::model::units::written_size;
use crate::model::wal::Lsn;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Registration.
pub const SPEC: KindSpec = KindSpec {
    class: Class::System,
    name: "postgres",
    summary: "A PostgreSQL server, 13 to 18, with a cluster of its own",
    doc: "Made with initdb for each run (copies of a template would share the system identifier), data checksums on. \
          The server is the real program of the version that is installed, or of the image; another version is \
          configuration. Settings that could falsify a measurement of loss are recorded and judged.",
    on: &[],
    params: &[
        ParamSpec::optional("version", ParamType::Text, "Major or whole version (`16`, `16.8`); the newest that is there if absent."),
        ParamSpec::new("data", ParamType::Size, "32MiB", "Base data that is there before the load begins."),
        ParamSpec::new(
            "archive_timeout",
            ParamType::Seconds(1, 30 * 86_400),
            "60s",
            "How long a segment may stay on the instance before it is archived.",
        ),
        ParamSpec::new("wal_segment", ParamType::PowerOfTwo(1 << 20, 1 << 30), "16MiB", "Size of a segment of the log."),
        ParamSpec::new("checksums", ParamType::Bool, "true", "Data checksums."),
        ParamSpec::optional("settings", ParamType::Settings, "Further settings of the server."),
    ],
    sabotages: &["fsync-off", "async-commit"],
};

/// Settings that are recorded for every instance.
const RECORDED: &[&str] = &[
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "synchronous_standby_names",
    "wal_level",
    "archive_mode",
    "archive_timeout",
    "data_checksums",
    "wal_segment_size",
    "wal_writer_delay",
    "wal_compression",
    "shared_buffers",
    "max_wal_size",
    "recovery_target_timeline",
    "server_version",
];

/// Time in which a server must have started; generous, since a loaded machine takes several times as long.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long one question to a starting server may take before it is asked again.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What a cluster is made with.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Bytes of a segment.
    pub segment: u64,
    /// Data checksums.
    pub checksums: bool,
    /// `archive_timeout`, in whole seconds.
    pub archive_timeout: Duration,
    /// Settings from the scenario.
    pub extra: BTreeMap<String, String>,
}

impl ClusterSettings {
    /// From the parameters of a scenario's system.
    pub fn from_params(params: &Params) -> Outcome<ClusterSettings> {
        let segment = params.size("wal_segment");
        if !segment.is_power_of_two() || !(1 << 20..=1 << 30).contains(&segment) {
            return Err(Error::Other(format!("wal_segment is {}, and must be a power of two from 1MiB to 1GiB", written_size(segment))));
        }
        Ok(ClusterSettings {
            segment,
            checksums: params.bool("checksums"),
            archive_timeout: whole_seconds(params.duration("archive_timeout")),
            extra: params.settings("settings"),
        })
    }
}

/// PostgreSQL takes `archive_timeout` in whole seconds. Rounded up, so that the server never archives more often than was
/// written: that would make a loss look smaller than it is. Zero would turn it off.
fn whole_seconds(written: Duration) -> Duration {
    Duration::from_secs((written.as_secs() + u64::from(written.subsec_nanos() > 0)).max(1))
}

impl ClusterSettings {
    /// `archive_timeout` as the server is told.
    pub fn archive_timeout_setting(&self) -> String {
        format!("{}s", self.archive_timeout.as_secs())
    }
}

/// A server on a node.
pub struct Instance {
    /// The node that it runs on.
    pub node: Arc<Node>,
    /// What it is in the drill.
    pub role: Role,
    /// `initdb`'s identifier, decimal.
    pub system_identifier: String,
    /// `cluster_name`: by it, who answers at an endpoint is told.
    pub name: String,
    /// How to log in as its superuser.
    pub login: Login,
    id: Mutex<String>,
    recorder: Arc<Recorder>,
}

impl Instance {
    /// Makes a new cluster on a node, with a superuser whose password never appears in an argument.
    pub async fn init(node: Arc<Node>, role: Role, name: &str, settings: &ClusterSettings, recorder: Arc<Recorder>) -> Outcome<Instance> {
        let password = super::s3::random_hex(16)?;
        recorder.keep_secret(&password);
        let file = node.shared.join("superuser");
        std::fs::write(&file, &password).doing(|| format!("write {}", file.display()))?;
        super::super::lab::set_mode(&file, 0o644)?;
        let mut args = vec!["-D".to_string(), node.data(), "-U".into(), "postgres".into(), "-A".into(), "scram-sha-256".into()];
        args.extend(["--encoding=UTF8".into(), "--locale=C".into(), "--no-sync".into()]);
        args.push(format!("--pwfile={}/superuser", node.shared_inside()));
        args.push(format!("--wal-segsize={}", settings.segment >> 20));
        match (settings.checksums, node.major() >= 18) {
            (true, _) => args.push("--data-checksums".into()),
            (false, true) => args.push("--no-data-checksums".into()),
            (false, false) => {}
        }
        let work = recorder.work(Actor::Program, "initdb");
        let made = node.run(&Call::new("initdb", args)).await?.success("initdb");
        drop(work);
        let _ = std::fs::remove_file(&file);
        made?;
        let login = Login { user: "postgres".into(), database: "postgres".into(), password };
        Ok(Instance { node, role, system_identifier: String::new(), name: name.into(), login, id: Mutex::new(String::new()), recorder })
    }

    /// A server on files that were restored to a node; the superuser's password came with them.
    pub fn restored(node: Arc<Node>, role: Role, system_identifier: &str, name: &str, login: Login, recorder: Arc<Recorder>) -> Instance {
        Instance { node, role, system_identifier: system_identifier.into(), name: name.into(), login, id: Mutex::new(String::new()), recorder }
    }

    /// `system identifier/start number`: what an xid counts within. Empty until the server has answered.
    pub fn id(&self) -> String {
        self.id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The whole configuration of a server of ours. Nothing of a source's own configuration is ever used.
    pub fn configuration(&self, settings: &ClusterSettings, more: &[(&'static str, String)]) -> String {
        let (listen, port) = self.node.listen();
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |k: &str, v: String| {
            all.insert(k.to_string(), v);
        };
        set("listen_addresses", listen);
        set("port", port.to_string());
        set("unix_socket_directories", String::new());
        set("cluster_name", self.name.clone());
        set("max_connections", "60".into());
        set("shared_buffers", "64MB".into());
        set("max_wal_size", "1GB".into());
        set("min_wal_size", format!("{}MB", (settings.segment >> 20) * 5));
        set("wal_level", "replica".into());
        set("max_wal_senders", "6".into());
        set("hot_standby", "on".into());
        set("logging_collector", "off".into());
        set("log_destination", "stderr".into());
        set("log_line_prefix", "%m [%p] ".into());
        // In the data directory, which goes with the run: a killed server leaves its POSIX segments in /dev/shm for ever.
        set("dynamic_shared_memory_type", "mmap".into());
        set("timezone", "UTC".into());
        set("log_timezone", "UTC".into());
        set("lc_messages", "C".into());
        set("autovacuum_naptime", "10min".into());
        for (k, v) in &settings.extra {
            set(k, v.clone());
        }
        for (k, v) in more {
            set(k, v.clone());
        }
        let mut text = String::from("# written by passmuster\n");
        for (k, v) in all {
            text.push_str(&format!("{k} = '{}'\n", v.replace('\'', "''")));
        }
        text
    }

    /// Access from the harness only, with the password.
    pub const HBA: &'static str = "host all all all scram-sha-256\nhost replication all all scram-sha-256\n";

    /// Starts the server with a configuration and waits until it answers queries; in recovery, too, if `hot`.
    pub async fn start(&mut self, configuration: &str, hot: bool) -> Outcome<()> {
        self.write_configuration(configuration).await?;
        self.launch().await?;
        self.wait_until_answering(hot).await?;
        self.announce().await
    }

    /// Puts the configuration where the server reads it.
    pub async fn write_configuration(&self, configuration: &str) -> Outcome<()> {
        self.put_configuration(configuration, false).await
    }

    /// The same, with the sign that makes the server recover from its archive.
    pub async fn write_configuration_for_recovery(&self, configuration: &str) -> Outcome<()> {
        self.put_configuration(configuration, true).await
    }

    async fn put_configuration(&self, configuration: &str, recover: bool) -> Outcome<()> {
        let _work = self.recorder.work(Actor::Program, format!("configure the {} server", self.role.word()));
        let mut sink = self.node.sink().await?;
        let configuration = configuration.to_string();
        let upload = self.node.blocking.run(move || {
            let put = |sink: &mut super::super::lab::tree::TreeSink, name: &str, text: &str| {
                sink.file(name.as_ref(), text.len() as u64, &mut text.as_bytes())
            };
            put(&mut sink, "postgresql.conf", &configuration)?;
            put(&mut sink, "postgresql.auto.conf", "")?;
            put(&mut sink, "pg_hba.conf", Self::HBA)?;
            put(&mut sink, "pg_ident.conf", "")?;
            if recover {
                put(&mut sink, "recovery.signal", "")?;
            }
            sink.finish()
        });
        let upload = upload.await.map_err(|e| Error::Other(e.to_string()))?.doing(|| "write the server's configuration".into())?;
        match upload {
            Some(task) => task.await.map_err(|e| Error::Other(e.to_string()))?,
            None => Ok(()),
        }
    }

    /// Starts the server without waiting.
    pub async fn launch(&self) -> Outcome<()> {
        let _work = self.recorder.work(Actor::Program, format!("launch the {} server", self.role.word()));
        self.node.start_server(&[]).await
    }

    /// Waits until a query is answered; outside of recovery unless `hot`.
    pub async fn wait_until_answering(&self, hot: bool) -> Outcome<()> {
        let _work = self.recorder.work(Actor::Server, format!("start of the {} server", self.role.word()));
        poll("the server's first answer", START_LIMIT, Duration::from_millis(5), || async {
            // Whoever took the port may accept and say nothing.
            let asked = tokio::time::timeout(ANSWER_LIMIT, async {
                let client = self.connect().await.ok()?;
                let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await.ok()?;
                Some(row.get::<_, bool>(0))
            });
            if let Ok(Some(in_recovery)) = asked.await
                && (hot || !in_recovery)
            {
                return Ok(Some(()));
            }
            match self.node.server_exited().await? {
                Some(how) => Err(self.refusal(&how)),
                None => Ok(None),
            }
        })
        .await
    }

    /// Why a server ended, from its log.
    pub fn refusal(&self, how: &str) -> Error {
        let log = self.node.log();
        let (class, words) = classify_log(&log);
        let what = format!("the {} server {how}: {words}", self.role.word());
        match machine_trouble(&log) {
            Some(hint) => Error::Server { what, hint: hint.into() },
            // Nothing was recovered yet: it is the set-up that does not work.
            None if self.role == Role::Origin => {
                let hint = "look at `settings` of the system in the scenario; the server's log is kept with the evidence";
                Error::Server { what, hint: hint.into() }
            }
            None => Error::failed(class, what),
        }
    }

    /// Records who answered and with which settings.
    pub async fn announce(&mut self) -> Outcome<()> {
        let _work = self.recorder.work(Actor::Server, format!("ask the {} server who it is", self.role.word()));
        let client = self.connect().await.doing(|| "connect to the server".into())?;
        let identifier =
            client.query_one("SELECT system_identifier::text FROM pg_control_system()", &[]).await.doing(|| "ask the system identifier".into())?;
        self.system_identifier = identifier.get(0);
        let id = client.query_one(INSTANCE_SQL, &[]).await.doing(|| "ask who answers".into())?;
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id.get(0);
        let names: Vec<String> = RECORDED.iter().map(|s| s.to_string()).collect();
        let rows = client
            .query("SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1)", &[&names])
            .await
            .doing(|| "read the settings".into())?;
        let settings: BTreeMap<String, String> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        let in_recovery: bool = client.query_one("SELECT pg_is_in_recovery()", &[]).await.doing(|| "ask for recovery".into())?.get(0);
        let timeline = if in_recovery {
            None
        } else {
            let row = client
                .query_one("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int", &[])
                .await
                .doing(|| "ask the timeline".into())?;
            Some(row.get::<_, i32>(0) as u32)
        };
        self.recorder.emit(Event::InstanceStarted {
            role: self.role,
            instance: self.id(),
            system_identifier: self.system_identifier.clone(),
            version: settings.get("server_version").cloned().unwrap_or_default(),
            timeline,
            settings,
        });
        Ok(())
    }

    /// A connection straight to the server, not through the clients' endpoint.
    pub async fn connect(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        connect(self.node.address(), &self.login).await
    }

    /// Brackets the server's clock between two stamps of ours.
    pub async fn clock(&self, client: &tokio_postgres::Client) -> Outcome<(Stamp, Wall, Stamp, Lsn)> {
        let before = self.recorder.now();
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_current_wal_insert_lsn()::text";
        let row = client.query_one(sql, &[]).await.doing(|| "read the server's clock".into())?;
        let (wall, lsn) = (Wall(row.get(0)), row.get::<_, String>(1).parse().unwrap_or_default());
        let after = self.recorder.emit(Event::Clock { instance: self.id(), before, wall, lsn });
        Ok((before, wall, after, lsn))
    }

    /// Stops the server in order (`fast`): open transactions are rolled back, a shutdown checkpoint is written,
    /// and the archiver ships what is left.
    pub async fn stop_fast(&self) -> Outcome<()> {
        let work = self.recorder.work(Actor::Server, format!("fast shutdown of the {} server", self.role.word()));
        self.node.signal_server(nix::sys::signal::Signal::SIGINT).await?;
        let how = poll("the server's shutdown", START_LIMIT, Duration::from_millis(2), || self.node.server_exited()).await?;
        drop(work);
        let left = self.node.left_running().await;
        self.recorder.emit(Event::InstanceGone { instance: self.id(), how: format!("clean: {how}"), left });
        Ok(())
    }
}

/// Connects with the driver; its background task ends with the client.
pub async fn connect(address: std::net::SocketAddr, login: &Login) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(address.ip().to_string()).port(address.port()).user(&login.user).dbname(&login.database).password(&login.password);
    config.connect_timeout(Duration::from_secs(5)).application_name("passmuster");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(async move {
        // Its end is seen by whoever uses the client.
        let _ = connection.await;
    });
    Ok(client)
}

/// Whether a server gave up for a reason that lies in this machine; the fix.
pub fn machine_trouble(log: &str) -> Option<&'static str> {
    let said = |words: &str| log.lines().rev().take(20).any(|l| l.contains(words));
    if said("could not bind") || said("could not create any TCP/IP sockets") {
        Some("another process took the port after it was found free: run again")
    } else if said("No space left on device") {
        Some("free space, or choose another place for the lab with `--scratch DIR`")
    } else if said("Cannot allocate memory") || said("could not map anonymous shared memory") {
        Some("free memory, or ask for less in `settings` of the system in the scenario")
    } else {
        None
    }
}

/// What a server's last words mean.
pub fn classify_log(log: &str) -> (FailureClass, String) {
    let last = log.lines().rev().find(|l| l.contains("FATAL:") || l.contains("PANIC:")).unwrap_or("no reason in its log");
    let words = last.split_once("FATAL:  ").or_else(|| last.split_once("PANIC:  ")).map_or(last, |(_, w)| w).trim().to_string();
    // The cause of these stands in the line before.
    let words = match (words.contains("contains errors"), log.lines().rev().skip_while(|l| !l.contains("FATAL:")).nth(1)) {
        (true, Some(before)) => format!("{words}: {}", before.split_once("LOG:  ").map_or(before, |(_, w)| w)),
        _ => words,
    };
    let class = if log.contains("WAL file is from different database system") {
        FailureClass::WrongCluster
    } else if words.contains("recovery ended before configured recovery target was reached") {
        FailureClass::TargetNotReached
    } else if words.contains("requested recovery stop point is before consistent recovery point") {
        FailureClass::TargetBeforeBackup
    } else if words.contains("requested timeline") || words.contains("WAL ends before end of online backup") {
        FailureClass::ArchiveGap
    } else {
        FailureClass::ServerRefused
    };
    (class, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_timeout_is_rounded_up_and_never_off() {
        let of = |ms| whole_seconds(Duration::from_millis(ms)).as_secs();
        assert_eq!([of(0), of(1), of(1000), of(1001), of(1500), of(1999), of(2000), of(60_000)], [1, 1, 1, 2, 2, 2, 2, 60]);
    }

    #[test]
    fn a_servers_last_words_are_told_apart() {
        let of = |log: &str| classify_log(log).0;
        assert_eq!(of("x FATAL:  recovery ended before configured recovery target was reached\n"), FailureClass::TargetNotReached);
        assert_eq!(of("x FATAL:  requested recovery stop point is before consistent recovery point\n"), FailureClass::TargetBeforeBackup);
        assert_eq!(
            of("LOG:  WAL file is from different database system: …\nFATAL:  could not locate required checkpoint record"),
            FailureClass::WrongCluster
        );
        assert_eq!(of("FATAL:  something new"), FailureClass::ServerRefused);
        assert_eq!(of(""), FailureClass::ServerRefused);
        let bind = "LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\nFATAL:  could not create any TCP/IP sockets\n";
        assert!(machine_trouble(bind).unwrap().contains("run again"));
        assert_eq!(machine_trouble("FATAL:  requested timeline 2 is not a child of this server's history"), None);
    }
}
