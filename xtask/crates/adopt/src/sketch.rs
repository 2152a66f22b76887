//! What a system's file is to say, before it is text.

use model::container::{Cpu, Memory, User};
use model::image::ImagePin;
use model::name::{ServiceName, SystemName};
use model::port::FurtherPorts;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What is said of a service that nothing gives a port.
pub(crate) const WORKER: &str = "Nothing says where it listens, so it is a worker. If it listens after all: `port = …`, and \
                                 `ready = { tcp = {} }` in place of this.";

/// A system as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    pub name: SystemName,
    pub(crate) description: String,
    /// What it was made from, as one would type it.
    pub(crate) from: String,
    /// What is to be said of the whole of it.
    pub(crate) notes: Vec<String>,
    pub(crate) services: Vec<Service>,
    pub(crate) jobs: Vec<Job>,
    /// Secrets that its services share, by name.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Public images that have no name yet.
    pub images: BTreeMap<String, ImagePin>,
    pub copies: Vec<SecretCopy>,
}

/// A secret that is kept where it is found, and has to be where git ignores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretCopy {
    /// What is copied.
    pub content: SecretContent,
    /// Relative to the folder of secrets.
    pub to: String,
}

#[derive(Clone, PartialEq, Eq)]
pub enum SecretContent {
    File(PathBuf),
    Text(String),
}

/// What it is must not be shown.
impl std::fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// A variable of whoever deploys.
    Env(String),
    /// A file below the folder of secrets.
    File(String),
    /// Made with a deployment.
    Generated,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    pub(crate) name: ServiceName,
    pub(crate) source: Source,
    pub(crate) port: Option<u16>,
    pub(crate) host_port: Option<u16>,
    /// What it listens on besides.
    pub(crate) ports: FurtherPorts,
    pub(crate) public: bool,
    pub(crate) aliases: Vec<String>,
    pub(crate) needs: Vec<String>,
    /// Secrets that its build has.
    pub(crate) build_secrets: Vec<String>,
    /// Names and templates.
    pub(crate) env: BTreeMap<String, String>,
    /// Templates.
    pub(crate) args: Vec<String>,
    pub(crate) ready: Probe,
    /// In seconds.
    pub(crate) ready_within: Option<u64>,
    pub(crate) stop_within: Option<u64>,
    pub(crate) replicas: Option<u32>,
    /// It has more than a cluster takes.
    pub(crate) only_containers: bool,
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) container: Container,
    pub(crate) notes: Notes,
    /// How `GET /` was answered, where somebody has asked.
    pub(crate) answers: Option<u16>,
}

impl Service {
    pub(crate) fn new(name: ServiceName, source: Source) -> Self {
        Self {
            name,
            source,
            port: None,
            host_port: None,
            ports: FurtherPorts::new(),
            public: false,
            aliases: Vec::new(),
            needs: Vec::new(),
            build_secrets: Vec::new(),
            env: BTreeMap::new(),
            args: Vec::new(),
            ready: Probe::Tcp,
            ready_within: None,
            stop_within: None,
            replicas: None,
            only_containers: false,
            files: BTreeMap::new(),
            container: Container::default(),
            notes: Notes::default(),
            answers: None,
        }
    }

    /// Says something where `place` stands or would stand.
    pub(crate) fn note(&mut self, place: Place, text: impl Into<String>) {
        self.notes.0.push((place, text.into()));
    }
}

/// A program that ends before the release, of what a service is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) of: ServiceName,
    /// In place of the image's program.
    pub(crate) command: Vec<String>,
    /// Templates, for that program.
    pub(crate) args: Vec<String>,
    pub(crate) needs: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// The key of a service beside which a note stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Service,
    Source,
    Port,
    Ports,
    Public,
    Needs,
    Targets,
    Replicas,
    Ready,
    Env,
    Args,
    Files,
    Container,
    User,
    Writable,
    Volumes,
    Allow,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notes(Vec<(Place, String)>);

impl Notes {
    /// Leaves out what holds for many services and was said of an earlier one.
    pub(crate) fn say_once(&mut self, said: &mut BTreeSet<String>) {
        let general = [Place::Replicas, Place::Container, Place::Allow];
        self.0.retain(|(place, text)| !general.contains(place) || said.insert(text.clone()));
    }

    pub(crate) fn at(&self, place: Place) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(at, _)| *at == place).map(|(_, text)| text.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Dockerfile {
        /// The build context, from the root.
        folder: String,
        /// From the context; `Dockerfile` unless set.
        file: Option<String>,
        target: Option<String>,
        args: BTreeMap<String, String>,
    },
    /// A name in `deploy/images.toml`.
    Image(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probe {
    Http(String),
    Tcp,
    Command(Vec<String>),
}

/// What a service is given of the repository, or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) content: Content,
    pub(crate) at: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A path from the root.
    From(String),
    /// A template.
    Text(String),
}

impl Content {
    pub(crate) fn path(&self) -> Option<&str> {
        if let Self::From(path) = self { Some(path) } else { None }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) memory: Option<Memory>,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) user: Option<User>,
    pub(crate) writable: Vec<String>,
    pub(crate) low_ports: bool,
    /// Folders by the names of their volumes.
    pub(crate) volumes: BTreeMap<String, String>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) health: Vec<String>,
    pub(crate) allow: Option<Allow>,
}

/// What loosens the confinement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Allow {
    pub(crate) root: bool,
    pub(crate) writable_root: bool,
    pub(crate) capabilities: Vec<String>,
    pub(crate) why: String,
}
