//! `doctor`: what this machine has and lacks for each lab and system, and the command that adds it.

use super::drill::runtime;
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
pub struct DoctorArgs {}

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
pub fn run(_args: &DoctorArgs, out: &mut Out) -> Exit {
    let mut all = Vec::new();
    let local_ready = local(&mut all);
    let docker_ready = runtime(out).is_some_and(|r| r.block_on(docker_lab(&mut all)));
    tools(&mut all);
    if out.json() {
        let text = serde_json::to_string_pretty(&serde_json::json!({"version": 1, "local": local_ready, "docker": docker_ready, "findings": all}))
            .unwrap_or_default();
        out.data(&(text + "\n"));
    } else {
        let style = out.style();
        let mut t = table::table(&["what", "state", "detail", "to add it"], style);
        for f in &all {
            t.add_row([f.what.clone(), f.state.to_string(), f.detail.clone(), f.add.clone().unwrap_or_default()]);
        }
        table::keep_whole(&mut t, 0);
        let ready = |is| if is { style.good("ready") } else { style.bad("not ready") };
        let text = format!("{}\n local lab: {}, docker lab: {}\n", table::render(&t, style), ready(local_ready), ready(docker_ready));
        out.data(&text);
    }
    if local_ready || docker_ready { Exit::Ok } else { Exit::Undecided }
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

async fn docker_lab(all: &mut Vec<Finding>) -> bool {
    match docker::survey().await {
        Ok((version, images)) => {
            all.push(has("Docker Engine", version));
            let of = |words: &[&str]| images.iter().filter(|i| words.iter().any(|w| i.contains(w))).cloned().collect::<Vec<_>>();
            for (what, words, default, option) in [
                ("image of PostgreSQL", &["postgres"][..], docker::DEFAULT_IMAGE_POSTGRES, "--image-postgres"),
                ("image of an S3 store", &["minio"][..], docker::DEFAULT_IMAGE_S3, "--image-s3"),
            ] {
                let found = of(words);
                match found.is_empty() {
                    false => all.push(has(what, found.join(", "))),
                    true => all.push(lacks(
                        what,
                        "none is here; it is pulled at the first drill",
                        format!("`docker pull {}`, or `{option} IMAGE`", default.replace("{version}", "17")),
                    )),
                }
            }
            true
        }
        Err(e) => {
            all.push(lacks("Docker Engine", e.to_string(), e.hint().unwrap_or_default()));
            false
        }
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
