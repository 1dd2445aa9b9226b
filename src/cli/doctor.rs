//! `doctor`: what this machine has and lacks for each lab and system, and the command that adds it.

use super::drill::{ImageArgs, runtime};
use super::exit::Exit;
use super::out::Out;
use crate::harness::lab::journal::{free_bytes, is_tmpfs, scratch_path};
use crate::harness::lab::programs::Programs;
use crate::harness::lab::{docker, local};
use crate::harness::process::which;
use crate::model::units::human_size;
use crate::report::table;
use clap::Args;
use nix::unistd::{AccessFlags, access};
use serde::Serialize;

const NOTE: &str = "It looks, and changes nothing. Exit codes: 0 at least one lab is ready, 11 none is.";

/// What `doctor` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTE)]
pub struct DoctorArgs {
    /// What containers would be made from.
    #[command(flatten)]
    pub images: ImageArgs,
}

#[derive(Serialize)]
struct Finding {
    what: String,
    state: &'static str,
    detail: String,
    add: Option<String>,
}

fn has(what: &str, detail: impl Into<String>) -> Finding {
    Finding { what: what.into(), state: "there", detail: detail.into(), add: None }
}

fn lacks(what: &str, detail: impl Into<String>, add: impl Into<String>) -> Finding {
    Finding { what: what.into(), state: "missing", detail: detail.into(), add: Some(add.into()) }
}

/// Runs the command. It ends with 0 if at least one lab can run the first-light drills.
pub fn run(args: &DoctorArgs, out: &mut Out) -> Exit {
    let mut all = Vec::new();
    let local_ready = local(&mut all);
    let docker_ready = runtime(out).is_some_and(|r| r.block_on(docker_lab(&args.images, &mut all)));
    tools(&mut all);
    if out.json() {
        let text = serde_json::to_string_pretty(&serde_json::json!({"version": 1, "local": local_ready, "docker": docker_ready, "findings": all}))
            .unwrap_or_default();
        out.data(&(text + "\n"));
    } else {
        let style = out.style();
        let mut t = table::table(&["what", "state", "detail"], style);
        for f in &all {
            t.add_row([f.what.as_str(), f.state, f.detail.as_str()]);
        }
        table::keep_whole(&mut t, 0);
        let ready = |is| if is { style.good("ready") } else { style.bad("not ready") };
        let text = format!("{}{}\n local lab: {}, docker lab: {}\n", table::render(&t, style), to_add(&all), ready(local_ready), ready(docker_ready));
        out.data(&text);
    }
    if local_ready || docker_ready { Exit::Ok } else { Exit::Undecided }
}

/// How to add what is missing, one line each and never broken, so that commands can be copied.
fn to_add(all: &[Finding]) -> String {
    let width = all.iter().filter(|f| f.add.is_some()).map(|f| f.what.len()).max().unwrap_or_default();
    let lines: String = all.iter().filter_map(|f| f.add.as_ref().map(|add| format!(" {:<width$}  {add}\n", f.what))).collect();
    if lines.is_empty() { lines } else { format!("\n To add what is missing:\n{lines}") }
}

fn local(all: &mut Vec<Finding>) -> bool {
    let installed = Programs::all();
    let mut ready = !installed.is_empty();
    if installed.is_empty() {
        all.push(lacks("PostgreSQL (local lab)", "no server is installed", "`passmuster drill --fetch`, or Debian: `apt-get install postgresql`"));
    }
    for p in &installed {
        let lacking: Vec<&str> = ["pg_waldump", "pg_basebackup", "pg_verifybackup"].into_iter().filter(|n| p.own(n).is_none()).collect();
        let detail = if lacking.is_empty() { p.bin.display().to_string() } else { format!("{} (without {})", p.bin.display(), lacking.join(", ")) };
        all.push(has(&format!("PostgreSQL {}", p.version), detail));
    }
    match local::server_user() {
        Ok(None) => all.push(has("user for servers", "the one who runs passmuster")),
        Ok(Some(u)) => all.push(has("user for servers", format!("uid {}, since PostgreSQL refuses to run as root", u.uid))),
        Err(e) => {
            ready = false;
            all.push(lacks("user for servers", e.to_string(), e.hint().unwrap_or_default()));
        }
    }
    match scratch() {
        Ok(found) => all.push(found),
        Err(found) => {
            ready = false;
            all.push(found);
        }
    }
    ready
}

/// The scratch directory, or the one in which it would be made; an error if no drill could use it.
fn scratch() -> Result<Finding, Finding> {
    let dir = scratch_path(None);
    let there = if dir.is_dir() { dir.as_path() } else { dir.parent().unwrap_or(&dir) };
    let at = dir.display();
    if access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return Err(lacks("scratch directory", format!("{at} cannot be written"), "`--scratch DIR` of a drill"));
    }
    if is_tmpfs(there) {
        let detail = format!("{at} is on a memory file system: runs there are inconclusive");
        return Ok(lacks("scratch directory", detail, "`--scratch DIR` on a disk"));
    }
    let free = free_bytes(there).map_or("unknown".into(), human_size);
    Ok(has("scratch directory", format!("{at}, {free} free")))
}

async fn docker_lab(images: &ImageArgs, all: &mut Vec<Finding>) -> bool {
    let postgres = docker::image_postgres(images.image_postgres.as_deref(), None);
    let s3 = docker::image_s3(images.image_s3.as_deref());
    let survey = match docker::survey(&[&postgres, s3]).await {
        Ok(survey) => survey,
        Err(e) => {
            all.push(lacks("Docker Engine", e.to_string(), e.hint().unwrap_or_default()));
            return false;
        }
    };
    all.push(has("Docker Engine", survey.version.as_str()));
    let asked = [("image of PostgreSQL", postgres.as_str(), "postgres", "--image-postgres"), ("image of the S3 store", s3, "minio", "--image-s3")];
    for ((what, name, word, option), here) in asked.into_iter().zip(&survey.here) {
        all.push(image(what, name, *here, option, &others(&survey.images, word, name)));
    }
    survey.here.iter().all(|here| *here)
}

/// Images that could be named instead.
fn others<'a>(images: &'a [String], word: &str, used: &str) -> Vec<&'a str> {
    images.iter().map(String::as_str).filter(|i| i.contains(word) && *i != used).collect()
}

/// Whether the very image that a drill would use is here; others help nobody who does not name them.
fn image(what: &str, name: &str, here: bool, option: &str, others: &[&str]) -> Finding {
    let (also, which) = match others {
        [] => (String::new(), "another"),
        some => (format!("; others that are here: {}", some.join(", ")), "one that is here"),
    };
    match here {
        true => has(what, format!("{name}{also}")),
        false => lacks(
            what,
            format!("{name} is not here, and a drill would have to pull it{also}"),
            format!("`docker pull {name}`, or `drill {option} IMAGE` with {which}"),
        ),
    }
}

fn tools(all: &mut Vec<Finding>) {
    let known = [
        ("minio", "for `profile: minio` on the local lab; the embedded store does without", "put the program `minio` on the PATH"),
        ("ipcrm", "for removing the shared memory of killed servers", "Debian: `apt-get install util-linux`"),
    ];
    for (program, why, add) in known {
        match which(program) {
            Some(path) => all.push(has(program, path.display().to_string())),
            None => all.push(lacks(program, why, add)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_image_is_not_the_one_that_a_drill_uses() {
        let images = ["minio/minio:new", "my-postgres:16-ci", "postgres:16"].map(String::from);
        let name = docker::image_postgres(None, None);
        assert_eq!(name, "postgres:17");
        let found = image("image of PostgreSQL", &name, false, "--image-postgres", &others(&images, "postgres", &name));
        assert_eq!(found.state, "missing");
        assert_eq!(found.detail, "postgres:17 is not here, and a drill would have to pull it; others that are here: my-postgres:16-ci, postgres:16");
        assert_eq!(found.add.as_deref(), Some("`docker pull postgres:17`, or `drill --image-postgres IMAGE` with one that is here"));
        let named = docker::image_postgres(Some("my-postgres:{version}-ci"), Some("16"));
        let found = image("image of PostgreSQL", &named, true, "--image-postgres", &others(&images, "postgres", &named));
        assert_eq!((found.state, found.detail.as_str()), ("there", "my-postgres:16-ci; others that are here: postgres:16"));
    }
}
