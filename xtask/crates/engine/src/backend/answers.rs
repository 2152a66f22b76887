//! What a target answers: what would change, what is there, what is left.

use crate::deployment::Deployment;
use crate::job::JobStatus;
use base::error::Fault;
use model::name::{JobName, ServiceName, SystemName};
use model::port::Speaks;
use serde_json::{Value, json};
use std::fmt;

/// What a deploy would change of the platform, and what that then costs: for people, and as documents for programs.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformPlan {
    pub text: String,
    pub infrastructure: Value,
    /// Null where no prices are known.
    pub estimate: Value,
}

/// What a deploy would change in a system.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemChanges {
    pub name: SystemName,
    /// Set when the system cannot run here.
    pub skipped: Option<String>,
    /// Each service that would change, and why, the most telling reason first.
    pub services: Vec<(ServiceName, Vec<String>)>,
    /// Each job that would run, and why.
    pub jobs: Vec<(JobName, String)>,
    /// What is worth knowing beside that.
    pub note: Option<String>,
}

impl SystemChanges {
    /// Of a system whose deploy fails, for one of its services or as a whole.
    pub fn failing(name: SystemName, service: Option<ServiceName>, fault: Fault) -> Self {
        let why = format!("a deploy fails: {}", fault.cause);
        Self {
            name,
            skipped: service.is_none().then(|| why.clone()),
            services: service.map(|service| (service, vec![why])).into_iter().collect(),
            jobs: Vec::new(),
            note: fault.hint,
        }
    }
}

/// What was found after a teardown, or would be found now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remains {
    /// Found, though it should be gone.
    pub survivors: Vec<Survivor>,
    /// Found, and meant to be: data that was asked to be kept.
    pub kept: Vec<Survivor>,
}

impl Remains {
    /// Puts down something that was found.
    pub fn add(&mut self, is_kept: bool, found: Survivor) {
        if is_kept { self.kept.push(found) } else { self.survivors.push(found) }
    }
}

/// The kind of what may be there and could not be asked for. What would remove it is then the line that asks.
pub const NOT_LOOKED_UP: &str = "not-looked-up";

/// Something that was made here and is still there.
#[derive(Debug, Clone, PartialEq)]
pub struct Survivor {
    pub kind: String,
    pub id: String,
    /// The system it belongs to.
    pub owner: String,
    /// How much room it has, where it stores something and that is known.
    pub bytes: Option<u64>,
    /// What it costs a month; nothing on one's own machine, unknown elsewhere.
    pub monthly_usd: Option<f64>,
    /// The command that removes it.
    pub remove: String,
}

impl Survivor {
    /// One of which neither size nor price is known.
    pub fn new(kind: &str, id: String, owner: String, remove: String) -> Self {
        Self { kind: kind.to_owned(), id, owner, bytes: None, monthly_usd: None, remove }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "kind": self.kind, "id": self.id, "owner": self.owner, "bytes": self.bytes,
            "monthly_usd": self.monthly_usd, "remove": self.remove,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    Running,
    Starting,
    Failed,
    Stopped,
    Absent,
}

impl ServiceState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Absent => "absent",
        }
    }
}

/// A service as it is at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStatus {
    pub name: ServiceName,
    pub state: ServiceState,
    pub version: Option<String>,
    pub ready: u32,
    pub want: u32,
    pub restarts: u64,
    /// What a person opens.
    pub url: Option<String>,
    /// `address:port` to connect to.
    pub via: Option<String>,
    /// Why it is not on its declared port, and who else has that.
    pub port_note: Option<String>,
    /// Its further ports.
    pub ports: Vec<PortStatus>,
    /// Why it is not as it should be.
    pub detail: Option<String>,
}

impl ServiceStatus {
    /// One of which nothing is there.
    pub fn absent(name: &ServiceName) -> Self {
        Self {
            name: name.clone(),
            state: ServiceState::Absent,
            version: None,
            ready: 0,
            want: 0,
            restarts: 0,
            url: None,
            via: None,
            port_note: None,
            ports: Vec::new(),
            detail: None,
        }
    }
}

/// A further port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortStatus {
    pub name: String,
    pub speaks: Speaks,
    pub public: bool,
    /// `address:port` to connect to: from outside for one that is public, and else from where others of its system are.
    pub address: Option<String>,
    /// Why it has none, or not the declared one.
    pub detail: Option<String>,
}

impl PortStatus {
    fn to_json(&self) -> Value {
        let Self { name, speaks, public, address, detail } = self;
        json!({"name": name, "speaks": speaks.as_str(), "public": public, "address": address, "detail": detail})
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct SystemStatus {
    pub name: SystemName,
    pub services: Vec<ServiceStatus>,
    pub jobs: Vec<JobStatus>,
}

impl SystemStatus {
    /// `deployment` tells what of it the files declare.
    pub fn to_json(&self, deployment: &Deployment) -> Value {
        let service = |service: &ServiceStatus| {
            json!({
                "name": service.name.local(), "declared": deployment.declares(&self.name, &service.name), "port_note": service.port_note,
                "state": service.state.word(), "version": service.version,
                "replicas": {"ready": service.ready, "want": service.want}, "restarts": service.restarts,
                "url": service.url, "via": service.via, "detail": service.detail,
                "ports": service.ports.iter().map(PortStatus::to_json).collect::<Vec<_>>(),
            })
        };
        json!({
            "name": self.name.as_str(), "declared": deployment.declares_system(&self.name),
            "jobs": self.jobs.iter().map(JobStatus::to_json).collect::<Vec<_>>(),
            "services": self.services.iter().map(service).collect::<Vec<_>>(),
        })
    }
}

/// What the tags of public images stand for by now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    /// Those that stand for something else than what runs.
    pub moved: Vec<MovedTag>,
    /// Those of which that is not known, and why.
    pub unknown: Vec<String>,
}

/// A tag that stands for something else than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTag {
    /// Its name in `deploy/images.toml`.
    pub image: String,
    /// `docker.io/library/redis:7.4`
    pub tag: String,
    pub from: String,
    pub to: String,
}

impl fmt::Display for MovedTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {} was {}, and is {} by now", self.image, self.tag, self.from, self.to)
    }
}
