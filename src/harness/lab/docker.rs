//! Nodes made of containers (testcontainers), with a volume for the data and a bind mount for the
//! directory shared with the harness. The container needs nothing of ours: a shell and the programs of
//! its own image.
//!
//! Process 1 of a node idles and reaps; servers and programs are run in it with `exec`, so that one node
//! lives through many starts of its server, as a machine does.

use super::super::error::{Doing, Error, Outcome};
use super::super::process::{Finished, User, tail};
use super::super::recorder::poll;
use super::journal::{Acquired, Journal};
use super::tree::{Pieces, TreeSink};
use super::{Call, Lab, NodeStream, missing};
use futures_util::{StreamExt, stream};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use testcontainers::bollard::{
    Docker,
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
    models::{PortBinding, VolumeCreateRequest},
    query_parameters::{
        KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions, UploadToContainerOptionsBuilder,
    },
};
use testcontainers::core::{IntoContainerPort, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::mpsc;

/// The data directory inside of a container: below the volume, so that the server's user owns it.
pub const DATA: &str = "/passmuster/volume/data";
const VOLUME: &str = "/passmuster/volume";
/// The shared directory inside of a container.
pub const SHARED: &str = "/passmuster/shared";
/// The server's port inside of a container.
pub const PORT: u16 = 5432;
/// The label that everything bears; its value is the run id.
pub const LABEL: &str = "passmuster.run";

/// `{version}` is replaced by the version that a scenario asks for.
pub const DEFAULT_IMAGE_POSTGRES: &str = "postgres:{version}";
/// The version when none is asked for.
const DEFAULT_VERSION: &str = "17";
/// The last image that MinIO's makers published.
pub const DEFAULT_IMAGE_S3: &str = "minio/minio:RELEASE.2025-09-07T16-13-09Z";

/// The image of PostgreSQL that a lab uses: what was named, or the default.
pub fn image_postgres(named: Option<&str>, version: Option<&str>) -> String {
    named.unwrap_or(DEFAULT_IMAGE_POSTGRES).replace("{version}", version.unwrap_or(DEFAULT_VERSION))
}

/// The image of the S3 store that a lab uses.
pub fn image_s3(named: Option<&str>) -> &str {
    named.unwrap_or(DEFAULT_IMAGE_S3)
}

/// Waits for ever, reaps what is orphaned, ends at once when asked.
const IDLE: &str = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";

/// A machine that is a container.
pub struct DockerNode {
    /// Whole version of its PostgreSQL.
    pub version: String,
    docker: Docker,
    container: Mutex<Option<ContainerAsync<GenericImage>>>,
    name: String,
    volume: String,
    bin: String,
    user: User,
    server: Mutex<Option<String>>,
    address: Mutex<SocketAddr>,
}

fn docker_error(what: &str) -> impl FnOnce(testcontainers::bollard::errors::Error) -> Error {
    let what = what.to_string();
    move |e| Error::Docker { what, message: e.to_string() }
}

/// Connects to the engine, or says how to get one.
pub async fn connect() -> Outcome<Docker> {
    let absent = |e: String| {
        missing(
            format!("the docker lab needs a Docker engine, and none answers ({e})"),
            "start one (`dockerd`, or `systemctl start docker`; Debian: `apt-get install docker.io`), or use `--lab local`",
        )
    };
    let docker = Docker::connect_with_local_defaults().map_err(|e| absent(e.to_string()))?;
    let docker = docker.negotiate_version().await.map_err(|e| absent(e.to_string()))?;
    Ok(docker)
}

/// Makes sure that an image is here, pulling it if it can be pulled.
pub async fn ensure_image(docker: &Docker, image: &str, option: &str) -> Outcome<()> {
    if docker.inspect_image(image).await.is_ok() {
        return Ok(());
    }
    let (name, tag) = split_image(image);
    let options = testcontainers::bollard::query_parameters::CreateImageOptionsBuilder::new().from_image(&name).tag(&tag).build();
    let mut pull = Box::pin(docker.create_image(Some(options), None, None));
    while let Some(step) = pull.next().await {
        if let Err(e) = step {
            return Err(missing(
                format!("the image `{image}` is not here and cannot be pulled: {e}"),
                format!("`docker pull {image}`, or name an image that is here with `{option} IMAGE`"),
            ));
        }
    }
    Ok(())
}

fn split_image(image: &str) -> (String, String) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.into(), tag.into()),
        _ => (image.into(), "latest".into()),
    }
}

/// What a container of a lab is made from.
pub struct ContainerSpec<'a> {
    /// Image reference.
    pub image: &'a str,
    /// Container name.
    pub name: &'a str,
    /// Replaces the image's entry point.
    pub entrypoint: Option<&'a str>,
    /// Command.
    pub cmd: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Ports to publish on loopback.
    pub port: u16,
    /// Mounts.
    pub mounts: Vec<Mount>,
}

/// Starts a labelled container whose port is published on loopback only.
pub async fn start_container(lab: &Lab, spec: ContainerSpec<'_>) -> Outcome<ContainerAsync<GenericImage>> {
    let (name, tag) = split_image(spec.image);
    let mut image = GenericImage::new(name, tag).with_exposed_port(spec.port.tcp());
    if let Some(entrypoint) = spec.entrypoint {
        image = image.with_entrypoint(entrypoint);
    }
    lab.journal.note(Acquired::Container { name: spec.name.into() })?;
    let port = spec.port;
    let mut request = image
        .with_container_name(spec.name)
        .with_cmd(spec.cmd)
        .with_label(LABEL, &lab.run)
        .with_startup_timeout(Duration::from_secs(120))
        .with_host_config_modifier(move |host| {
            let loopback = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: None };
            host.publish_all_ports = Some(false);
            host.port_bindings = Some(HashMap::from([(format!("{port}/tcp"), Some(vec![loopback]))]));
        });
    for (k, v) in &spec.env {
        request = request.with_env_var(k, v);
    }
    for mount in spec.mounts {
        request = request.with_mount(mount);
    }
    request.start().await.map_err(|e| Error::Docker { what: format!("start a container of {}", spec.image), message: e.to_string() })
}

/// The loopback address at which a container's port is published now. It changes with each start.
pub async fn published(docker: &Docker, name: &str, port: u16) -> Outcome<SocketAddr> {
    let info = docker.inspect_container(name, None).await.map_err(docker_error("look at a container"))?;
    let ports = info.network_settings.and_then(|n| n.ports).unwrap_or_default();
    let host_port = ports
        .get(&format!("{port}/tcp"))
        .cloned()
        .flatten()
        .and_then(|b| b.into_iter().find_map(|b| b.host_port))
        .and_then(|p| p.parse::<u16>().ok());
    match host_port {
        Some(p) => Ok(SocketAddr::from(([127, 0, 0, 1], p))),
        None => Err(Error::Docker { what: "publish a port".into(), message: format!("{name} has no port {port} on loopback") }),
    }
}

impl DockerNode {
    /// Starts an idle container of the PostgreSQL image.
    pub async fn start(lab: &Lab, node: &str, shared: &Path, version: Option<&str>) -> Outcome<DockerNode> {
        let docker = connect().await?;
        let image = image_postgres(lab.options.image_postgres.as_deref(), version);
        ensure_image(&docker, &image, "--image-postgres").await?;
        let name = format!("passmuster-{}-{node}", lab.run);
        let volume = format!("{name}-data");
        lab.journal.note(Acquired::Volume { name: volume.clone() })?;
        let request = VolumeCreateRequest {
            name: Some(volume.clone()),
            labels: Some(HashMap::from([(LABEL.to_string(), lab.run.clone())])),
            ..Default::default()
        };
        docker.create_volume(request).await.map_err(docker_error("create a volume"))?;
        let spec = ContainerSpec {
            image: &image,
            name: &name,
            entrypoint: Some("sh"),
            cmd: vec!["-c".into(), IDLE.into()],
            env: Vec::new(),
            port: PORT,
            mounts: vec![Mount::volume_mount(&volume, VOLUME), Mount::bind_mount(shared.display().to_string(), SHARED)],
        };
        let container = start_container(lab, spec).await?;
        let address = published(&docker, &name, PORT).await?;
        let mut node = DockerNode {
            version: String::new(),
            docker,
            container: Mutex::new(Some(container)),
            name,
            volume,
            bin: String::new(),
            user: User { uid: 0, gid: 0 },
            server: Mutex::new(None),
            address: Mutex::new(address),
        };
        node.look_around(&image).await?;
        if let Some(v) = version
            && !(node.version == v || node.version.starts_with(&format!("{v}.")))
        {
            return Err(missing(
                format!("the image `{image}` holds PostgreSQL {}, the scenario asks for {v}", node.version),
                "name an image of that version with `--image-postgres IMAGE`",
            ));
        }
        Ok(node)
    }

    /// Where the image has its programs, which version they are, and who runs them.
    async fn look_around(&mut self, image: &str) -> Outcome<()> {
        const LOOK: &str = "set -e; for d in $(dirname \"$(command -v postgres || echo /none/postgres)\") /usr/lib/postgresql/*/bin /usr/local/pgsql/bin /usr/pgsql-*/bin; do \
             if [ -x \"$d/postgres\" ] && [ -x \"$d/initdb\" ]; then echo \"$d\"; \"$d/postgres\" --version; break; fi; done; \
             id -u postgres; id -g postgres; mkdir -p /passmuster/volume; chown postgres /passmuster/volume; chmod 711 /passmuster/volume";
        let done = self.run(&Call::new("sh", ["-c", LOOK]), true).await?;
        let text = done
            .success("sh")
            .map_err(|e| missing(format!("the image `{image}` has no user `postgres`: {e}"), "use an image of the PostgreSQL server"))?
            .text();
        let lines: Vec<&str> = text.lines().collect();
        let [bin, version, uid, gid] = lines.as_slice() else {
            return Err(missing(format!("the image `{image}` holds no PostgreSQL server"), "name an image that does with `--image-postgres IMAGE`"));
        };
        self.bin = bin.to_string();
        self.version = version.split_whitespace().nth(2).unwrap_or("0").to_string();
        self.user = User { uid: uid.parse().unwrap_or(0), gid: gid.parse().unwrap_or(0) };
        Ok(())
    }

    fn program(&self, name: &str) -> String {
        match name {
            "sh" | "cat" | "ls" => name.into(),
            _ => format!("{}/{name}", self.bin),
        }
    }

    /// Where the harness reaches its server: the published port, which changes with each start of the container.
    pub fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the image has a program.
    pub async fn has(&self, program: &str) -> bool {
        let test = Call::new("sh", ["-c".to_string(), format!("test -x {}", self.program(program))]);
        self.run(&test, false).await.is_ok_and(|f| f.status.success())
    }

    async fn exec(&self, cmd: Vec<String>, env: &[(String, String)], root: bool, detach: bool) -> Outcome<(String, Option<StartExecResults>)> {
        let mut all_env = vec!["LC_ALL=C".to_string(), "TZ=UTC".to_string()];
        all_env.extend(env.iter().map(|(k, v)| format!("{k}={v}")));
        let options = CreateExecOptions {
            cmd: Some(cmd),
            env: Some(all_env),
            user: Some(if root { "root".to_string() } else { "postgres".to_string() }),
            attach_stdout: Some(!detach),
            attach_stderr: Some(!detach),
            working_dir: Some("/".to_string()),
            ..Default::default()
        };
        let created = self.docker.create_exec(&self.name, options).await.map_err(docker_error("run a program in a container"))?;
        let start = StartExecOptions { detach, ..Default::default() };
        let started = self.docker.start_exec(&created.id, Some(start)).await.map_err(docker_error("run a program in a container"))?;
        Ok((created.id, (!detach).then_some(started)))
    }

    async fn exit_code(&self, exec: &str) -> Outcome<Option<i64>> {
        let info = self.docker.inspect_exec(exec).await.map_err(docker_error("look at a program in a container"))?;
        Ok(if info.running.unwrap_or(false) { None } else { info.exit_code })
    }

    /// Runs a program to its end.
    pub async fn run(&self, call: &Call, root: bool) -> Outcome<Finished> {
        let mut cmd = vec![self.program(&call.program)];
        cmd.extend(call.args.iter().cloned());
        let work = async {
            let (id, started) = self.exec(cmd, &call.env, root, false).await?;
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            if let Some(StartExecResults::Attached { mut output, .. }) = started {
                while let Some(piece) = output.next().await {
                    match piece.map_err(docker_error("read from a container"))? {
                        LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                        other => stdout.extend_from_slice(&other.into_bytes()),
                    }
                }
            }
            let code =
                poll("the exit of a program in a container", Duration::from_secs(10), Duration::from_millis(2), || self.exit_code(&id)).await?;
            Ok(Finished { status: ExitStatus::from_raw((code as i32) << 8), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
        };
        tokio::time::timeout(call.limit, work)
            .await
            .map_err(|_| Error::Timeout { what: format!("the end of {}", call.program), after: call.limit })?
    }

    /// Starts a program whose output is streamed.
    pub async fn stream(&self, call: &Call) -> Outcome<NodeStream> {
        let mut cmd = vec![self.program(&call.program)];
        cmd.extend(call.args.iter().cloned());
        let (id, started) = self.exec(cmd, &call.env, false, false).await?;
        let Some(StartExecResults::Attached { mut output, .. }) = started else {
            return Err(Error::Docker { what: "run a program in a container".into(), message: "no output is attached".into() });
        };
        let (sender, stdout) = mpsc::channel(8);
        let (docker, program) = (self.docker.clone(), call.program.clone());
        let done = tokio::spawn(async move {
            let mut stderr = Vec::new();
            while let Some(piece) = output.next().await {
                let item = match piece {
                    Ok(LogOutput::StdErr { message }) => {
                        stderr.extend_from_slice(&message);
                        continue;
                    }
                    Ok(other) => Ok(other.into_bytes()),
                    Err(e) => Err(std::io::Error::other(e)),
                };
                if sender.send(item).await.is_err() {
                    break;
                }
            }
            drop(sender);
            let code = poll("the exit of a program in a container", Duration::from_secs(10), Duration::from_millis(2), || async {
                let info = docker.inspect_exec(&id).await.map_err(docker_error("look at a program in a container"))?;
                Ok(if info.running.unwrap_or(false) { None } else { info.exit_code })
            })
            .await?;
            match code {
                0 => Ok(()),
                n => Err(Error::Program { program, how: format!("exited with {n}"), stderr: tail(&String::from_utf8_lossy(&stderr)) }),
            }
        });
        Ok(NodeStream { stdout, done })
    }

    /// Starts `postgres` in the container, its log in the shared directory.
    pub async fn start_server(&self, args: &[String]) -> Outcome<()> {
        let script = format!("exec \"$@\" >>{SHARED}/postgres.log 2>&1");
        let mut cmd = vec!["sh".to_string(), "-c".into(), script, "sh".into(), self.program("postgres"), "-D".into(), DATA.into()];
        cmd.extend_from_slice(args);
        let (id, _) = self.exec(cmd, &[], false, true).await?;
        *self.lock() = Some(id);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the server ended, if it has.
    pub async fn server_exited(&self) -> Outcome<Option<String>> {
        let id = self.lock().clone();
        match id {
            None => Ok(Some("was never started".into())),
            Some(id) => match self.exit_code(&id).await {
                Ok(code) => Ok(code.map(|c| format!("exited with {c}"))),
                // The container is gone, and the server with it.
                Err(Error::Docker { message, .. }) if message.contains("404") || message.contains("No such") => {
                    Ok(Some("was lost with its container".into()))
                }
                Err(e) => Err(e),
            },
        }
    }

    /// Sends a signal to the postmaster, by the id in its own file.
    pub async fn signal_server(&self, signal: nix::sys::signal::Signal) -> Outcome<()> {
        let script = format!("kill -s {} \"$(head -n 1 {DATA}/postmaster.pid)\"", signal.as_str().trim_start_matches("SIG"));
        self.run(&Call::new("sh", ["-c".to_string(), script]), false).await?.success("kill").map(|_| ())
    }

    /// A tar stream into the data directory.
    pub async fn sink(&self) -> Outcome<TreeSink> {
        let make = format!("mkdir -p -m 700 {DATA}");
        self.run(&Call::new("sh", ["-c".to_string(), make]), false).await?.success("mkdir")?;
        let (sender, receiver) = mpsc::channel(8);
        let options = UploadToContainerOptionsBuilder::new().path(DATA).build();
        let (docker, name) = (self.docker.clone(), self.name.clone());
        let done = tokio::spawn(async move {
            let body = stream::unfold(receiver, |mut r| async move { r.recv().await.map(|piece| (piece, r)) });
            docker
                .upload_to_container(&name, Some(options), testcontainers::bollard::body_stream(body))
                .await
                .map_err(docker_error("unpack into a container"))
        });
        let builder = Box::new(tar::Builder::new(Pieces::new(sender)));
        Ok(TreeSink::Stream { builder, user: self.user, done })
    }

    /// Kills the container, its volume left in place, and starts it again without a server. Returns how many processes were found
    /// in it between.
    pub async fn crash(&self) -> Outcome<Option<usize>> {
        self.kill().await?;
        let left = left_in(&self.docker, &self.name).await;
        self.docker.start_container(&self.name, None::<StartContainerOptions>).await.map_err(docker_error("start a container"))?;
        let address = published(&self.docker, &self.name, PORT).await?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        Ok(left)
    }

    /// Processes that work in the data directory, as the server's user sees them; `None`: the container does not say.
    pub async fn left_running(&self) -> Option<usize> {
        // The shell counts itself, which shows that it can count: an image may lack any program that it would need (tried).
        const COUNT: &str = "cd DATA || exit 1; n=0; for p in /proc/[0-9]*; do if [ \"$p/cwd\" -ef DATA ]; then n=$((n + 1)); fi; done; echo \"$n\"";
        let done = self.run(&Call::new("sh", ["-c".to_string(), COUNT.replace("DATA", DATA)]), false).await.ok()?;
        done.success("sh").ok()?.text().trim().parse::<usize>().ok()?.checked_sub(1)
    }

    async fn kill(&self) -> Outcome<()> {
        let options = KillContainerOptionsBuilder::new().signal("KILL").build();
        match self.docker.kill_container(&self.name, Some(options)).await {
            Ok(()) => {}
            // Not running, or gone.
            Err(testcontainers::bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            Err(e) => return Err(docker_error("kill a container")(e)),
        }
        Ok(())
    }

    /// Removes the container and its volume. Returns how many processes were found in it after it was killed.
    pub async fn lose(&self, _journal: &Journal) -> Outcome<Option<usize>> {
        // Ours is the only handle; dropping it would remove the container in the background, unseen.
        let handle = self.container.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut left = None;
        if let Some(handle) = handle {
            self.kill().await?;
            left = left_in(&self.docker, &self.name).await;
            let _ = handle.rm().await;
        }
        remove_container(&self.name).await?;
        remove_volume(&self.volume).await?;
        Ok(left)
    }
}

/// How many processes are left in a container that was killed, after some seconds at most. When its first process has ended, the
/// kernel has ended all others of its process namespace: the engine shows it as not running, or no longer at all. `None`: the
/// engine does not say.
async fn left_in(docker: &Docker, name: &str) -> Option<usize> {
    let mut left = None;
    for _ in 0..500 {
        left = match docker.inspect_container(name, None).await {
            Ok(found) => match found.state.and_then(|s| s.running) {
                Some(false) => return Some(0),
                // Each row of its table is a process.
                Some(true) => docker.top_processes(name, None).await.ok().and_then(|t| t.processes).map(|p| p.len()),
                None => None,
            },
            Err(testcontainers::bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => return Some(0),
            Err(_) => None,
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    left
}

/// The first line that a program in a container prints, if it succeeds.
pub async fn first_line(docker: &Docker, container: &str, cmd: &[&str]) -> Option<String> {
    let options = CreateExecOptions {
        cmd: Some(cmd.iter().map(|c| c.to_string()).collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(false),
        ..Default::default()
    };
    let exec = docker.create_exec(container, options).await.ok()?;
    let StartExecResults::Attached { mut output, .. } = docker.start_exec(&exec.id, None).await.ok()? else { return None };
    let mut text = Vec::new();
    while let Some(Ok(piece)) = output.next().await {
        text.extend_from_slice(&piece.into_bytes());
    }
    String::from_utf8_lossy(&text).lines().map(str::trim).find(|l| !l.is_empty()).map(String::from)
}

/// Removes a container; one that is gone is no error.
pub async fn remove_container(name: &str) -> Outcome<()> {
    let docker = connect().await?;
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    // A removal that is already in progress answers 409: wait for its end.
    poll("the removal of a container", Duration::from_secs(30), Duration::from_millis(20), || async {
        match docker.remove_container(name, Some(options.clone())).await {
            Err(testcontainers::bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(Some(())),
            Err(testcontainers::bollard::errors::Error::DockerResponseServerError { status_code: 409, .. }) | Ok(()) => Ok(None),
            Err(e) => Err(docker_error("remove a container")(e)),
        }
    })
    .await
}

/// Removes a volume; one that is gone is no error.
pub async fn remove_volume(name: &str) -> Outcome<()> {
    let docker = connect().await?;
    match docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
        Err(testcontainers::bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) | Ok(()) => Ok(()),
        Err(e) => Err(docker_error("remove a volume")(e)),
    }
}

/// Removes a network; one that is gone is no error.
pub async fn remove_network(name: &str) -> Outcome<()> {
    let docker = connect().await?;
    match docker.remove_network(name).await {
        Err(testcontainers::bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) | Ok(()) => Ok(()),
        Err(e) => Err(docker_error("remove a network")(e)),
    }
}

/// The last lines that a container printed.
pub async fn container_log(docker: &Docker, name: &str) -> String {
    let options = testcontainers::bollard::query_parameters::LogsOptionsBuilder::new().stdout(true).stderr(true).tail("200").build();
    let mut lines = docker.logs(name, Some(options));
    let mut text = String::new();
    while let Some(Ok(line)) = lines.next().await {
        text.push_str(&line.to_string());
    }
    text
}

/// What an engine has; for `doctor`.
pub struct Survey {
    /// Its version.
    pub version: String,
    /// Of the images that were asked for, whether each is here, as a drill would look for it.
    pub here: Vec<bool>,
    /// The names of all that are here.
    pub images: Vec<String>,
}

/// Whether an engine answers, and which images of a lab are here.
pub async fn survey(asked: &[&str]) -> Outcome<Survey> {
    let docker = connect().await?;
    let version = docker.version().await.map_err(docker_error("ask the engine's version"))?;
    let images =
        docker.list_images(None::<testcontainers::bollard::query_parameters::ListImagesOptions>).await.map_err(docker_error("list images"))?;
    let mut tags: Vec<String> = images.into_iter().flat_map(|i| i.repo_tags).collect();
    tags.sort();
    let mut here = Vec::new();
    for image in asked {
        here.push(docker.inspect_image(image).await.is_ok());
    }
    Ok(Survey { version: version.version.unwrap_or_default(), here, images: tags })
}

/// Reads a file of the harness's machine; here so that both providers read alike.
pub fn read_shared(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).doing(|| format!("read {}", path.display()))
}
