//! Systems and their services, as one file in `deploy/systems/` describes them.

use super::asset::{Asset, texts};
use super::build::DockerBuild;
use super::container::{Container, OWN_DATA};
use super::job::Job;
use super::name::{ServiceName, SystemName, TeamName};
use super::port::FurtherPorts;
use super::public_name::PublicName;
use super::reach::Reach;
use super::secret::Secret;
use super::smoke::{DeniedPath, SmokeCheck};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Services that are deployed, smoke-tested and torn down together.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    pub name: SystemName,
    pub description: String,
    /// In an order in which every service comes after those it needs.
    pub services: Vec<Service>,
    /// In the order of their file.
    pub jobs: Vec<Job>,
    pub smoke: Vec<SmokeCheck>,
    pub denied: Vec<DeniedPath>,
    /// Earlier names of the system.
    pub was: BTreeSet<SystemName>,
}

/// One program, with the ports it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: ServiceName,
    /// Further names by which others of its system find it, where services have names at all.
    pub aliases: BTreeSet<ServiceName>,
    pub source: Source,
    /// A command that stands for it on `host`, where it does not run as what it is made of.
    pub run: Option<HostRun>,
    /// The port the program listens on in a container; a worker has none.
    pub port: Option<u16>,
    /// The port on a machine that all services share; `port` unless two systems chose the same.
    pub host_port: Option<u16>,
    /// What it listens on besides.
    pub ports: FurtherPorts,
    /// Reachable from outside the deployment.
    pub public: bool,
    /// Where that is, while it is.
    pub public_name: PublicName,
    pub team: Option<TeamName>,
    /// Other services of this system that must be ready first.
    pub needs: Vec<ServiceName>,
    /// What it may reach beyond its system.
    pub reaches: Vec<Reach>,
    pub presence: Presence,
    /// What a platform can have in its place. Where it has, the service is absent, and what it provides comes from there.
    pub managed: Option<Managed>,
    pub targets: BTreeSet<TargetKind>,
    /// Environment variables. One whose template names a service that is absent is left out, so that the program
    /// falls back to its own default.
    pub env: BTreeMap<String, Template>,
    /// What others may refer to as `${SERVICE.NAME}`. Crates always provide `url` (`http://HOST:PORT`).
    pub provides: BTreeMap<String, Template>,
    /// Secrets by name, its own and those of its system, referred to as `${secret.NAME}` within this service.
    pub secrets: BTreeMap<String, Secret>,
    /// Files and folders of its own, referred to as `${file.NAME}`.
    pub files: BTreeMap<String, Asset>,
    /// Arguments of the program.
    pub args: Vec<Template>,
    pub ready: Probe,
    pub live: Probe,
    /// How long it may take from start to ready.
    pub ready_within: Duration,
    /// How long it may take from SIGTERM to its end.
    pub stop_within: Duration,
    /// How many there are of it where there can be several; as many as the environment says unless set.
    pub replicas: Option<u32>,
    /// How it grows under load, where that can be measured.
    pub scale: Option<Scale>,
    /// What its container is given, on every target but `host`.
    pub container: Container,
    /// Earlier names: what was stored and generated under them comes along.
    pub was: BTreeSet<ServiceName>,
}

/// Between the environment's replicas and `max` there are as many as keep the processors at `cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    pub max: u32,
    /// Of what a container asked for, in percent.
    pub cpu: u32,
    /// How long there has to be less to do before there are fewer.
    pub settle: Duration,
}

impl Service {
    /// All names by which others of its system find it.
    pub fn names(&self) -> impl Iterator<Item = &ServiceName> {
        std::iter::once(&self.name).chain(&self.aliases)
    }

    /// Whether its program is a crate of this repository, of which more is known than of others.
    pub fn is_own(&self) -> bool {
        matches!(self.source, Source::Crate(_))
    }

    /// Whether a further port of it is reached from outside.
    pub fn has_public_port(&self) -> bool {
        self.ports.values().any(|further| further.public)
    }

    /// Whether anything of it is.
    pub fn is_exposed(&self) -> bool {
        self.public || self.has_public_port()
    }

    /// Its own texts: variables, arguments, files.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.env.values().chain(&self.args).chain(texts(&self.files))
    }

    /// Whether it uses `${data}`.
    pub fn uses_data(&self) -> bool {
        self.templates().flat_map(Template::references).any(|reference| *reference == Reference::Data)
    }

    /// Whether its image is built from this repository.
    pub fn is_built(&self) -> bool {
        matches!(self.source, Source::Crate(_) | Source::Dockerfile { .. })
    }

    /// Where `${data}` is in its container.
    pub fn data(&self) -> &str {
        if self.is_own() { OWN_DATA } else { &self.container.data }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A package under `app/`, with its binary of the same name or the only one it has.
    Crate(String),
    /// A Dockerfile of this repository, and what stands in for it on `host`.
    Dockerfile { build: DockerBuild, host: Option<HostProgram> },
    /// A public image, by its short name in `deploy/images.toml`, and what stands in for it on `host`.
    Image { image: String, host: Option<HostProgram> },
}

/// How a public image's program is had on a laptop without containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostProgram {
    /// Names to look for on PATH, the best first.
    pub programs: Vec<String>,
    /// A requirement as pip takes it (`moto[server]==5.2.5`) whose console script is the first of `programs`.
    pub python: Option<String>,
    /// A URL that answers 200 when an equivalent service already runs on this machine and may be used as it is.
    pub running: Option<String>,
    /// What to type so that it can run, for the line that says why it was skipped.
    pub enable: String,
}

/// A command that is a service on `host`, in whatever language, run from a folder of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRun {
    /// A name to look for on PATH, or a path from the folder.
    pub program: String,
    pub args: Vec<Template>,
    /// The folder, from the root; empty for that.
    pub dir: String,
    /// What is run in the folder before, once for each state of what it reads.
    pub prepare: Vec<String>,
    /// What of the folder `prepare` reads, or else the command where nothing is prepared. Empty for all that git sees.
    pub reads: Vec<String>,
    /// What to type so that it can run, for the line that says why it was skipped.
    pub enable: Option<String>,
}

/// When a service is part of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The system cannot run without it.
    Always,
    /// Only where a service that needs it has more than one replica.
    WhenReplicated,
    /// Where it can run; those that need it do without otherwise.
    WhenAvailable,
}

/// What a platform can run in the place of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Managed {
    /// ElastiCache, by the variable `cache` of `terraform/`.
    Cache,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetKind {
    Host,
    Containers,
    Kubernetes,
    Eks,
}

impl TargetKind {
    pub const ALL: [Self; 4] = [Self::Host, Self::Containers, Self::Kubernetes, Self::Eks];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Containers => "containers",
            Self::Kubernetes => "kubernetes",
            Self::Eks => "eks",
        }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a running service is asked for its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// `GET` of this path answers 2xx.
    Http { path: String },
    /// A connection is accepted and, when named, the answer to `send` starts with `expect`.
    Tcp { send: Option<String>, expect: Option<String> },
    /// A command where the program runs ends with 0.
    Command(Vec<String>),
    /// It has run for so long without ending.
    Runs(Duration),
}

impl Probe {
    /// Whether whatever is asked so speaks HTTP, as far as that is known.
    pub fn is_http(&self) -> bool {
        matches!(self, Self::Http { .. })
    }

    /// For state that outlives a run and for the supervisor.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Http { path } => json!({"http": path}),
            Self::Tcp { send, expect } => json!({"tcp": {"send": send, "expect": expect}}),
            Self::Command(words) => json!({"command": words}),
            Self::Runs(within) => json!({"runs": within.as_secs_f64()}),
        }
    }

    /// `None` when the value was not made by [`Probe::to_json`].
    pub fn from_json(value: &Value) -> Option<Self> {
        if let Some(path) = value["http"].as_str() {
            return Some(Self::Http { path: path.to_owned() });
        }
        if let Some(words) = value["command"].as_array() {
            return words.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<_>>().map(Self::Command);
        }
        if let Some(seconds) = value["runs"].as_f64() {
            return Duration::try_from_secs_f64(seconds).ok().map(Self::Runs);
        }
        let tcp = value["tcp"].as_object()?;
        let text = |key: &str| tcp.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self::Tcp { send: text("send"), expect: text("expect") })
    }
}

/// A text with `${…}` references, already parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Reference(Reference),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `${address}`: the address the service listens on.
    Address,
    /// `${host}`: the name others reach it by.
    Host,
    /// `${port}`: the port it listens on.
    Port,
    /// `${port.NAME}`: a further one.
    FurtherPort(String),
    /// `${public_url}`: where it is reached from outside.
    PublicUrl,
    /// `${data}`: a folder of its own that outlives it.
    Data,
    /// `${git.commit}`, until it is known.
    Commit,
    /// `${secret.NAME}`
    Secret(String),
    /// `${file.NAME}`: the path of a file of this service.
    File(String),
    /// `${SERVICE.NAME}`: what a needed service provides.
    Provided { service: ServiceName, name: String },
}

/// The text that parses to this template again.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(&text.replace('$', "$$"))?,
                Piece::Reference(reference) => write!(f, "${{{reference}}}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Host => f.write_str("host"),
            Self::Port => f.write_str("port"),
            Self::FurtherPort(name) => write!(f, "port.{name}"),
            Self::PublicUrl => f.write_str("public_url"),
            Self::Data => f.write_str("data"),
            Self::Commit => f.write_str("git.commit"),
            Self::Secret(name) => write!(f, "secret.{name}"),
            Self::File(name) => write!(f, "file.{name}"),
            Self::Provided { service, name } => write!(f, "{service}.{name}"),
        }
    }
}
