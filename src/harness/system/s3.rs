//! S3 stores: the embedded one, and MinIO as a process or a container.
//!
//! What a store can do is probed, not assumed: the same scenario runs on any of them, and what one cannot
//! do is reported as not run.

use super::super::error::{Doing, Error, Outcome};
use super::super::lab::{Lab, Provider, docker, missing};
use super::super::process::{self, Spec};
use super::super::recorder::{Recorder, poll};
use super::super::store::{self, Bucket, Endpoint, StoreProblem};
use crate::model::catalog::{Class, KindSpec};
use crate::model::event::Event;
use crate::model::params::{ParamSpec, ParamType, Params};
use bytes::Bytes;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use testcontainers::{ContainerAsync, GenericImage};

/// Registration.
pub const SPEC: KindSpec = KindSpec {
    class: Class::System,
    name: "s3",
    summary: "An S3 store: embedded in the harness, or MinIO as a process or a container",
    doc: "Holds what is backed up, and the objects of a linked workload. The embedded store (crate s3s-fs) keeps \
          files below the run's private directory and has no versioning, object lock, lifecycle or server-side \
          encryption. MinIO is the real program. Which one ran, with its version, is recorded.",
    on: &[],
    params: &[
        ParamSpec::new(
            "profile",
            ParamType::Choice(&["auto", "embedded", "minio"]),
            "auto",
            "`embedded` lives in the harness; `minio` is the real program; `auto` is embedded on the local lab and MinIO on the docker lab.",
        ),
        ParamSpec::new(
            "versioning",
            ParamType::Bool,
            "false",
            "Keep versions of the objects and backups; with a store that keeps none the drill ends with an error that says so.",
        ),
    ],
    sabotages: &[],
};

/// A running store.
pub struct S3System {
    /// How it is entered.
    pub endpoint: Endpoint,
    /// `embedded`, `minio`.
    pub profile: String,
    /// What it is, for the environment record.
    pub describes_as: String,
    /// Whether conditional writes (`If-None-Match: *`) are honoured, as probed.
    pub conditional_put: bool,
    /// Whether objects get version ids, as probed; `None`: not asked for.
    pub versions: Option<bool>,
    running: Mutex<Option<Running>>,
}

enum Running {
    Embedded(Embedded),
    Process(process::Server),
    Container(Box<ContainerAsync<GenericImage>>, String),
}

impl S3System {
    /// Starts a store and probes it.
    pub async fn start(lab: &Lab, name: &str, params: &Params) -> Outcome<S3System> {
        let profile = match (params.text("profile").unwrap_or("auto"), lab.provider) {
            ("auto", Provider::Local) => "embedded",
            ("auto", Provider::Docker) => "minio",
            (chosen, _) => chosen,
        };
        let secret = random_hex(20)?;
        lab.recorder.keep_secret(&secret);
        let keys = (format!("pm{}", &random_hex(6)?), secret);
        let dir = lab.dir.join(name);
        std::fs::create_dir(&dir).doing(|| format!("create {}", dir.display()))?;
        let (url, running, describes_as) = match (profile, lab.provider) {
            ("embedded", _) => {
                let embedded = Embedded::start(&dir, &keys).await?;
                (format!("http://{}", embedded.address), Running::Embedded(embedded), "s3s-fs 0.14.1, inside the harness".to_string())
            }
            (_, Provider::Local) => minio_process(&dir, &keys).await?,
            (_, Provider::Docker) => minio_container(lab, name, &keys).await?,
        };
        let endpoint = Endpoint { url, access_key: keys.0, secret_key: keys.1, region: "us-east-1".into() };
        let mut system =
            S3System { endpoint, profile: profile.into(), describes_as, conditional_put: false, versions: None, running: Mutex::new(Some(running)) };
        system.wait_ready().await?;
        system.probe(params.bool("versioning")).await?;
        Ok(system)
    }

    /// A bucket of this store.
    pub fn bucket(&self, name: &str) -> Bucket {
        Bucket::new(store::client(&self.endpoint), name)
    }

    async fn wait_ready(&self) -> Outcome<()> {
        let bucket = self.bucket("probe");
        poll("the store's first answer", Duration::from_secs(60), Duration::from_millis(20), || async {
            match bucket.create().await {
                Ok(()) => Ok(Some(())),
                Err(e) if e.problem == StoreProblem::Unavailable => Ok(None),
                Err(e) => Err(e.into()),
            }
        })
        .await
    }

    async fn probe(&mut self, versioning: bool) -> Outcome<()> {
        let bucket = self.bucket("probe");
        bucket.put("once", Bytes::from_static(b"1"), true).await?;
        self.conditional_put = matches!(bucket.put("once", Bytes::from_static(b"2"), true).await, Err(e) if e.problem == StoreProblem::Exists);
        if versioning {
            self.keep_versions(&bucket).await?;
            // It may say yes and keep none.
            if bucket.put("versioned", Bytes::from_static(b"1"), false).await?.is_none() {
                return Err(self.no_versions("what it stores gets no version"));
            }
            self.versions = Some(true);
        }
        Ok(())
    }

    async fn keep_versions(&self, bucket: &Bucket) -> Outcome<()> {
        match bucket.enable_versioning().await {
            Ok(true) if bucket.keeps_versions().await? => Ok(()),
            Ok(true) => Err(self.no_versions("it was turned on, and the store says that it is off")),
            Ok(false) => Err(self.no_versions("it does not know them")),
            Err(e) if e.problem == StoreProblem::Unavailable => Err(e.into()),
            Err(e) => Err(self.no_versions(&e.to_string())),
        }
    }

    fn no_versions(&self, why: &str) -> Error {
        missing(
            format!("the scenario asks for versions of objects, which the {} store does not keep: {why}", self.profile),
            "run it on MinIO: `--set profile=minio`, or `--lab docker`; or take `versioning` out",
        )
    }

    /// Makes a bucket of the drill what the scenario asks for.
    pub async fn prepare(&self, bucket: &Bucket) -> Outcome<()> {
        if self.versions == Some(true) { self.keep_versions(bucket).await } else { Ok(()) }
    }

    /// Records which store it is.
    pub fn announce(&self, name: &str, recorder: &Recorder) {
        recorder.emit(Event::StoreStarted {
            name: name.into(),
            profile: self.profile.clone(),
            describes_as: self.describes_as.clone(),
            conditional_put: self.conditional_put,
            versions: self.versions,
        });
    }

    /// Ends the store at once, as an outage does; what it stored stays.
    pub async fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        match running {
            Some(Running::Embedded(e)) => drop(e),
            Some(Running::Process(mut server)) => {
                process::kill_tree(server.pid, None, Duration::from_secs(10)).await;
                let _ = server.wait(Duration::from_secs(5)).await;
            }
            Some(Running::Container(handle, name)) => {
                let _ = handle.rm().await;
                let _ = docker::remove_container(&name).await;
            }
            None => {}
        }
    }
}

/// The store inside the harness, on a thread and a run time of its own, so that its work never delays a stamp.
struct Embedded {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Embedded {
    async fn start(dir: &Path, keys: &(String, String)) -> Outcome<Embedded> {
        let (dir, keys) = (dir.to_path_buf(), keys.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell, told) = tokio::sync::oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build();
            match runtime {
                Ok(runtime) => runtime.block_on(serve_embedded(dir, keys, tell, stopped)),
                Err(e) => drop(tell.send(Err(e.to_string()))),
            }
        };
        std::thread::Builder::new().name("embedded-s3".into()).spawn(run).doing(|| "start a thread for the embedded store".into())?;
        match told.await {
            Ok(Ok(address)) => Ok(Embedded { address, stop: Some(stop) }),
            Ok(Err(e)) => Err(Error::Other(format!("the embedded store did not start: {e}"))),
            Err(_) => Err(Error::Other("the embedded store did not start".into())),
        }
    }
}

async fn serve_embedded(
    dir: PathBuf,
    keys: (String, String),
    tell: tokio::sync::oneshot::Sender<Result<SocketAddr, String>>,
    mut stopped: tokio::sync::oneshot::Receiver<()>,
) {
    let made = s3s_fs::FileSystem::new(&dir).map_err(|e| format!("{e:?}"));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let (files, listener, address) = match (made, listener) {
        (Ok(files), Ok(listener)) => match listener.local_addr() {
            Ok(address) => (files, listener, address),
            Err(e) => return drop(tell.send(Err(e.to_string()))),
        },
        (Err(e), _) => return drop(tell.send(Err(e))),
        (_, Err(e)) => return drop(tell.send(Err(e.to_string()))),
    };
    let mut builder = s3s::service::S3ServiceBuilder::new(files);
    builder.set_auth(s3s::auth::SimpleAuth::from_single(keys.0, keys.1));
    let service = builder.build();
    let _ = tell.send(Ok(address));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let _ = socket.set_nodelay(true);
                let service = service.clone();
                connections.spawn(async move {
                    let io = hyper_util::rt::TokioIo::new(socket);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        }
    }
}

async fn minio_process(dir: &Path, keys: &(String, String)) -> Outcome<(String, Running, String)> {
    let program = process::which("minio").ok_or_else(|| {
        missing("the program `minio` is not on PATH", "install MinIO, or use the embedded store (`--set profile=embedded`), or `--lab docker`")
    })?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).doing(|| "find a free port on loopback".into())?;
    let address = listener.local_addr().doing(|| "find a free port on loopback".into())?;
    drop(listener);
    let data = dir.join("data");
    std::fs::create_dir(&data).doing(|| format!("create {}", data.display()))?;
    let args = ["server", "--quiet", "--address", &address.to_string(), &data.display().to_string()].map(String::from);
    let spec = Spec::new(&program, args).cwd(dir).env("MINIO_ROOT_USER", &keys.0).env("MINIO_ROOT_PASSWORD", &keys.1).env("MINIO_BROWSER", "off");
    let server = process::serve(&spec, &dir.join("minio.log"))?;
    let version = process::output_blocking(&Spec::new(&program, ["--version"])).unwrap_or_default();
    let version = version.lines().next().filter(|l| !l.trim().is_empty()).unwrap_or("minio, which does not say its version").to_string();
    Ok((format!("http://{address}"), Running::Process(server), version))
}

async fn minio_container(lab: &Lab, name: &str, keys: &(String, String)) -> Outcome<(String, Running, String)> {
    let image = docker::image_s3(lab.options.image_s3.as_deref());
    let engine = docker::connect().await?;
    docker::ensure_image(&engine, image, "--image-s3").await?;
    let container = format!("passmuster-{}-{name}", lab.run);
    let spec = docker::ContainerSpec {
        image,
        name: &container,
        entrypoint: None,
        cmd: ["minio", "server", "--quiet", "--address", ":9000", "/data"].map(String::from).to_vec(),
        env: vec![("MINIO_ROOT_USER".into(), keys.0.clone()), ("MINIO_ROOT_PASSWORD".into(), keys.1.clone()), ("MINIO_BROWSER".into(), "off".into())],
        port: 9000,
        mounts: Vec::new(),
    };
    let handle = docker::start_container(lab, spec).await?;
    let address = docker::published(&engine, &container, 9000).await?;
    // The name of an image says nothing about what is in it.
    let version = docker::first_line(&engine, &container, &["minio", "--version"]).await;
    let version = format!("{}, in {image}", version.as_deref().unwrap_or("minio, which does not say its version"));
    Ok((format!("http://{address}"), Running::Container(Box::new(handle), container), version))
}

/// Random bytes of the system in hexadecimal: for passwords, which must not follow from the run's seed.
pub fn random_hex(bytes: usize) -> Outcome<String> {
    use std::io::Read;
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut buffer)).doing(|| "read random bytes of the system".into())?;
    Ok(crate::model::seed::hex(&buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::backup::pipeline::{Key, Sealing};
    use crate::harness::backup::vault::Vault;
    use crate::harness::blocking::Blocking;
    use crate::harness::sabotage::Saboteur;
    use crate::model::event::FailureClass;

    /// A vault in an embedded store, whose directory is given back with it.
    async fn vault() -> (tempfile::TempDir, Embedded, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let embedded = Embedded::start(&store, &("key".into(), "secret".into())).await.unwrap();
        let endpoint = Endpoint {
            url: format!("http://{}", embedded.address),
            access_key: "key".into(),
            secret_key: "secret".into(),
            region: "us-east-1".into(),
        };
        let bucket = Bucket::new(store::client(&endpoint), "backups");
        bucket.create().await.unwrap();
        let recorder = Recorder::start(&dir.path().join("events.jsonl"), None).unwrap();
        let sealing = Sealing { compress: false, key: Some(Key::ephemeral()) };
        (dir, embedded, Vault::new(bucket, "7", sealing, recorder, Saboteur::none(), Blocking::default()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_object_is_opened_however_large_and_is_what_was_stored() {
        let (_dir, _embedded, vault) = vault().await;
        let plain: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for key in ["good", "flipped", "replaced", "read"] {
            vault.put(key, plain.clone(), false).await.unwrap();
        }
        assert!(vault.opens("good").await.unwrap());
        // Damage that only shows near the end.
        let mut bytes = vault.bucket.read("flipped").await.unwrap().to_vec();
        let last = bytes.len() - 100;
        bytes[last] ^= 1;
        vault.bucket.put("flipped", bytes.into(), false).await.unwrap();
        assert!(!vault.opens("flipped").await.unwrap());
        // Sealed with the right key, and not what was stored there.
        let good = vault.bucket.read("good").await.unwrap();
        vault.bucket.put("replaced", good, false).await.unwrap();
        assert!(!vault.opens("replaced").await.unwrap());
        assert!(!vault.opens("gone").await.unwrap());
        let mut other = vault.clone();
        other.opening = Some(Key::ephemeral());
        assert!(matches!(other.read("read").await, Err(Error::Failed { class: FailureClass::WrongKey, .. })));
        assert!(!other.opens("read").await.unwrap());
        // What a restore has read to its end is not read again.
        assert_eq!(vault.read("read").await.unwrap().1, plain);
        vault.bucket.delete("read").await.unwrap();
        assert!(vault.opens("read").await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_store_that_keeps_no_versions_says_so() {
        let (_dir, _embedded, vault) = vault().await;
        assert!(!matches!(vault.bucket.enable_versioning().await, Ok(true)));
        assert!(!matches!(vault.bucket.keeps_versions().await, Ok(true)));
    }
}
