//! What everything of a deployment is called in an engine, and by which labels it is found again.

use crate::home::Home;
use crate::spec::name::{DeploymentId, ServiceName, SystemName};
use crate::tools::engine::{Label, Labels};
use std::path::PathBuf;

/// The deployment that a thing belongs to.
pub(super) const DEPLOYMENT: &str = "dev.slipway.deployment";
/// The folder of that deployment's state: two checkouts may use one name.
pub(super) const HOME: &str = "dev.slipway.home";
pub(super) const SYSTEM: &str = "dev.slipway.system";
pub(super) const SERVICE: &str = "dev.slipway.service";

/// Two hyphens part the deployment's name from the rest. A name of either may have them inside as well, so what is
/// called alike is told apart by its labels.
#[derive(Debug, Clone)]
pub(super) struct Names {
    id: DeploymentId,
    home: PathBuf,
}

impl Names {
    pub(super) fn new(id: &DeploymentId, home: &Home) -> Self {
        Self { id: id.clone(), home: home.dir().to_owned() }
    }

    /// The network of a system.
    pub(super) fn network(&self, system: &SystemName) -> String {
        format!("{}--{system}", self.id)
    }

    /// The network through which an edge is reached from outside, where the system's own is out of reach for all.
    pub(super) fn front(&self, system: &SystemName) -> String {
        format!("{}--{system}--front", self.id)
    }

    /// What a service has stored.
    pub(super) fn volume(&self, service: &ServiceName) -> String {
        format!("{}--{service}", self.id)
    }

    /// What the names of a service's containers begin with.
    pub(super) fn container(&self, service: &ServiceName) -> String {
        format!("{}--{service}", self.id)
    }

    /// The container of an instance.
    pub(super) fn instance(&self, service: &ServiceName, number: u64) -> String {
        format!("{}-{number}", self.container(service))
    }

    /// Whether something was made by this deployment, and not by one of the same name in another checkout.
    pub(super) fn owns(&self, labels: &Labels) -> bool {
        labels.get(HOME) == Some(&self.home())
    }

    pub(super) fn home(&self) -> String {
        self.home.to_string_lossy().into_owned()
    }

    pub(super) fn labels(&self, system: &SystemName) -> Labels {
        let labels = [(DEPLOYMENT, self.id.to_string()), (HOME, self.home()), (SYSTEM, system.to_string())];
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    pub(super) fn service_labels(&self, system: &SystemName, service: &ServiceName) -> Labels {
        let mut labels = self.labels(system);
        labels.insert(SERVICE.to_owned(), service.to_string());
        labels
    }

    /// What everything of the deployment has.
    pub(super) fn label(&self) -> Label<'_> {
        (DEPLOYMENT, self.id.as_str())
    }
}
