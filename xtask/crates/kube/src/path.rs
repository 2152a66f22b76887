//! Paths of the API (kubernetes.io/docs/reference/using-api/api-concepts).

use base::http::percent_encode;

/// The kinds that are asked for, by the API group and the plural that their paths have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// As objects say it: `Deployment`.
    pub name: &'static str,
    /// `/api/v1`, `/apis/apps/v1`
    pub group: &'static str,
    pub plural: &'static str,
    pub namespaced: bool,
}

const CORE: &str = "/api/v1";
const APPS: &str = "/apis/apps/v1";
const NETWORKING: &str = "/apis/networking.k8s.io/v1";
const BATCH: &str = "/apis/batch/v1";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

const fn kind(name: &'static str, group: &'static str, plural: &'static str, namespaced: bool) -> Kind {
    Kind { name, group, plural, namespaced }
}

pub const NAMESPACE: Kind = kind("Namespace", CORE, "namespaces", false);
pub const NODE: Kind = kind("Node", CORE, "nodes", false);
pub const POD: Kind = kind("Pod", CORE, "pods", true);
pub const EVENT: Kind = kind("Event", CORE, "events", true);
pub const SECRET: Kind = kind("Secret", CORE, "secrets", true);
pub const CONFIG_MAP: Kind = kind("ConfigMap", CORE, "configmaps", true);
pub const SERVICE: Kind = kind("Service", CORE, "services", true);
pub const SERVICE_ACCOUNT: Kind = kind("ServiceAccount", CORE, "serviceaccounts", true);
pub const CLAIM: Kind = kind("PersistentVolumeClaim", CORE, "persistentvolumeclaims", true);
pub const VOLUME: Kind = kind("PersistentVolume", CORE, "persistentvolumes", false);
pub const QUOTA: Kind = kind("ResourceQuota", CORE, "resourcequotas", true);
pub const DEPLOYMENT: Kind = kind("Deployment", APPS, "deployments", true);
pub const STATEFUL_SET: Kind = kind("StatefulSet", APPS, "statefulsets", true);
pub const REPLICA_SET: Kind = kind("ReplicaSet", APPS, "replicasets", true);
pub const INGRESS: Kind = kind("Ingress", NETWORKING, "ingresses", true);
pub const INGRESS_CLASS: Kind = kind("IngressClass", NETWORKING, "ingressclasses", false);
pub const NETWORK_POLICY: Kind = kind("NetworkPolicy", NETWORKING, "networkpolicies", true);
pub const AUTOSCALER: Kind = kind("HorizontalPodAutoscaler", "/apis/autoscaling/v2", "horizontalpodautoscalers", true);
pub const BUDGET: Kind = kind("PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets", true);
pub const ROLE: Kind = kind("Role", RBAC, "roles", true);
pub const ROLE_BINDING: Kind = kind("RoleBinding", RBAC, "rolebindings", true);
pub const STORAGE_CLASS: Kind = kind("StorageClass", "/apis/storage.k8s.io/v1", "storageclasses", false);
pub const CRON_JOB: Kind = kind("CronJob", BATCH, "cronjobs", true);
pub const JOB: Kind = kind("Job", BATCH, "jobs", true);
pub const LEASE: Kind = kind("Lease", "/apis/coordination.k8s.io/v1", "leases", true);
pub const ENDPOINT_SLICE: Kind = kind("EndpointSlice", "/apis/discovery.k8s.io/v1", "endpointslices", true);

/// Every kind that a release of the chart consists of.
pub const RELEASED: [Kind; 14] = [
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    SECRET,
    SERVICE,
    DEPLOYMENT,
    STATEFUL_SET,
    CRON_JOB,
    INGRESS,
    NETWORK_POLICY,
    AUTOSCALER,
    BUDGET,
    ROLE,
    ROLE_BINDING,
    CLAIM,
];

impl Kind {
    /// Whether it is one of those that only systems with jobs consist of: who deploys others need not be allowed to see it.
    pub fn is_of_jobs(self) -> bool {
        self.group == BATCH
    }

    /// All of them, in every namespace.
    pub fn everywhere(self) -> String {
        format!("{}/{}", self.group, self.plural)
    }

    /// All of them in a namespace.
    pub fn within(self, namespace: &str) -> String {
        format!("{}/namespaces/{namespace}/{}", self.group, self.plural)
    }

    /// One in a namespace.
    pub fn at(self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.within(namespace))
    }

    /// One that is in no namespace.
    pub fn named(self, name: &str) -> String {
        format!("{}/{name}", self.everywhere())
    }

    /// As objects say it: `apps/v1`.
    pub fn version(self) -> &'static str {
        self.group.trim_start_matches("/apis/").trim_start_matches("/api/")
    }

    /// The kind of an object.
    pub fn of(object: &serde_json::Value) -> Option<Self> {
        let all = RELEASED.into_iter().chain([NAMESPACE, NODE, POD, JOB, EVENT, VOLUME, REPLICA_SET, LEASE]);
        let name = object["kind"].as_str()?;
        all.into_iter().find(|kind| kind.name == name)
    }
}

/// The path with parameters behind it; those whose value is empty are left out.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut text = path.to_owned();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(name);
        text.push('=');
        text.push_str(&percent_encode(value, b""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(DEPLOYMENT.at("shop", "web"), "/apis/apps/v1/namespaces/shop/deployments/web");
        assert_eq!(NAMESPACE.named("shop"), "/api/v1/namespaces/shop");
        assert_eq!((DEPLOYMENT.version(), POD.version()), ("apps/v1", "v1"));
        assert_eq!(with_query("/x", &[("a", "b=c,d"), ("e", ""), ("f", "g")]), "/x?a=b%3Dc%2Cd&f=g");
    }
}
