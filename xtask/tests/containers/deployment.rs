//! A deployment of this repository's systems to containers, and questions to the engine about it.

use super::contract::Deployed;
use super::contract::document::edit;
use super::engine::{Engine, Inventory};
use super::sandbox::{Run, Sandbox, checkout, eventually, get, post, scratch};
use super::turn::Turn;
use remote_tools::scratch::copy_repository;
use serde_json::Value;
use skip::{Found, Missing};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use supervisor::{Client, Connection};

/// An environment of its own on the engine; torn down when dropped.
pub(crate) struct Deployment {
    pub(crate) sandbox: Sandbox,
    pub(crate) engine: &'static Engine,
    /// Dropped last.
    _turn: Turn,
}

/// What tests make services of that are not this repository's.
pub(crate) const BUSYBOX: &str = "docker.io/library/busybox:1.37";

/// The engine, if there is one that has the public images.
///
/// # Panics
/// If there is none and the variable `XTASK_REQUIRE_ENGINE` is set to `1`.
pub(crate) fn engine() -> Found<&'static Engine> {
    static FOUND: OnceLock<Result<Engine, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let engine = Engine::find()?;
        let images = model::load(shared_copy()).unwrap().images;
        // One is for machines that cannot build for the images themselves, the other for clusters.
        let needed = images.iter().filter(|(name, _)| !["builder", "metrics-server"].contains(&name.as_str()));
        let needed = needed.map(|(_, image)| reference(&image.to_string()));
        needed.chain([BUSYBOX.to_owned()]).try_for_each(|image| engine.provide(&image))?;
        Ok(engine)
    });
    found.as_ref().map_err(|reason| Missing::unless_required(reason, "XTASK_REQUIRE_ENGINE"))
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

/// A name that no other checkout on this machine gives to anything of its engine, and that stays the same, so that what
/// a killed test has left is found again.
pub(crate) fn unique(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    checkout().hash(&mut hasher);
    format!("e2e-{:08x}-{name}", hasher.finish() & 0xffff_ffff)
}

impl Deployment {
    pub(crate) fn new(name: &str) -> Found<Self> {
        let engine = engine()?;
        Ok(Self::in_copy(engine, shared_copy().to_owned(), name, false, Turn::shared()))
    }

    /// With no other one at the same time: for those whose requests are counted, and whose services find each other by
    /// name, since podman 4.3 fails to resolve names for a moment while other containers come and go.
    pub(crate) fn alone(name: &str) -> Found<Self> {
        let engine = engine()?;
        Ok(Self::in_copy(engine, shared_copy().to_owned(), name, false, Turn::alone()))
    }

    /// In a copy of its own, whose files may be changed.
    pub(crate) fn with_own_copy(name: &str) -> Found<Self> {
        Self::in_own_copy(name, Turn::shared)
    }

    /// In a copy of its own, and with no other one at the same time.
    pub(crate) fn alone_with_own_copy(name: &str) -> Found<Self> {
        Self::in_own_copy(name, Turn::alone)
    }

    fn in_own_copy(name: &str, turn: fn() -> Turn) -> Found<Self> {
        let engine = engine()?;
        let copy = scratch().join(unique(name));
        copy_repository(checkout(), &copy).unwrap();
        Ok(Self::in_copy(engine, copy, name, true, turn()))
    }

    /// In a folder that has a checkout of its own, and goes with it. Alone.
    pub(crate) fn in_folder(folder: impl FnOnce() -> PathBuf, name: &str) -> Found<Self> {
        let engine = engine()?;
        Ok(Self::in_copy(engine, folder(), name, true, Turn::alone()))
    }

    fn in_copy(engine: &'static Engine, copy: PathBuf, name: &str, own: bool, turn: Turn) -> Self {
        let name = unique(name);
        let program = engine.program;
        let settings = format!(
            "target = \"containers\"\nports = \"free\"\nengine = \"{program}\"\nregistry = \"localhost/{name}\"\n"
        );
        Self { sandbox: Sandbox::with_settings(copy, &name, own, settings), engine, _turn: turn }
    }

    /// What everything made for it carries.
    pub(crate) fn id(&self) -> &str {
        &self.sandbox.env
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

pub(crate) fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

impl Deployed for Deployment {
    const TARGET: &'static str = "containers";
    const PROOF: &'static str = "smoke";
    const CRASHED: &'static str = "service-crashed";
    // Without replicas there is nothing for it to do.
    const ABSENT: &'static [&'static str] = &["ledger"];
    const CONFINES: bool = true;

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn running(&self, service: &str) -> BTreeSet<String> {
        let running = Deployment::running(self, service).into_iter();
        running.map(|container| format!("{} {}", container["Id"], container["State"]["StartedAt"])).collect()
    }

    fn has_variable(&self, service: &str, name: &str, value: &str) -> bool {
        let variable = format!("{name}={value}");
        self.container(service)["Config"]["Env"].as_array().unwrap().iter().any(|set| *set == *variable)
    }

    fn get(&self, service: &str, path: &str) -> Result<(u16, String), String> {
        get(&self.sandbox.via(service), path)
    }

    fn post(&self, service: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
        post(&self.sandbox.via(service), path, body)
    }

    fn place(&self, service: &str) -> Option<String> {
        Some(self.sandbox.via(service))
    }

    /// Others may use the engine meanwhile, so that only what can be this deployment's counts.
    fn left(&self) -> Vec<String> {
        let Inventory { containers, networks, volumes, images } = self.engine.inventory();
        let all = [containers, networks, volumes, images].into_iter().flatten();
        all.filter(|name| name.contains(self.id())).collect()
    }

    fn replicas(&self, _: &str) -> Option<u32> {
        Some(1)
    }
}
