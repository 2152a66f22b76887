//! What engines print of images, containers, networks and volumes, as types.
//!
//! Both print an array of objects with mostly the same keys. Where they do not, the doc of the field says so.

use model::container::Platform;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// An image that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:` and the digest of its configuration; podman leaves the beginning out.
    pub id: String,
    /// `localhost/slipway/epoch:KEY`; docker leaves out the registry that it takes for granted.
    pub tags: Vec<String>,
    /// `docker.io/library/redis@sha256:...`, under which a registry has it; docker has none for what was never there.
    pub digests: Vec<String>,
    /// `None`: nothing that is supported here.
    pub platform: Option<Platform>,
    /// `linux/s390x`, as the image has it.
    pub built_for: String,
    /// As its `USER` has it; empty for root.
    pub user: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// In bytes, not compressed.
    pub size: u64,
    /// Ports that it declares to listen on (TCP).
    pub ports: BTreeSet<u16>,
    /// Folders that it declares to hold what is kept.
    pub volumes: BTreeSet<String>,
    /// As its `STOPSIGNAL` has it; empty when it names none.
    pub stop_signal: String,
    /// As its `HEALTHCHECK` has it, the form first (`CMD`, `CMD-SHELL`); empty when it has none. podman puts it beside the rest.
    pub health: Vec<String>,
}

/// A container, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    /// The ID of its image, as in [`Image::id`].
    pub image: String,
    /// Its own and those of its image.
    pub labels: BTreeMap<String, String>,
    pub running: bool,
    /// The engine's word: `created`, `running`, `exited`.
    pub state: String,
    pub exit_code: i64,
    /// The kernel ended it for want of memory.
    pub out_of_memory: bool,
    /// Why it could not be started; podman says that to its client alone.
    pub error: String,
    /// Of its first process, on the engine's machine.
    pub pid: Option<u32>,
    /// Its address in each of its networks, while it runs.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Where a port of its own is published (TCP), while it runs.
    pub published: BTreeMap<u16, Vec<SocketAddr>>,
}

impl Container {
    /// Whether its program ran and no longer does.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !self.running && matches!(self.state.as_str(), "exited" | "stopped" | "dead" | "removing")
    }
}

/// A network or a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// The first and the last address of a network's first subnet (IPv4); only podman's are read.
    pub subnet: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Whether there is no way out of a network.
    pub internal: bool,
    /// Where a volume is, on the engine's machine.
    pub mountpoint: Option<PathBuf>,
}

impl Image {
    /// Reads the answer to [`super::Engine::image_inspect`]: those that are there.
    pub fn parse(stdout: &str) -> Vec<Self> {
        objects(stdout).iter().filter_map(Self::read).collect()
    }

    fn read(value: &Value) -> Option<Self> {
        let config = &value["Config"];
        let (os, architecture) = (text(&value["Os"]), text(&value["Architecture"]));
        Some(Self {
            id: image_id(value["Id"].as_str()?),
            tags: texts(&value["RepoTags"]),
            digests: texts(&value["RepoDigests"]),
            platform: Platform::of_architecture(&architecture).filter(|_| os == "linux"),
            built_for: format!("{os}/{architecture}"),
            user: text(&config["User"]),
            entrypoint: texts(&config["Entrypoint"]),
            command: texts(&config["Cmd"]),
            labels: labels(&config["Labels"]),
            size: value["Size"].as_u64().unwrap_or_default(),
            ports: config["ExposedPorts"].as_object().into_iter().flatten().filter_map(|(key, _)| tcp(key)).collect(),
            volumes: config["Volumes"].as_object().into_iter().flatten().map(|(path, _)| path.clone()).collect(),
            stop_signal: text(&config["StopSignal"]),
            health: health(&[config, value]),
        })
    }

    /// Whether a registry has it under this reference with a digest.
    pub fn is_known_as(&self, reference: &str) -> bool {
        self.digests.iter().any(|known| known == reference)
    }
}

fn health(places: &[&Value]) -> Vec<String> {
    let tests = places.iter().map(|place| texts(&place["Healthcheck"]["Test"]));
    tests.into_iter().find(|test| !test.is_empty() && test[0] != "NONE").unwrap_or_default()
}

impl Container {
    /// Reads the answer to [`super::Engine::container_inspect`]: those that are there.
    pub fn parse(stdout: &str) -> Vec<Self> {
        objects(stdout).iter().filter_map(Self::read).collect()
    }

    fn read(value: &Value) -> Option<Self> {
        let state = &value["State"];
        let networks = &value["NetworkSettings"];
        let address = |(name, network): (&String, &Value)| {
            let ip = network["IPAddress"].as_str().and_then(|ip| ip.parse().ok())?;
            Some((name.clone(), ip))
        };
        let published = |(port, places): (&String, &Value)| {
            let places: Vec<_> = places.as_array().into_iter().flatten().filter_map(place).collect();
            tcp(port).filter(|_| !places.is_empty()).map(|port| (port, places))
        };
        Some(Self {
            id: text(&value["Id"]),
            // docker has the name of a path.
            name: value["Name"].as_str()?.trim_start_matches('/').to_owned(),
            image: image_id(value["Image"].as_str()?),
            labels: labels(&value["Config"]["Labels"]),
            running: state["Running"].as_bool()?,
            state: text(&state["Status"]),
            exit_code: state["ExitCode"].as_i64().unwrap_or_default(),
            out_of_memory: state["OOMKilled"].as_bool().unwrap_or_default(),
            error: text(&state["Error"]),
            pid: state["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0),
            addresses: networks["Networks"].as_object().into_iter().flatten().filter_map(address).collect(),
            published: networks["Ports"].as_object().into_iter().flatten().filter_map(published).collect(),
        })
    }
}

impl Named {
    /// Reads the answer to [`super::Engine::network_inspect`] or [`super::Engine::volume_inspect`].
    pub fn parse(stdout: &str) -> Vec<Self> {
        // podman's networks have their keys in small letters.
        let read = |value: &Value| {
            let name = value["Name"].as_str().or(value["name"].as_str())?.to_owned();
            let subnet = value["subnets"][0]["subnet"].as_str().and_then(range);
            Some(Self {
                name,
                subnet,
                internal: value["internal"] == true || value["Internal"] == true,
                mountpoint: value["Mountpoint"].as_str().filter(|path| !path.is_empty()).map(PathBuf::from),
                labels: labels(if value["Labels"].is_null() { &value["labels"] } else { &value["Labels"] }),
            })
        };
        objects(stdout).iter().filter_map(read).collect()
    }
}

/// The addresses of `10.89.0.0/24`.
fn range(subnet: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (address, bits) = subnet.split_once('/')?;
    let mask = u32::MAX.checked_shr(bits.parse().ok()?).unwrap_or(0);
    let first = address.parse::<Ipv4Addr>().ok()?.to_bits() & !mask;
    Some((Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(first | mask)))
}

/// What a list prints, each entry once.
pub fn lines(stdout: &str) -> Vec<String> {
    let entries: BTreeSet<&str> = stdout.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    entries.into_iter().map(str::to_owned).collect()
}

/// Whether a command failed only because what it names is not there.
pub fn says_absent(stderr: &str) -> bool {
    // docker's client adds how it ended.
    let mut words = stderr.lines().map(|line| line.trim().to_lowercase());
    let absent = |line: &String| {
        let not_there = [
            "no such container",
            "no such image",
            "no such volume",
            "no such network",
            "image not known",
            "tag not known",
        ];
        // It is the beginning of several names.
        let ambiguous = line.contains("more than one result for volume name");
        ambiguous
            || not_there.iter().any(|words| line.contains(words))
            || line.contains("network") && line.ends_with("not found")
    };
    words.any(|line| absent(&line))
        && !says_interface_gone(stderr)
        && !stderr.lines().any(|line| line.to_lowercase().contains("cannot connect"))
}

/// Whether a command that looks at all interfaces of this machine was ended by one that went meanwhile, as those of other
/// containers do.
pub fn says_interface_gone(stderr: &str) -> bool {
    stderr.contains("route ip+net: no such network interface")
}

fn objects(stdout: &str) -> Vec<Value> {
    serde_json::from_str(stdout).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A list, which podman writes as one text in places.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if !text.is_empty() => vec![text.clone()],
        _ => value.as_array().into_iter().flatten().map(text).collect(),
    }
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn image_id(id: &str) -> String {
    format!("sha256:{}", id.trim_start_matches("sha256:"))
}

/// `80/tcp`
fn tcp(port: &str) -> Option<u16> {
    port.strip_suffix("/tcp").unwrap_or(port).parse().ok()
}

fn place(value: &Value) -> Option<SocketAddr> {
    // podman leaves the address out when it is every one.
    let ip = match value["HostIp"].as_str() {
        None | Some("") => "0.0.0.0",
        Some(ip) => ip,
    };
    Some(SocketAddr::new(ip.parse().ok()?, value["HostPort"].as_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests;
