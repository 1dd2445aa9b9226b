//! The one module that spawns processes.
//!
//! Children get a small environment of their own (nothing of ours leaks into them), lose our
//! privileges where a user is given, and are found again by process id *and* start time.

use super::error::{Doing, Error, Outcome};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout};

/// A user to run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Path, or a name that is looked up on PATH.
    pub program: PathBuf,
    /// Arguments. Never a secret: they can be seen by every user of the machine.
    pub args: Vec<OsString>,
    /// Environment beside PATH, HOME, LC_ALL=C and TZ=UTC.
    pub env: Vec<(String, String)>,
    /// Directory to start in.
    pub cwd: Option<PathBuf>,
    /// User to become, if we are root.
    pub user: Option<User>,
}

impl Spec {
    /// A program with arguments.
    pub fn new<A: Into<OsString>>(program: impl Into<PathBuf>, args: impl IntoIterator<Item = A>) -> Spec {
        Spec { program: program.into(), args: args.into_iter().map(Into::into).collect(), env: Vec::new(), cwd: None, user: None }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Spec {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it as this user.
    #[must_use]
    pub fn user(mut self, user: Option<User>) -> Spec {
        self.user = user;
        self
    }

    /// Starts it in this directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Spec {
        self.cwd = Some(dir.into());
        self
    }

    fn name(&self) -> String {
        self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned()
    }

    #[allow(clippy::disallowed_methods)] // the one place
    fn command(&self) -> tokio::process::Command {
        let mut c = tokio::process::Command::new(&self.program);
        c.args(&self.args).env_clear().envs(inherited()).env("LC_ALL", "C").env("TZ", "UTC");
        c.envs(self.env.iter().map(|(k, v)| (k, v)));
        if let Some(dir) = &self.cwd {
            c.current_dir(dir);
        }
        if let Some(user) = self.user {
            c.uid(user.uid).gid(user.gid);
        }
        c
    }

    fn spawn_error(&self, source: std::io::Error) -> Error {
        match source.kind() {
            std::io::ErrorKind::NotFound => Error::Missing {
                what: format!("the program `{}` is not there", self.program.display()),
                hint: "install it, or check PATH; `passmuster doctor` says what is missing".into(),
            },
            _ => Error::Io { what: format!("start {}", self.program.display()), source },
        }
    }
}

fn inherited() -> impl Iterator<Item = (String, String)> {
    ["PATH", "HOME", "TMPDIR"].into_iter().filter_map(|k| std::env::var(k).ok().map(|v| (k.to_string(), v)))
}

/// What a finished program left.
#[derive(Debug)]
pub struct Finished {
    /// Its exit.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, the last 64 KiB.
    pub stderr: String,
}

impl Finished {
    /// The output, or an error if the program did not succeed.
    pub fn success(self, program: &str) -> Outcome<Finished> {
        if self.status.success() {
            return Ok(self);
        }
        Err(Error::Program { program: program.into(), how: describe(self.status), stderr: tail(&self.stderr) })
    }

    /// The output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// `exited with 1`, `was killed by signal 9`.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (_, Some(signal)) => format!("was killed by signal {signal}"),
        _ => "ended".into(),
    }
}

/// The last lines of what a program said.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

/// Runs a program to its end, with a deadline; it is killed when the deadline passes or the future is dropped.
pub async fn output(spec: &Spec, stdin: Option<&[u8]>, limit: Duration) -> Outcome<Finished> {
    let mut command = spec.command();
    command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| spec.spawn_error(e))?;
    let to_child = child.stdin.take();
    let feed = async move {
        if let (Some(mut pipe), Some(bytes)) = (to_child, stdin) {
            // A program that ends without reading all of its input says so by its exit.
            let _ = pipe.write_all(bytes).await;
        }
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    let done = tokio::time::timeout(limit, both).await.map_err(|_| Error::Timeout { what: format!("the end of {}", spec.name()), after: limit })?;
    let done = done.doing(|| format!("wait for {}", spec.name()))?;
    Ok(Finished { status: done.status, stdout: done.stdout, stderr: String::from_utf8_lossy(&done.stderr).into_owned() })
}

/// The output of a short program that succeeds, or nothing. For questions such as `--version`, outside of runs.
#[allow(clippy::disallowed_methods)] // the one place
pub fn output_blocking(spec: &Spec) -> Option<String> {
    let mut c = std::process::Command::new(&spec.program);
    c.args(&spec.args).env_clear().envs(inherited()).env("LC_ALL", "C").stdin(Stdio::null());
    let done = c.output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A program whose output is read while it runs.
pub struct Streaming {
    /// Its standard output.
    pub stdout: ChildStdout,
    child: Child,
    stderr: tokio::task::JoinHandle<String>,
    name: String,
}

impl Streaming {
    /// Waits for the end, after the output was read.
    pub async fn finish(mut self) -> Outcome<()> {
        drop(self.stdout);
        let status = self.child.wait().await.doing(|| format!("wait for {}", self.name))?;
        let stderr = self.stderr.await.unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        Err(Error::Program { program: self.name, how: describe(status), stderr: tail(&stderr) })
    }
}

/// Starts a program whose output is streamed; killed when dropped.
pub fn stream(spec: &Spec) -> Outcome<Streaming> {
    let mut command = spec.command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| spec.spawn_error(e))?;
    let (stdout, stderr) = match (child.stdout.take(), child.stderr.take()) {
        (Some(out), Some(err)) => (out, err),
        _ => return Err(Error::Other(format!("{} has no pipes", spec.name()))),
    };
    let stderr = tokio::spawn(async move {
        let mut text = Vec::new();
        let _ = stderr.take(64 << 10).read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).into_owned()
    });
    Ok(Streaming { stdout, child, stderr, name: spec.name() })
}

/// A server that we are the parent of.
pub struct Server {
    child: Child,
    /// Process id.
    pub pid: i32,
}

/// Starts a server with its output in `log`. It is *not* killed when dropped: the undo stack does that.
pub fn serve(spec: &Spec, log: &Path) -> Outcome<Server> {
    let open = || std::fs::OpenOptions::new().create(true).append(true).open(log).doing(|| format!("open {}", log.display()));
    let mut command = spec.command();
    command.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
    let child = command.spawn().map_err(|e| spec.spawn_error(e))?;
    let pid = child.id().ok_or_else(|| Error::Other(format!("{} ended at once", spec.name())))? as i32;
    Ok(Server { child, pid })
}

impl Server {
    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub async fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let waited = tokio::time::timeout(limit, self.child.wait()).await;
        waited.map_err(|_| Error::Timeout { what: format!("the end of process {}", self.pid), after: limit })?.doing(|| "wait for a server".into())
    }
}

/// A process as the system shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proc {
    /// Process id.
    pub pid: i32,
    /// Parent.
    pub parent: i32,
    /// `Z` is a zombie.
    pub state: char,
    /// Start, in clock ticks since boot: with the id, an identity.
    pub started: u64,
}

/// Reads one process; `None` if it is gone.
pub fn proc_of(pid: i32) -> Option<Proc> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so count from its end.
    let rest = stat.get(stat.rfind(')')? + 2..)?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Proc { pid, state: fields.first()?.chars().next()?, parent: fields.get(1)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
}

fn all_procs() -> Vec<Proc> {
    let Ok(dir) = std::fs::read_dir("/proc") else { return Vec::new() };
    dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).filter_map(proc_of).collect()
}

/// The process and everything below it, deepest last.
pub fn descendants(root: i32) -> Vec<Proc> {
    let all = all_procs();
    let mut children: HashMap<i32, Vec<&Proc>> = HashMap::new();
    for p in &all {
        children.entry(p.parent).or_default().push(p);
    }
    let mut found: Vec<Proc> = all.iter().filter(|p| p.pid == root).cloned().collect();
    let mut seen: HashSet<i32> = HashSet::from([root]);
    let mut queue = vec![root];
    while let Some(pid) = queue.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if seen.insert(child.pid) {
                found.push((*child).clone());
                queue.push(child.pid);
            }
        }
    }
    found
}

/// Processes whose working directory is below `dir`, deleted or not: every PostgreSQL process works in its
/// data directory, whoever its parent has become.
pub fn working_below(dir: &Path) -> Vec<Proc> {
    let below = |pid: i32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| {
            let text = cwd.to_string_lossy();
            Path::new(text.strip_suffix(" (deleted)").unwrap_or(&text)).starts_with(dir)
        })
    };
    let own = std::process::id() as i32;
    all_procs().into_iter().filter(|p| p.pid != own && below(p.pid)).collect()
}

/// Sends a signal; a process that is gone is no error.
pub fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Kills a process and all below it, so that none can start another meanwhile, and waits until none is left.
///
/// Each child of a postmaster has a session of its own, so killing the process group is not enough (tried):
/// the root is stopped first, then the tree is walked until nothing of it is found. Returns what could not be ended.
pub async fn kill_tree(root: i32, also_below: Option<&Path>, limit: Duration) -> Vec<Proc> {
    signal(root, nix::sys::signal::Signal::SIGSTOP);
    let find = || {
        let mut found = descendants(root);
        if let Some(dir) = also_below {
            found.extend(working_below(dir));
        }
        found
    };
    kill_all(find, Some(root), limit).await
}

/// Kills everything that `find` finds, again and again, until it finds nothing and nothing is left. Orphans come to us, since
/// we are their subreaper, and are reaped here; `ours` is a child that somebody else of us waits for.
pub async fn kill_all(find: impl Fn() -> Vec<Proc>, ours: Option<i32>, limit: Duration) -> Vec<Proc> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut known: Vec<Proc> = Vec::new();
    loop {
        let now = find();
        for p in &now {
            if !known.iter().any(|k| k.pid == p.pid && k.started == p.started) {
                known.push(p.clone());
            }
        }
        for p in known.iter().rev() {
            signal(p.pid, nix::sys::signal::Signal::SIGKILL);
        }
        known.retain(|p| !is_gone(p, ours));
        if known.is_empty() || tokio::time::Instant::now() >= deadline {
            return known;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether a killed process is gone. A zombie is, once it is reaped, or is a child that is waited for elsewhere.
fn is_gone(p: &Proc, ours: Option<i32>) -> bool {
    let Some(now) = proc_of(p.pid).filter(|now| now.started == p.started) else { return true };
    if now.state != 'Z' || ours == Some(p.pid) {
        return now.state == 'Z';
    }
    if now.parent == std::process::id() as i32 {
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(p.pid), Some(nix::sys::wait::WaitPidFlag::WNOHANG));
        return true;
    }
    // Its parent is dying as well, or is not ours to care for: then it holds nothing any more.
    proc_of(now.parent).is_none_or(|parent| parent.state != 'Z' && !has_died(&parent))
}

/// Whether a process is on its way out: its orphans are handed on when it ends.
fn has_died(p: &Proc) -> bool {
    matches!(p.state, 'X' | 'x')
}

/// Makes orphaned grandchildren ours, so that they can be found and reaped.
pub fn adopt_orphans() {
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// Finds a program on PATH.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| is_executable(p))
}

/// Whether the path is a file that someone may execute.
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_sees_nothing_of_our_environment() {
        let done = output(&Spec::new("sh", ["-c", "env; cat"]).env("X", "1"), Some(b"in"), Duration::from_secs(10)).await.unwrap();
        let text = done.success("sh").unwrap().text();
        assert!(text.contains("X=1") && text.ends_with("in"), "{text}");
        assert!(!text.contains("CARGO"), "{text}");
    }

    #[tokio::test]
    async fn a_missing_program_says_so() {
        let e = output(&Spec::new("no-such-program-here", ["x"]), None, Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(e, Error::Missing { .. }), "{e}");
    }

    #[tokio::test]
    async fn a_tree_with_sessions_of_its_own_is_killed_whole() {
        adopt_orphans();
        let dir = std::env::temp_dir().join(format!("pm-tree-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let spec = Spec::new("sh", ["-c", "setsid sh -c 'sleep 300 & sleep 300' & sleep 300"]).cwd(&dir);
        let server = serve(&spec, &dir.join("log")).unwrap();
        poll_until(|| descendants(server.pid).len() >= 4).await;
        assert_eq!(kill_tree(server.pid, Some(&dir), Duration::from_secs(5)).await, vec![]);
        assert_eq!(working_below(&dir), vec![]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    async fn poll_until(mut f: impl FnMut() -> bool) {
        super::super::recorder::poll("it", Duration::from_secs(5), Duration::from_millis(5), || {
            let done = f().then_some(());
            async move { Ok(done) }
        })
        .await
        .unwrap();
    }
}
