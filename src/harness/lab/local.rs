//! Nodes made of processes and private directories on this machine.

use super::super::error::{Doing, Error, Outcome};
use super::super::process::{self, Finished, Server, Spec, User};
use super::programs::Programs;
use super::{Call, NodeStream, journal, missing};
use bytes::Bytes;
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// A machine that is a directory and the processes that work in it.
pub struct LocalNode {
    /// Its data directory.
    pub data: PathBuf,
    /// The port on loopback that its server listens on.
    pub port: u16,
    /// The programs of its version.
    pub programs: Programs,
    /// The user that runs them, if it is not us.
    pub user: Option<User>,
    dir: PathBuf,
    server: Mutex<Option<Server>>,
}

/// PostgreSQL refuses to run as root: if we are, its processes become `postgres`, or else `nobody`.
pub fn server_user() -> Outcome<Option<User>> {
    if !nix::unistd::getuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Ok(Some(u)) = nix::unistd::User::from_name(name) {
            return Ok(Some(User { uid: u.uid.as_raw(), gid: u.gid.as_raw() }));
        }
    }
    Err(missing("there is no user `postgres` or `nobody` to run the server as", "run as an ordinary user, or `useradd --system postgres`"))
}

impl LocalNode {
    /// A node in `dir`, without a server yet.
    pub fn new(dir: &Path, user: Option<User>, version: Option<&str>) -> Outcome<LocalNode> {
        let programs = Programs::find(version)?;
        let data = dir.join("data");
        // Made here, since the servers' user may not write into the directory above.
        super::tree::TreeSink::local(&data, user)?;
        Ok(LocalNode { data, port: free_port()?, programs, user, dir: dir.to_path_buf(), server: Mutex::new(None) })
    }

    fn spec(&self, call: &Call) -> Outcome<Spec> {
        let program = match call.program.as_str() {
            name @ ("sh" | "cat" | "ls") => PathBuf::from(name),
            name => self.programs.path(name)?,
        };
        let mut spec = Spec::new(program, call.args.iter()).user(self.user).cwd(&self.dir);
        spec.env.clone_from(&call.env);
        Ok(spec)
    }

    /// Runs a program to its end.
    pub async fn run(&self, call: &Call) -> Outcome<Finished> {
        process::output(&self.spec(call)?, None, call.limit).await
    }

    /// Starts a program whose output is streamed.
    pub fn stream(&self, call: &Call) -> Outcome<NodeStream> {
        let mut running = process::stream(&self.spec(call)?)?;
        let (sender, stdout) = mpsc::channel(8);
        let done = tokio::spawn(async move {
            loop {
                let mut piece = bytes::BytesMut::with_capacity(128 << 10);
                let read = running.stdout.read_buf(&mut piece).await;
                let end = !matches!(read, Ok(n) if n > 0);
                let item: Option<std::io::Result<Bytes>> = match read {
                    Ok(0) => None,
                    Ok(_) => Some(Ok(piece.freeze())),
                    Err(e) => Some(Err(e)),
                };
                if let Some(item) = item
                    && sender.send(item).await.is_err()
                {
                    break;
                }
                if end {
                    break;
                }
            }
            running.finish().await
        });
        Ok(NodeStream { stdout, done })
    }

    /// Starts `postgres`, whose parent we are.
    pub async fn start_server(&self, args: &[String], log: &Path) -> Outcome<()> {
        let mut all = vec!["-D".to_string(), self.data.display().to_string()];
        all.extend_from_slice(args);
        let spec = Spec::new(self.programs.path("postgres")?, all).user(self.user).cwd(&self.dir);
        let server = process::serve(&spec, log)?;
        *self.lock() = Some(server);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the server ended, if it has.
    pub fn server_exited(&self) -> Option<String> {
        match self.lock().as_mut() {
            Some(server) => server.exited().map(process::describe),
            None => Some("was never started".into()),
        }
    }

    /// Sends a signal to the postmaster.
    pub fn signal_server(&self, signal: Signal) {
        if let Some(server) = self.lock().as_ref() {
            process::signal(server.pid, signal);
        }
    }

    /// Processes that work in the data directory: every process of a server does.
    pub fn left_running(&self) -> usize {
        process::working_below(&self.data).len()
    }

    /// Kills every process of the node at once.
    pub async fn crash(&self) -> usize {
        let mut segments: Vec<i64> = journal::shared_memory_of(&self.data).into_iter().collect();
        let server = self.lock().take();
        segments.extend(server.iter().flat_map(|s| journal::shared_memory_made_by(&[s.pid])));
        let mut left = Vec::new();
        if let Some(mut server) = server {
            left = process::kill_tree(server.pid, Some(&self.dir), Duration::from_secs(20)).await;
            let _ = server.wait(Duration::from_secs(5)).await;
        }
        for id in segments {
            journal::remove_shared_memory(id).await;
        }
        left.len()
    }

    /// Kills every process and removes what is on the node's disk, the shared directory included.
    pub async fn lose(&self) -> Outcome<usize> {
        let left = self.crash().await;
        match std::fs::remove_dir_all(&self.data) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).doing(|| format!("remove {}", self.data.display()))?,
            _ => {}
        }
        Ok(left)
    }
}

/// A port of loopback that was free a moment ago. Another process may take it before the server does; the
/// server then says so and the run ends with that message.
fn free_port() -> Outcome<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).doing(|| "find a free port on loopback".into())?;
    let address = listener.local_addr().doing(|| "find a free port on loopback".into())?;
    match address.port() {
        0 => Err(Error::Other("the system gave no port".into())),
        port => Ok(port),
    }
}
