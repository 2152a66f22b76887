//! A deployment of this repository's systems to containers, and questions to the engine about it.

use super::engine::Engine;
use super::sandbox::{Run, Sandbox, checkout, eventually, scratch};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use xtask::scratch::copy_repository;
use xtask::supervisor::{Client, Connection};

/// An environment of its own on the engine; torn down when dropped.
pub(crate) struct Deployment {
    pub(crate) sandbox: Sandbox,
    pub(crate) engine: &'static Engine,
    /// Dropped last.
    _alone: MutexGuard<'static, ()>,
}

/// One deployment at a time: podman 4.3 fails to resolve names for a moment while other containers come and go.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether there is an engine that has the public images. What needs one is to be skipped otherwise, which is said here.
///
/// # Panics
/// If there is none and the variable `XTASK_REQUIRE_ENGINE` is set to `1`.
pub(crate) fn engine() -> Option<&'static Engine> {
    const REQUIRE: &str = "XTASK_REQUIRE_ENGINE";
    static FOUND: OnceLock<Result<Engine, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let engine = Engine::find()?;
        let images = xtask::spec::load(shared_copy()).unwrap().images;
        // One is for machines that cannot build for the images themselves, the other for clusters.
        let needed = images.iter().filter(|(name, _)| !["builder", "metrics-server"].contains(&name.as_str()));
        needed.map(|(_, image)| reference(&image.to_string())).try_for_each(|image| engine.provide(&image))?;
        Ok(engine)
    });
    if let Err(reason) = found {
        assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{reason}, and `{REQUIRE}` is `1`");
        eprintln!("SKIPPED: {reason} (set `{REQUIRE}=1` to make this a failure)");
    }
    found.as_ref().ok()
}

/// An image by its digest alone where it has one: podman takes no tag beside it.
pub(crate) fn reference(pin: &str) -> String {
    match pin.split_once('@') {
        Some((tagged, digest)) => format!("{}@{digest}", tagged.rsplit_once(':').map_or(tagged, |(name, _)| name)),
        None => pin.to_owned(),
    }
}

/// A copy of this repository for all tests that change none of it, in which `epoch` has to be ready within seconds.
fn shared_copy() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = scratch().join("e2e-containers");
        copy_repository(checkout(), &copy).unwrap();
        edit(
            &copy.join("deploy/systems/epoch.toml"),
            "[services.epoch]\n",
            "[services.epoch]\nready_within = \"10s\"\n",
        );
        copy
    })
}

/// Replaces a part of a file, which has to be there.
pub(crate) fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", path.display());
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// A name that no other checkout on this machine gives to anything of its engine, and that stays the same, so that what
/// a killed test has left is found again.
pub(crate) fn unique(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    checkout().hash(&mut hasher);
    format!("e2e-{:08x}-{name}", hasher.finish() & 0xffff_ffff)
}

impl Deployment {
    /// `None` where there is no engine.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let engine = engine()?;
        Some(Self::in_copy(engine, shared_copy().to_owned(), name, false))
    }

    /// In a copy of its own, whose files may be changed.
    pub(crate) fn with_own_copy(name: &str) -> Option<Self> {
        let engine = engine()?;
        let copy = scratch().join(unique(name));
        copy_repository(checkout(), &copy).unwrap();
        Some(Self::in_copy(engine, copy, name, true))
    }

    fn in_copy(engine: &'static Engine, copy: PathBuf, name: &str, own: bool) -> Self {
        let name = unique(name);
        let program = engine.program;
        let settings = format!(
            "target = \"containers\"\nports = \"free\"\nengine = \"{program}\"\nregistry = \"localhost/{name}\"\n"
        );
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { sandbox: Sandbox::with_settings(copy, &name, own, settings), engine, _alone: alone }
    }

    /// What everything made for it carries.
    pub(crate) fn id(&self) -> &str {
        &self.sandbox.env
    }

    #[track_caller]
    pub(crate) fn deploy(&self, args: &[&str]) -> Value {
        self.sandbox.xtask([&["deploy", "--json"], args].concat()).success().json()
    }

    /// A deploy of a service that is told to fail.
    #[track_caller]
    pub(crate) fn faulty(&self, service: &str, fault: &str) -> Run {
        let fault = format!("env.FAULT={fault}");
        self.sandbox.xtask(["deploy", service, "--json", "--set", &fault]).exits(1)
    }

    /// Everything that the engine has of it, running or not.
    pub(crate) fn containers(&self) -> Vec<Value> {
        self.engine.containers(self.id())
    }

    /// The containers of a service that run.
    pub(crate) fn running(&self, service: &str) -> Vec<Value> {
        let mut all = self.containers();
        all.retain(|container| container["State"]["Running"] == true && is_of(container, service));
        all
    }

    /// The one container of a service.
    pub(crate) fn container(&self, service: &str) -> Value {
        eventually("one running container", || {
            let mut running = self.running(service);
            match running.len() {
                1 => Ok(running.remove(0)),
                _ => Err(format!("{running:#?}")),
            }
        })
    }

    /// The process of a service, as this machine sees it.
    pub(crate) fn pid(&self, service: &str) -> u32 {
        self.container(service)["State"]["Pid"].as_u64().unwrap().try_into().unwrap()
    }

    pub(crate) fn supervisor(&self) -> u32 {
        match Client::connect(&self.sandbox.home()) {
            Connection::Live(client) => client.process().pid,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a service is as it should be after it was started again.
    #[track_caller]
    pub(crate) fn restarted(&self, service: &str) {
        eventually("a restart", || {
            let status = self.sandbox.status(service);
            let again = status["restarts"].as_u64() >= Some(1);
            if again && status["state"] == "running" { Ok(()) } else { Err(status.to_string()) }
        });
    }
}

/// The edge of a system has the name of that system in its own, so it is the label that tells.
pub(crate) fn is_of(container: &Value, service: &str) -> bool {
    container["Config"]["Labels"]["dev.slipway.service"] == service
}

/// Where a container is in each of its networks.
pub(crate) fn addresses(container: &Value) -> Vec<(String, IpAddr)> {
    let networks = container["NetworkSettings"]["Networks"].as_object().unwrap();
    let address = |settings: &Value| settings["IPAddress"].as_str()?.parse().ok();
    networks.iter().filter_map(|(name, settings)| Some((name.clone(), address(settings)?))).collect()
}

/// The entry of a step in the document of a run.
#[track_caller]
pub(crate) fn step<'v>(document: &'v Value, id: &str) -> &'v Value {
    let steps = document["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step `{id}` in {document:#}"))
}

pub(crate) fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}
