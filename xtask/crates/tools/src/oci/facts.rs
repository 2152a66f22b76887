//! What an engine says of itself.

use super::Engine;
use base::proc::{CommandLine, Finished};
use model::container::{EngineKind, Platform};
use model::version::Version;
use serde_json::Value;
use std::path::PathBuf;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub version: Version,
    pub rootless: bool,
    /// It runs in a virtual machine or on another one, so that containers have addresses that do not exist here.
    pub remote: bool,
    /// 1 or 2.
    pub cgroups: u8,
    /// Limits that it cannot hold a container to: `memory`, `cpu`, `pids`.
    pub unlimited: Vec<&'static str>,
    /// What containers run on; `None` for an architecture that is not supported here.
    pub platform: Option<Platform>,
    /// Where images are stored, as the engine's own machine has it.
    pub storage: PathBuf,
    /// What tells this engine from others of its kind: docker's ID of it; podman has none but where it stores what it has,
    /// which differs from user to user and, with a machine's name before it, from machine to machine.
    pub identity: String,
    /// How many bytes are free there, where the engine says so.
    pub free: Option<u64>,
    /// Its build has cache mounts (BuildKit, buildah).
    pub cache_mounts: bool,
    /// What builds images: "buildx 0.12.1", "buildah 1.28.2".
    pub builder: String,
}

impl Facts {
    /// Whether containers can be reached by their address from this machine.
    pub fn reaches_containers(&self) -> bool {
        !self.remote && !self.rootless
    }
}

/// What tells this machine from the one that an engine runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    pub hostname: String,
    /// The release of the kernel; empty where there is no Linux.
    pub kernel: String,
}

impl Here {
    pub fn look() -> Self {
        let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self { hostname, kernel: kernel.trim().to_owned() }
    }

    /// Virtual machines have a name and a kernel of their own, whichever way their engine is reached.
    fn is(&self, hostname: &str, kernel: &str) -> bool {
        self.hostname == hostname && self.kernel == kernel
    }
}

impl Engine {
    /// The question whose answer [`Engine::facts`] reads.
    pub fn info(&self) -> CommandLine {
        self.command().args(["info", "--format", "{{json .}}"])
    }

    /// What an answer to [`Engine::info`] says. The kind is that of the engine which answered: a program `docker` may
    /// be podman in disguise.
    ///
    /// # Errors
    /// Why the engine is of no use, in its own words.
    pub fn facts(&self, answer: &Finished, here: &Here) -> Result<(EngineKind, Facts), String> {
        let document: Option<Value> = serde_json::from_str(answer.stdout.trim()).ok();
        let Some(document) = document.filter(Value::is_object) else {
            return Err(said(answer));
        };
        let facts = if document["host"].is_object() {
            podman(&document, here).map(|facts| (EngineKind::Podman, facts))
        } else {
            docker(&document, here).map(|facts| (EngineKind::Docker, facts))
        };
        // docker's client answers for itself when nobody else does, and has the reason in one of two places.
        let refused = |error: &Value| error.as_str().map(str::to_owned);
        facts.ok_or_else(|| document["ServerErrors"].get(0).and_then(refused).unwrap_or_else(|| said(answer)))
    }
}

/// The last thing that the client said, without its own "Error: ".
fn said(answer: &Finished) -> String {
    let last = answer.stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
    match last {
        Some(line) => line.trim_start_matches("Error: ").trim_start_matches("error: ").to_owned(),
        None => format!("it ended with {} and said nothing", answer.status),
    }
}

fn podman(info: &Value, here: &Here) -> Option<Facts> {
    let host = &info["host"];
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    // Version 3 has none of it for a client without its engine.
    let version = Version::find(info["version"]["Version"].as_str()?)?;
    let number = |key: &str| info["store"][key].as_u64();
    let controllers: Vec<&str> =
        host["cgroupControllers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_remote = host["serviceIsRemote"].as_bool() == Some(true);
    let same = here.is(&text(&host["hostname"]), &text(&host["kernel"]));
    let remote = is_remote || !same;
    let buildah = text(&host["buildahVersion"]);
    let storage = text(&info["store"]["graphRoot"]);
    let identity = if remote { format!("{}:{storage}", text(&host["hostname"])) } else { storage.clone() };
    Some(Facts {
        version,
        rootless: host["security"]["rootless"].as_bool().unwrap_or_default(),
        remote,
        cgroups: if host["cgroupVersion"] == "v2" { 2 } else { 1 },
        unlimited: ["memory", "cpu", "pids"].into_iter().filter(|limit| !controllers.contains(limit)).collect(),
        platform: host["arch"].as_str().and_then(Platform::of_architecture),
        storage: PathBuf::from(storage),
        identity,
        free: number("graphRootAllocated").zip(number("graphRootUsed")).map(|(all, used)| all.saturating_sub(used)),
        cache_mounts: Version::find(&buildah).is_some_and(|version| version >= Version::new(1, 24, 0)),
        builder: format!("buildah {buildah}"),
    })
}

fn docker(info: &Value, here: &Here) -> Option<Facts> {
    let text = |key: &str| info[key].as_str().unwrap_or_default();
    let version = Version::find(text("ServerVersion"))?;
    let mut options = info["SecurityOptions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let limits = [("memory", "MemoryLimit"), ("cpu", "CpuCfsQuota"), ("pids", "PidsLimit")];
    let cannot = |key: &str| info[key].as_bool() == Some(false);
    let linux = text("OSType") == "linux";
    let (cache_mounts, builder) = docker_builder(&info["ClientInfo"], version);
    Some(Facts {
        version,
        rootless: options.any(|option| option.split(',').any(|part| part == "name=rootless")),
        remote: !here.is(text("Name"), text("KernelVersion")),
        cgroups: if text("CgroupVersion") == "2" { 2 } else { 1 },
        unlimited: limits.into_iter().filter(|(_, key)| cannot(key)).map(|(limit, _)| limit).collect(),
        platform: Platform::of_architecture(text("Architecture")).filter(|_| linux),
        storage: PathBuf::from(text("DockerRootDir")),
        identity: text("ID").to_owned(),
        free: None,
        cache_mounts,
        builder,
    })
}

/// BuildKit comes with the plugin buildx, and before version 23 within the client itself, where `DOCKER_BUILDKIT=1`
/// turns it on. A later client without the plugin has the builder of old (docs.docker.com/build/buildkit).
fn docker_builder(client: &Value, engine: Version) -> (bool, String) {
    let plugins = client["Plugins"].as_array().into_iter().flatten();
    let buildx = plugins.into_iter().find(|plugin| plugin["Name"] == "buildx");
    if let Some(buildx) = buildx {
        let version = buildx["Version"].as_str().and_then(Version::find);
        return (true, version.map_or_else(|| "buildx".to_owned(), |version| format!("buildx {version}")));
    }
    let version = client["Version"].as_str().and_then(Version::find).unwrap_or(engine);
    match version < Version::new(23, 0, 0) {
        true => (true, format!("BuildKit of docker {version}")),
        false => (false, "docker's builder of old".to_owned()),
    }
}

#[cfg(test)]
mod tests;
