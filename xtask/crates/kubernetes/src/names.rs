//! What things in the cluster are called, and what they carry, so that they are found again.

use engine::reconcile::Entrance;
use kube::object;
use model::environment::Environment;
use model::name::{ServiceName, SystemName};
use model::public_name::PublicName;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// On everything that a deployment has made. The same word stands on what is made on AWS.
pub(super) const DEPLOYMENT: &str = "deployment_id";
/// The system that it belongs to (kubernetes.io/docs/concepts/overview/working-with-objects/common-labels).
pub(super) const SYSTEM: &str = "app.kubernetes.io/part-of";
/// The service.
pub(super) const SERVICE: &str = "app.kubernetes.io/name";
/// The release, which is named as its system.
pub(super) const INSTANCE: &str = "app.kubernetes.io/instance";
pub(super) const VERSION: &str = "app.kubernetes.io/version";
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Who manages what no release does.
pub(super) const OURS: &str = kube::MANAGER;

/// The names of one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
    pub id: String,
    /// The namespace of the deployment's own state.
    pub home: String,
}

/// The annotation of an Ingress that says what is not that of most: the name of its service, and all paths.
pub(super) const PUBLIC: &str = "slipway/public";

/// Where a public service is found by a name: `vote`, `vote/result`.
pub(super) fn entrances(public: &PublicName) -> impl Iterator<Item = String> {
    public.paths.iter().map(|path| if path == "/" { public.name.to_string() } else { format!("{}{path}", public.name) })
}

impl Names {
    pub(super) fn new(environment: &Environment) -> Self {
        Self {
            prefix: environment.cluster.namespace_prefix.to_string(),
            id: environment.deployment_id.to_string(),
            home: environment.cluster.home_namespace(&environment.deployment_id),
        }
    }

    #[cfg(test)]
    pub(super) fn of(prefix: &str, id: &str, home: &str) -> Self {
        Self { prefix: prefix.to_owned(), id: id.to_owned(), home: home.to_owned() }
    }

    /// The namespace of a system.
    pub fn namespace(&self, system: &SystemName) -> String {
        format!("{}{system}", self.prefix)
    }

    /// The system of a namespace, if it is one of a system's.
    pub fn system(&self, namespace: &str) -> Option<SystemName> {
        namespace.strip_prefix(&self.prefix)?.parse().ok().filter(|_| namespace != self.home)
    }

    /// What a public service has for itself.
    pub(super) fn entrances(&self, public: &PublicName) -> BTreeSet<Entrance> {
        entrances(public).map(|at| Entrance::Host(format!("{}{at}", self.prefix))).collect()
    }

    /// The same of one that is there, by its Ingress.
    pub(super) fn entrances_of(&self, service: &ServiceName, ingress: &Value) -> BTreeSet<Entrance> {
        let said = object::annotation(ingress, PUBLIC);
        let said = if said.is_empty() { service.as_str() } else { said };
        said.split(' ').map(|at| Entrance::Host(format!("{}{at}", self.prefix))).collect()
    }

    /// Selects everything that the deployment has made.
    pub fn selector(&self) -> String {
        format!("{DEPLOYMENT}={}", self.id)
    }

    /// The labels of what no release manages.
    pub(super) fn labels(&self, system: Option<&SystemName>) -> Value {
        let mut labels = json!({DEPLOYMENT: self.id, MANAGED_BY: OURS});
        if let Some(system) = system {
            labels[SYSTEM] = json!(system.as_str());
        }
        labels
    }
}
