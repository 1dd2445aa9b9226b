//! The throw-away place where a drill runs, behind one interface: a *node* is a machine of the lab on
//! which programs run, with a data directory of its own and a directory shared with the harness.
//!
//! `local` makes nodes from processes and private directories, `docker` from containers and volumes.
//! Nothing above this module knows which.

pub mod docker;
pub mod journal;
pub mod local;
pub mod programs;
pub mod tree;

use super::blocking::Blocking;
use super::error::{Doing, Error, Outcome};
use super::process::{Finished, User};
use super::recorder::Recorder;
use bytes::Bytes;
use journal::{Acquired, Journal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Which provider makes the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Processes on this machine.
    Local,
    /// Containers.
    Docker,
}

impl Provider {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Provider::Local => "local",
            Provider::Docker => "docker",
        }
    }
}

/// What a user may configure about labs.
#[derive(Debug, Clone, Default)]
pub struct LabOptions {
    /// Where private directories are made; chosen when absent.
    pub scratch: Option<PathBuf>,
    /// Image of PostgreSQL for the docker lab, `{version}` replaced by the version that a scenario asks for.
    pub image_postgres: Option<String>,
    /// Image of the S3 store for the docker lab.
    pub image_s3: Option<String>,
    /// Leave everything in place at the end.
    pub keep: bool,
}

/// The lab of one run.
pub struct Lab {
    /// Provider.
    pub provider: Provider,
    /// Run id, the label of everything.
    pub run: String,
    /// Private directory of the run.
    pub dir: PathBuf,
    /// What was acquired.
    pub journal: Arc<Journal>,
    /// The run's recorder.
    pub recorder: Arc<Recorder>,
    /// Options.
    pub options: LabOptions,
    /// Work on blocking threads, which may write below the run's directory.
    pub blocking: Blocking,
    user: Option<User>,
}

/// How long work that was given up may take to notice.
const GIVEN_UP: Duration = Duration::from_secs(5);

impl Lab {
    /// Opens the lab: makes the run's private directory, journalled before it exists.
    pub fn open(provider: Provider, run: &str, recorder: Arc<Recorder>, options: LabOptions) -> Outcome<Lab> {
        let base = journal::scratch_base(options.scratch.as_deref())?;
        let dir = base.join(run);
        let journal = Journal::create(&base, run, &dir)?;
        std::fs::create_dir(&dir).doing(|| format!("create {}", dir.display()))?;
        // Servers that run as another user must pass through, and see nothing.
        set_mode(&dir, 0o711)?;
        let user = if provider == Provider::Local { local::server_user()? } else { None };
        if provider == Provider::Local {
            super::process::adopt_orphans();
        }
        Ok(Lab { provider, run: run.into(), dir, journal: Arc::new(journal), recorder, options, blocking: Blocking::default(), user })
    }

    /// The user that servers run as, if it is not us.
    pub fn user(&self) -> Option<User> {
        self.user
    }

    /// Makes a node for PostgreSQL of a version (`None`: the newest there is).
    pub async fn node(&self, name: &str, version: Option<&str>) -> Outcome<Node> {
        let host_dir = self.dir.join(name);
        std::fs::create_dir(&host_dir).doing(|| format!("create {}", host_dir.display()))?;
        set_mode(&host_dir, 0o711)?;
        let shared = host_dir.join("shared");
        std::fs::create_dir(&shared).doing(|| format!("create {}", shared.display()))?;
        // The server's user must write here; the directory above keeps others out of a local run, and a
        // container sees only this one.
        set_mode(&shared, 0o777)?;
        let place = match self.provider {
            Provider::Local => Place::Local(Box::new(local::LocalNode::new(&host_dir, self.user, version)?)),
            Provider::Docker => Place::Docker(Box::new(docker::DockerNode::start(self, name, &shared, version).await?)),
        };
        Ok(Node {
            name: name.into(),
            shared,
            blocking: self.blocking.clone(),
            place,
            journal: self.journal.clone(),
            asked: version.map(String::from),
        })
    }

    /// Undoes everything, last first. Returns what could not be undone.
    pub async fn close(&self) -> Vec<String> {
        // What a failure beside it, a time limit or Ctrl-C gave up still writes until it finds its source closed. Work that waits
        // for a program of the lab ends when that is killed, below.
        let _ = self.blocking.end(GIVEN_UP).await;
        if self.options.keep {
            return Vec::new();
        }
        self.journal.undo_all().await
    }
}

/// A machine of the lab.
pub struct Node {
    /// Its name, unique in the run.
    pub name: String,
    /// The directory shared with the harness, as the harness sees it.
    pub shared: PathBuf,
    /// Where work on blocking threads is counted.
    pub blocking: Blocking,
    place: Place,
    journal: Arc<Journal>,
    asked: Option<String>,
}

enum Place {
    Local(Box<local::LocalNode>),
    Docker(Box<docker::DockerNode>),
}

/// A program on a node.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its name (`initdb`, `pg_basebackup`, `sh`).
    pub program: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Environment; the place for secrets.
    pub env: Vec<(String, String)>,
    /// Time limit.
    pub limit: Duration,
}

impl Call {
    /// A program with arguments and a limit of two minutes.
    pub fn new<A: Into<String>>(program: &str, args: impl IntoIterator<Item = A>) -> Call {
        Call { program: program.into(), args: args.into_iter().map(Into::into).collect(), env: Vec::new(), limit: Duration::from_secs(120) }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Call {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// The output of a program on a node while it runs.
pub struct NodeStream {
    /// Its standard output in pieces.
    pub stdout: mpsc::Receiver<std::io::Result<Bytes>>,
    /// Its end.
    pub done: tokio::task::JoinHandle<Outcome<()>>,
}

impl Node {
    /// The shared directory as programs on the node see it.
    pub fn shared_inside(&self) -> String {
        match &self.place {
            Place::Local(_) => self.shared.display().to_string(),
            Place::Docker(_) => docker::SHARED.into(),
        }
    }

    /// The data directory as programs on the node see it.
    pub fn data(&self) -> String {
        match &self.place {
            Place::Local(n) => n.data.display().to_string(),
            Place::Docker(_) => docker::DATA.into(),
        }
    }

    /// The address on which the server listens, as seen on the node.
    pub fn listen(&self) -> (String, u16) {
        match &self.place {
            Place::Local(n) => ("127.0.0.1".into(), n.port),
            Place::Docker(_) => ("*".into(), docker::PORT),
        }
    }

    /// The address at which the harness reaches the server.
    pub fn address(&self) -> SocketAddr {
        match &self.place {
            Place::Local(n) => SocketAddr::from(([127, 0, 0, 1], n.port)),
            Place::Docker(n) => n.address(),
        }
    }

    /// The whole version of PostgreSQL on the node (`15.18`).
    pub fn version(&self) -> &str {
        match &self.place {
            Place::Local(n) => &n.programs.version,
            Place::Docker(n) => &n.version,
        }
    }

    /// What to ask for to get another node of the same build: the whole version of what is installed, or the version that named
    /// the image.
    pub fn same_build(&self) -> Option<&str> {
        match &self.place {
            Place::Local(_) => Some(self.version()),
            Place::Docker(_) => self.asked.as_deref(),
        }
    }

    /// The major version.
    pub fn major(&self) -> u32 {
        self.version().split('.').next().and_then(|m| m.parse().ok()).unwrap_or(0)
    }

    /// Whether a program is there *in the server's own version*.
    pub async fn has(&self, program: &str) -> bool {
        match &self.place {
            Place::Local(n) => n.programs.own(program).is_some(),
            Place::Docker(n) => n.has(program).await,
        }
    }

    /// Runs a program to its end.
    pub async fn run(&self, call: &Call) -> Outcome<Finished> {
        match &self.place {
            Place::Local(n) => n.run(call).await,
            Place::Docker(n) => n.run(call, false).await,
        }
    }

    /// Starts a program whose output is streamed.
    pub async fn stream(&self, call: &Call) -> Outcome<NodeStream> {
        match &self.place {
            Place::Local(n) => n.stream(call),
            Place::Docker(n) => n.stream(call).await,
        }
    }

    /// Starts the server on the node's data directory, its log in `shared/postgres.log`.
    pub async fn start_server(&self, args: &[String]) -> Outcome<()> {
        match &self.place {
            Place::Local(n) => n.start_server(args, &self.log_path()).await,
            Place::Docker(n) => n.start_server(args).await,
        }
    }

    /// How the server ended, if it has.
    pub async fn server_exited(&self) -> Outcome<Option<String>> {
        match &self.place {
            Place::Local(n) => Ok(n.server_exited()),
            Place::Docker(n) => n.server_exited().await,
        }
    }

    /// Sends a signal to the postmaster.
    pub async fn signal_server(&self, signal: nix::sys::signal::Signal) -> Outcome<()> {
        match &self.place {
            Place::Local(n) => {
                n.signal_server(signal);
                Ok(())
            }
            Place::Docker(n) => n.signal_server(signal).await,
        }
    }

    /// Where the server's log is, as the harness sees it.
    pub fn log_path(&self) -> PathBuf {
        self.shared.join("postgres.log")
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        std::fs::read(self.log_path()).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    /// Where files for the data directory are put; to be used from a blocking thread.
    pub async fn sink(&self) -> Outcome<tree::TreeSink> {
        match &self.place {
            Place::Local(n) => tree::TreeSink::local(&n.data, n.user),
            Place::Docker(n) => n.sink().await,
        }
    }

    /// Kills everything on the node, without a word to it, data left in place. Returns how many processes
    /// were still found at the end; `None`: nobody could look.
    pub async fn crash(&self) -> Outcome<Option<usize>> {
        match &self.place {
            Place::Local(n) => Ok(Some(n.crash().await)),
            Place::Docker(n) => n.crash().await,
        }
    }

    /// The machine is gone: every process dead, shared memory and data removed. Returns how many processes
    /// were still found at the end; `None`: nobody could look.
    pub async fn lose(&self) -> Outcome<Option<usize>> {
        match &self.place {
            Place::Local(n) => n.lose().await.map(Some),
            Place::Docker(n) => n.lose(&self.journal).await,
        }
    }

    /// Processes that still work in the data directory after the server has ended; `None`: nobody could look.
    pub async fn left_running(&self) -> Option<usize> {
        let count = || async {
            match &self.place {
                Place::Local(n) => Some(n.left_running()),
                Place::Docker(n) => n.left_running().await,
            }
        };
        // One that is on its way out may be seen once more.
        for _ in 0..100 {
            match count().await {
                Some(0) => return Some(0),
                Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                None => return None,
            }
        }
        count().await
    }

    /// Gives the node up in order, at the end of its use.
    pub async fn release(&self) -> Outcome<()> {
        self.lose().await.map(|_| ())
    }

    /// Notes something acquired for the node.
    pub fn note(&self, acquired: Acquired) -> Outcome<()> {
        self.journal.note(acquired)
    }

    /// Whether the data lies on a memory file system.
    pub fn on_tmpfs(&self) -> bool {
        match &self.place {
            Place::Local(n) => journal::is_tmpfs(n.data.parent().unwrap_or(&n.data)),
            Place::Docker(_) => false,
        }
    }
}

/// Sets the permission bits.
pub fn set_mode(path: &Path, mode: u32) -> Outcome<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).doing(|| format!("set the mode of {}", path.display()))
}

/// A message about something missing.
pub fn missing(what: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Missing { what: what.into(), hint: hint.into() }
}
