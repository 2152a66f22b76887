//! What a container is given and what it may do: limits, user, writable paths. And where images run and are kept.

use super::allowance::Allowance;
use super::error::quoted;
use super::image::Repository;
use super::volume::{self, Volumes};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// The user of this repository's own images; that of distroless' `nonroot`.
pub const NONROOT: User = User { uid: 65532, gid: 65532 };

/// Where a container finds the files that the spec gives it.
pub const FILES: &str = "/etc/slipway/files";
/// The folder that images of this repository keep for what is stored.
pub const OWN_DATA: &str = "/data";

/// What a service's container is given. Everything else is denied it: its root file system is read-only, it has no
/// capability and can gain no privilege, unless `allow` says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub memory: Memory,
    pub cpu: Cpu,
    /// The user it runs as. `None`: the one that the image names, which has to be a number.
    pub user: Option<User>,
    /// Paths that it may write to, each a file system in memory of its own.
    pub writable: Vec<String>,
    /// It listens below port 1024.
    pub low_ports: bool,
    /// Where `${data}` is.
    pub data: String,
    /// What outlives it, beside `data` where only `${data}` says so.
    pub volumes: Volumes,
    /// What the image starts with, in place of its own.
    pub entrypoint: Vec<String>,
    /// What stands before the service's arguments: the program, for an image that takes that for an argument, too.
    pub command: Vec<String>,
    /// A command that tells within the container whether it is healthy, by its exit code. It is used where a container
    /// cannot be reached by its address from this machine. Images of this repository have their own.
    pub health: Vec<String>,
    /// What it may do beyond that.
    pub allow: Option<Allowance>,
}

impl Default for Container {
    fn default() -> Self {
        Self {
            memory: Memory(256 << 20),
            cpu: Cpu(1000),
            user: None,
            writable: Vec::new(),
            low_ports: false,
            data: "/data".to_owned(),
            volumes: Volumes::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            health: Vec::new(),
            allow: None,
        }
    }
}

impl Container {
    /// Whether it runs as the user that its image names, which then must not be root.
    pub fn takes_user_of_image(&self) -> bool {
        self.user.is_none() && !self.allow.as_ref().is_some_and(|allow| allow.root)
    }

    /// For state that outlives a run.
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "memory": self.memory.to_string(), "cpu": self.cpu.to_string(),
            "user": self.user.map(|user| user.to_string()), "writable": self.writable, "low_ports": self.low_ports,
            "data": self.data, "command": self.command, "health": self.health,
        });
        // What is not used is not written, so that what was kept before there was such a thing is the same still.
        if !self.entrypoint.is_empty() {
            json["entrypoint"] = json!(self.entrypoint);
        }
        if let Some(allow) = &self.allow {
            json["allow"] = allow.to_json();
        }
        if !self.volumes.is_empty() {
            json["volumes"] = volume::to_json(&self.volumes);
        }
        json
    }

    /// `None` when the value was not made by [`Container::to_json`].
    pub fn from_json(value: &Value) -> Option<Self> {
        let texts = |key: &str| -> Option<Vec<String>> {
            value[key].as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        let user = match &value["user"] {
            Value::Null => None,
            user => Some(user.as_str()?.parse().ok()?),
        };
        Some(Self {
            memory: value["memory"].as_str()?.parse().ok()?,
            cpu: value["cpu"].as_str()?.parse().ok()?,
            user,
            writable: texts("writable")?,
            low_ports: value["low_ports"].as_bool()?,
            data: value["data"].as_str()?.to_owned(),
            volumes: volume::from_json(&value["volumes"]).unwrap_or_default(),
            entrypoint: texts("entrypoint").unwrap_or_default(),
            command: texts("command")?,
            health: texts("health")?,
            allow: Allowance::from_json(&value["allow"]),
        })
    }
}

/// In bytes. Written as Kubernetes has it: `64Mi`, `1Gi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(pub u64);

const MEMORY_UNITS: [(&str, u64); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = MEMORY_UNITS.iter().find_map(|(unit, bytes)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*bytes).filter(|bytes| *bytes >= LEAST_MEMORY)
        });
        parsed
            .map(Self)
            .ok_or_else(|| format!("{} is not an amount of memory such as `64Mi` (6Mi at least)", quoted(text)))
    }
}

/// Below this engines refuse to start a container.
const LEAST_MEMORY: u64 = 6 << 20;

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) = MEMORY_UNITS.iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes)).unwrap_or(&("", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

/// In thousandths of a core. Written as Kubernetes has it: `250m`, `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpu(pub u32);

impl FromStr for Cpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_suffix('m') {
            Some(thousandths) => thousandths.parse().ok(),
            None => text.parse::<u32>().ok().and_then(|cores| cores.checked_mul(1000)),
        };
        let some = parsed.filter(|thousandths| *thousandths >= 10);
        some.map(Self)
            .ok_or_else(|| format!("{} is not a share of cores such as `250m` or `2` (10m at least)", quoted(text)))
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            _ => write!(f, "{}m", self.0),
        }
    }
}

/// A numeric user and group. Written `999` or `999:1000`; never root, never by name, which only the image could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        match (uid.parse(), gid.parse()) {
            (Ok(0), _) => Err("`0` is root, and nothing here runs as root".to_owned()),
            (Ok(uid), Ok(gid)) => Ok(Self { uid, gid }),
            _ => Err(format!("{} is not a numeric user such as `999` or `999:1000`", quoted(text))),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// What builds and runs images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    Docker,
    Podman,
}

impl EngineKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Docker, Self::Podman].into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| format!("{} is not an engine; valid values: `docker`, `podman`", quoted(text)))
    }
}

/// What an image is built for, as OCI names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    LinuxAmd64,
    LinuxArm64,
}

impl Platform {
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// `linux/amd64`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "linux/amd64",
            Self::LinuxArm64 => "linux/arm64",
        }
    }

    /// `amd64`
    pub fn architecture(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "amd64",
            Self::LinuxArm64 => "arm64",
        }
    }

    /// By the name of an architecture as OCI, Go or `uname` have it.
    pub fn of_architecture(name: &str) -> Option<Self> {
        match name {
            "amd64" | "x86_64" => Some(Self::LinuxAmd64),
            "arm64" | "aarch64" => Some(Self::LinuxArm64),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|platform| platform.as_str() == text);
        let names = || Self::ALL.map(|platform| format!("`{platform}`")).join(", ");
        known.ok_or_else(|| format!("{} is not a platform; valid values: {}", quoted(text), names()))
    }
}

/// Where images are pushed to and pulled from: a host and, below it, a path: `localhost:5000/shop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry(String);

impl Registry {
    /// The images of this machine alone, which no registry has.
    pub fn local() -> Self {
        Self("localhost/slipway".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host with its port.
    pub fn host(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Registry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A host alone is a registry too; a repository below it shows whether it is well formed.
        let probe: Result<Repository, _> = format!("{text}/x").parse();
        match probe {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(format!("{} is not a registry such as `registry.example.com/shop`", quoted(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_shown_the_same() {
        for text in ["64Mi", "1Gi", "7000Ki"] {
            assert_eq!(text.parse::<Memory>().unwrap().to_string(), text);
        }
        for text in ["250m", "2", "10m"] {
            assert_eq!(text.parse::<Cpu>().unwrap().to_string(), text);
        }
        assert_eq!("1024Mi".parse::<Memory>().unwrap().to_string(), "1Gi");
        for text in ["64", "64M", "5Mi", "-1Mi", "", "Mi", "99999999999Gi"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
        for text in ["9m", "0", "0.5", "", "m", "9999999999"] {
            assert!(text.parse::<Cpu>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_container_is_given_survives_being_kept() {
        let words = |words: [&str; 2]| words.map(str::to_owned).to_vec();
        let given = Container {
            memory: Memory(64 << 20),
            cpu: Cpu(250),
            user: "999:1000".parse().ok(),
            writable: words(["/tmp", "/var/run"]),
            low_ports: true,
            data: "/var/lib/it".to_owned(),
            volumes: Volumes::from([
                ("data".to_owned(), volume::Volume { at: "/var/lib/it".to_owned(), size: "5Gi".parse().ok() }),
                ("uploads".to_owned(), volume::Volume { at: "/srv".to_owned(), size: None }),
            ]),
            entrypoint: words(["/bin/sh", "-e"]),
            command: words(["it", "--serve"]),
            health: words(["it", "ping"]),
            allow: Some(Allowance {
                root: true,
                writable_root: false,
                capabilities: ["CHOWN".to_owned()].into(),
                why: String::new(),
            }),
        };
        for container in [given, Container::default()] {
            assert_eq!(Container::from_json(&container.to_json()), Some(container));
        }
        assert_eq!(Container::from_json(&json!({"memory": "64Mi"})), None);
    }

    #[test]
    fn a_user_is_a_number_and_not_root() {
        assert_eq!("999".parse::<User>().unwrap().to_string(), "999:999");
        assert_eq!("999:0".parse::<User>().unwrap().to_string(), "999:0");
        for text in ["0", "0:0", "nobody", "1:x", "", "-1"] {
            assert!(text.parse::<User>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_registry_has_a_host_that_cannot_be_taken_for_a_path() {
        for text in ["localhost:5000", "localhost:5000/shop", "ghcr.io/me/shop", "1.dkr.ecr.eu-west-1.amazonaws.com"] {
            assert_eq!(text.parse::<Registry>().unwrap().as_str(), text);
        }
        for text in ["shop", "shop/x", "ghcr.io/Me", "ghcr.io/", "https://ghcr.io", ""] {
            assert!(text.parse::<Registry>().is_err(), "{text}");
        }
        assert_eq!("localhost:5000/shop".parse::<Registry>().unwrap().host(), "localhost:5000");
    }
}
