//! What the drills' tests share: the machine, a private place per test, running the program as a user would, and the search for
//! left-overs.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_passmuster");
/// How long one drill may take here at most.
pub const LIMIT: Duration = Duration::from_secs(300);

/// What this machine has, as `doctor` finds it.
pub struct Machine {
    findings: Vec<(String, String, String)>,
    local: bool,
    docker: bool,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let out = Command::new(PROGRAM).args(["doctor", "--format", "json"]).output().expect("doctor runs");
    let value: Value = serde_json::from_slice(&out.stdout).expect("doctor prints JSON");
    let text = |f: &Value, k: &str| f[k].as_str().unwrap_or_default().to_string();
    let findings: Vec<_> =
        value["findings"].as_array().expect("findings").iter().map(|f| (text(f, "what"), text(f, "state"), text(f, "detail"))).collect();
    // The images are those that the tests name, not those that a drill would use.
    let docker = findings.iter().any(|(what, state, _)| what == "Docker Engine" && state == "there");
    Machine { local: value["local"] == true, docker, findings }
});

/// Why a test cannot run here.
pub struct Skip(pub String);

/// What a test comes to, if it does not panic.
pub type Done = Result<(), Skip>;

/// PostgreSQL of a version on the local lab; says whether it has `pg_waldump`.
pub fn need_postgres(major: &str) -> Result<bool, Skip> {
    let name = format!("PostgreSQL {major}.");
    let found = MACHINE.findings.iter().find(|(what, state, _)| state == "there" && format!("{what}.").starts_with(&name));
    found.map(|(_, _, detail)| !detail.contains("pg_waldump")).ok_or_else(|| Skip(format!("PostgreSQL {major} is not installed")))
}

/// The local lab.
pub fn need_local() -> Done {
    if MACHINE.local { Ok(()) } else { Err(Skip("no PostgreSQL for the local lab".into())) }
}

/// The program `minio`.
pub fn need_minio() -> Done {
    if MACHINE.findings.iter().any(|(what, state, _)| what == "minio" && state == "there") { Ok(()) } else { Err(Skip("no minio".into())) }
}

/// A Docker Engine with an image of that PostgreSQL; gives the variables that name the images.
pub fn need_docker(major: &str) -> Result<Vec<(String, String)>, Skip> {
    if !MACHINE.docker {
        return Err(Skip("no Docker Engine that answers".into()));
    }
    let (Ok(postgres), Ok(s3)) = (std::env::var("PM_TEST_IMAGE_POSTGRES"), std::env::var("PM_TEST_IMAGE_S3")) else {
        return Err(Skip("no images are named: PM_TEST_IMAGE_POSTGRES, PM_TEST_IMAGE_S3".into()));
    };
    let image = postgres.replace("{version}", major);
    for image in [&image, &s3] {
        let there = Command::new("docker").args(["image", "inspect", image]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|s| s.success()) {
            return Err(Skip(format!("no image {image}")));
        }
    }
    Ok(vec![("PASSMUSTER_IMAGE_POSTGRES".into(), image), ("PASSMUSTER_IMAGE_S3".into(), s3)])
}

/// A mount namespace of our own, to hide or limit directories.
pub fn need_namespaces() -> Done {
    let works = Command::new("unshare").args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"]).stderr(Stdio::null()).status();
    if works.is_ok_and(|s| s.success()) { Ok(()) } else { Err(Skip("no mount namespaces (root is needed)".into())) }
}

/// Asks again and again until something is so; false if it is not within the time.
pub fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if so() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
        // A pause between two looks, not a wait for anything.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A private place: scratch directory, evidence, and what may have been left behind.
pub struct Bed {
    dir: tempfile::TempDir,
    shared_memory: Vec<String>,
}

impl Default for Bed {
    fn default() -> Bed {
        Bed::new()
    }
}

impl Bed {
    pub fn new() -> Bed {
        let dir = tempfile::Builder::new().prefix("pm-drill-").tempdir_in("/var/tmp").expect("a private directory");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).expect("its mode");
        let bed = Bed { dir, shared_memory: shared_memory() };
        for sub in ["scratch", "home"] {
            std::fs::create_dir(bed.path(sub)).expect("a directory in it");
        }
        std::fs::set_permissions(bed.path("scratch"), std::fs::Permissions::from_mode(0o711)).expect("its mode");
        bed
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `passmuster ARGS` in this place. Evidence goes to `out`, private files to `scratch`.
    pub fn command<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let args: Vec<String> = args.into_iter().map(|a| a.as_ref().to_string()).collect();
        let mut command = Command::new(PROGRAM);
        let drills = args.first().is_some_and(|a| a == "drill" || a == "falsify");
        command.args(&args).current_dir(self.dir.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        if drills {
            command.arg("--scratch").arg(self.path("scratch")).arg("--out").arg(self.path("out"));
        }
        command
    }

    /// Runs it to its end.
    pub fn run<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>, env: &[(String, String)]) -> Ran {
        let mut command = self.command(args);
        command.envs(env.iter().map(|(k, v)| (k, v)));
        Running::start(&mut command).finish(LIMIT)
    }

    /// The runs that were published, oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = std::fs::read_dir(self.path("out")).into_iter().flatten().flatten().map(|e| e.path()).collect();
        all.sort();
        all
    }

    /// The only run.
    pub fn only_run(&self) -> PathBuf {
        let runs = self.runs();
        assert_eq!(runs.len(), 1, "one run was published: {runs:?}");
        runs[0].clone()
    }

    /// Nothing is left: no directory, process, shared memory, container or volume.
    pub fn assert_nothing_left(&self, after: &str) {
        // Others on this machine may start and stop servers, whose segments are unused for a moment.
        within(Duration::from_secs(3), || self.left().is_empty());
        let left = self.left();
        assert!(left.is_empty(), "left behind after {after}: {left:#?}");
    }

    /// What is left of runs in this place.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for base in std::fs::read_dir(self.path("scratch")).into_iter().flatten().flatten() {
            left.extend(std::fs::read_dir(base.path()).into_iter().flatten().flatten().map(|e| format!("file {}", e.path().display())));
        }
        left.extend(self.processes().iter().map(|(pid, what)| format!("process {pid}: {what}")));
        left.extend(shared_memory().into_iter().filter(|s| !self.shared_memory.contains(s)).map(|s| format!("shared memory {s}")));
        if MACHINE.docker {
            for (kind, args) in [
                ("container", vec!["ps", "-aq", "--filter", "label=passmuster.run"]),
                ("volume", vec!["volume", "ls", "-q", "--filter", "label=passmuster.run"]),
            ] {
                let listed = Command::new("docker").args(args).output().expect("docker lists");
                assert!(listed.status.success(), "docker lists");
                left.extend(String::from_utf8_lossy(&listed.stdout).lines().map(|l| format!("{kind} {l}")));
            }
        }
        left
    }

    /// Processes that work below this place.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let here = self.path("scratch");
        let here = here.display().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default().display().to_string();
            let line = cmdline(pid);
            let ours = line.contains(PROGRAM) || line.starts_with("unshare");
            if (cwd.starts_with(&here) || line.contains(&here)) && !ours {
                found.push((pid, line));
            }
        }
        found
    }
}

/// A process's arguments.
pub fn cmdline(pid: i32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).replace('\0', " ")
}

/// Segments of shared memory that nobody uses: System V ones without an attached process, POSIX ones of PostgreSQL that nothing maps.
/// Segments in use belong to others on this machine; those of ours are in use by processes, which are looked for apart.
fn shared_memory() -> Vec<String> {
    let sysv = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let fields = sysv.lines().skip(1).map(|l| l.split_whitespace().map(String::from).collect::<Vec<_>>());
    let mut all: Vec<String> = fields.filter(|f| f.get(6).is_some_and(|n| n == "0")).map(|f| format!("segment {}", f[1])).collect();
    let mut mapped = String::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let maps = std::fs::read_to_string(entry.path().join("maps")).unwrap_or_default();
        maps.lines().filter(|l| l.contains("/dev/shm/")).for_each(|l| mapped += l);
    }
    let names = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    all.extend(names.filter(|n| n.starts_with("PostgreSQL.") && !mapped.contains(n.as_str())));
    all
}

/// The program while it runs.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
    stdout: std::thread::JoinHandle<String>,
    said: Mutex<String>,
}

/// What the program left.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut out = child.stdout.take().expect("its output");
        let err = child.stderr.take().expect("its messages");
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = out.read_to_string(&mut text);
            text
        });
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines, stdout, said: Mutex::new(String::new()) }
    }

    /// Reads messages until one satisfies the condition; false if the program ends before.
    pub fn until(&self, limit: Duration, mut wanted: impl FnMut(&str) -> bool) -> bool {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = wanted(&line);
                    let mut said = self.said.lock().expect("messages");
                    said.push_str(&line);
                    said.push('\n');
                    if found {
                        return true;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return false,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing within {limit:?}; so far: {}", self.said.lock().expect("messages")),
            }
        }
    }

    /// Reads messages until a phase begins; needs `-v`.
    pub fn until_phase(&self, name: &str) -> bool {
        let wanted = format!("\"name\":\"{name}\"");
        self.until(LIMIT, |l| l.contains("\"event\":\"phase\"") && l.contains(&wanted))
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal);
    }

    pub fn finish(mut self, limit: Duration) -> Ran {
        if !within(limit, || matches!(self.child.try_wait(), Ok(Some(_)))) {
            let _ = self.child.kill();
            panic!("did not end within {limit:?}");
        }
        let code = self.child.wait().expect("it ended").code();
        // All messages that are still under way.
        self.until(Duration::from_secs(10), |_| false);
        let stdout = self.stdout.join().expect("its output");
        Ran { code, stdout, stderr: self.said.into_inner().expect("messages") }
    }
}

impl Ran {
    /// The program ended with a code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Ran {
        assert_eq!(self.code, Some(code), "exit code; it printed:\n{}\n{}", tail(&self.stdout), tail(&self.stderr));
        self
    }

    /// Something stands in what it printed.
    #[track_caller]
    pub fn says(&self, words: &str) -> &Ran {
        let flat = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = flat(&self.stderr) + " " + &flat(&self.stdout);
        assert!(all.contains(words), "it does not say `{words}`; it printed:\n{}\n{}", tail(&self.stdout), tail(&self.stderr));
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("not JSON ({e}):\n{}\n{}", tail(&self.stdout), tail(&self.stderr)))
    }
}

fn tail(text: &str) -> &str {
    let from = text.char_indices().rev().nth(6000).map_or(0, |(i, _)| i);
    &text[from..]
}

/// The view of a published run.
pub fn view(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("run.json")).expect("run.json")).expect("run.json is JSON")
}

/// The judgement of an expectation or doubt.
pub fn judged<'v>(view: &'v Value, id: &str) -> Option<&'v Value> {
    view["verdict"]["judgements"].as_array()?.iter().find(|j| j["id"] == id)
}

/// Everything that a green run must show, so that a green that measured nothing is none.
pub fn assert_green(bed: &Bed, dir: &Path) -> Value {
    let view = view(dir);
    let v = &view["verdict"];
    let not_green: Vec<&Value> = v["judgements"].as_array().expect("judgements").iter().filter(|j| j["outcome"] != "pass").collect();
    assert_eq!(v["outcome"], "pass", "{}: {not_green:?} {:?}", dir.display(), v["errors"]);
    assert_eq!(v["status"], "completed");
    assert_eq!(view["evidence_of"], "design");
    assert_eq!(view["level"], "ledger-exact");
    assert!(not_green.is_empty(), "{not_green:?}");
    assert!(v["loss"]["acknowledged"].as_u64().expect("acknowledged") >= 100, "there was load: {}", v["loss"]);
    let ns = |name: &str| v["times"][name].as_u64().unwrap_or_else(|| panic!("no {name}"));
    assert!(ns("fault") < ns("write") && ns("write") <= ns("verified"), "{}", v["times"]);
    assert!(ns("verified_rto_ns") > 0 && ns("verified_rto_ns") < 300_000_000_000);
    for id in ["recovery", "rto", "archive-loss", "ledger-intact", "encrypted-at-rest", "no-dangling-rows"] {
        assert_eq!(judged(&view, id).map(|j| &j["outcome"]), Some(&Value::from("pass")), "{id}");
    }
    let page = std::fs::read_to_string(dir.join("report.html")).expect("report.html");
    assert!(page.contains("<svg") && !page.contains("<script src") && !page.contains("src=\"http"), "self-contained page with a timeline");
    bed.run(["verify", &dir.display().to_string()], &[]).exits(0);
    view
}

/// A recorded file of a run, unpacked.
pub fn recorded(dir: &Path, name: &str) -> String {
    let packed = std::fs::read(dir.join(format!("{name}.zst"))).ok().map(|bytes| zstd::decode_all(&bytes[..]).expect("zstd"));
    let bytes = packed.unwrap_or_else(|| std::fs::read(dir.join(name)).expect("recorded file"));
    String::from_utf8(bytes).expect("text")
}

/// Every file of a directory tree with its content, unpacked.
pub fn all_files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(all_files(&path));
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            let plain = if path.extension().is_some_and(|e| e == "zst") { zstd::decode_all(&bytes[..]).expect("zstd") } else { bytes };
            all.push((path, plain));
        }
    }
    all
}
