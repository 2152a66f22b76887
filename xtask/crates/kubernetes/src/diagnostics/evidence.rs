//! What is known of a system in the cluster at one moment, and which of it tells about its newest release.

use super::super::names;
use super::super::release_spec::WorkloadSpec;
use kube::object::{annotation, is_going, label, list, name, number, text};
use model::name::{ServiceName, SystemName};
use serde_json::Value;
use shim::ports::Sockets;
use std::collections::BTreeMap;
use std::time::Duration;

/// A service as the release wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub name: ServiceName,
    pub port: Option<u16>,
    pub needs: Vec<ServiceName>,
    pub ready_within: Duration,
}

impl Expected {
    pub(crate) fn of(part: &WorkloadSpec) -> Self {
        let service = &part.service;
        Self {
            name: service.name.clone(),
            port: service.port,
            needs: service.needs.clone(),
            ready_within: service.ready_within,
        }
    }
}

/// The objects of a system, as the API has them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    pub system: Option<SystemName>,
    /// Each after those it needs.
    pub services: Vec<Expected>,
    pub deployments: Vec<Value>,
    pub stateful_sets: Vec<Value>,
    pub replica_sets: Vec<Value>,
    pub pods: Vec<Value>,
    /// Of the whole namespace.
    pub events: Vec<Value>,
    pub claims: Vec<Value>,
    pub quotas: Vec<Value>,
    /// Services, ingresses and the like, for people to read.
    pub others: Vec<Value>,
    pub nodes: Vec<Node>,
    /// The last lines of containers, by pod and container.
    pub logs: BTreeMap<(String, String), Log>,
    /// What a pod answers to its own readiness probe.
    pub answers: BTreeMap<String, String>,
    /// What a pod listens on.
    pub sockets: BTreeMap<String, Sockets>,
}

/// The end of what a container said, redacted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub current: String,
    /// Of the process before this one.
    pub previous: String,
}

/// What a node has, and how much of it is spoken for; processors in thousandths, memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub name: String,
    pub is_ready: bool,
    pub takes_pods: bool,
    pub cpu: u64,
    pub memory: u64,
    pub cpu_taken: u64,
    pub memory_taken: u64,
}

/// A container of a pod: what it was to be and how it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'e> {
    pub pod: &'e Value,
    pub spec: &'e Value,
    pub status: &'e Value,
}

impl<'e> Container<'e> {
    pub(crate) fn name(&self) -> &'e str {
        text(self.spec, "/name")
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.status["ready"].as_bool().unwrap_or_default()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.status.pointer("/state/running").is_some()
    }

    /// Why it waits: `CrashLoopBackOff`.
    pub(crate) fn waits_for(&self) -> &'e str {
        text(self.status, "/state/waiting/reason")
    }

    /// How its last process ended, if one did.
    pub(crate) fn ended(&self) -> Option<&'e Value> {
        self.status.pointer("/state/terminated").or_else(|| self.status.pointer("/lastState/terminated"))
    }

    /// How many of its processes have ended.
    pub(crate) fn ends(&self) -> u64 {
        let restarts = number(self.status, "/restartCount");
        restarts + u64::from(!self.is_running() && self.ended().is_some())
    }

    /// What tells it from all others: its pod and its name.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", name(self.pod), self.name())
    }
}

impl Evidence {
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Value> {
        self.deployments.iter().chain(&self.stateful_sets)
    }

    /// The Deployment or StatefulSet of a service.
    pub(crate) fn workload(&self, service: &ServiceName) -> Option<&Value> {
        self.workloads().find(|workload| label(workload, names::SERVICE) == service.as_str())
    }

    /// The pods of the newest release. Those of an earlier one tell nothing about it.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Value> {
        self.pods.iter().filter(|pod| !is_going(pod) && self.is_newest(pod))
    }

    /// The newest pods of a service.
    pub(crate) fn pods_of<'e>(&'e self, service: &'e ServiceName) -> impl Iterator<Item = &'e Value> {
        self.newest().filter(move |pod| label(pod, names::SERVICE) == service.as_str())
    }

    /// How many of them are ready.
    pub(crate) fn ready_of(&self, service: &ServiceName) -> usize {
        self.pods_of(service).filter(|pod| is_ready(pod)).count()
    }

    /// Whether the pod is of its workload's newest revision. One whose workload has changed since was not asked for.
    fn is_newest(&self, pod: &Value) -> bool {
        let Some(owner) = owner(pod) else { return false };
        if let Some(set) = self.stateful_sets.iter().find(|set| uid(set) == owner) {
            let revision = text(set, "/status/updateRevision");
            return is_observed(set) && label(pod, "controller-revision-hash") == revision;
        }
        self.replica_sets.iter().any(|set| uid(set) == owner && self.is_newest_set(set))
    }

    /// Whether it is the ReplicaSet that its Deployment is going over to.
    pub(crate) fn is_newest_set(&self, set: &Value) -> bool {
        const REVISION: &str = "deployment.kubernetes.io/revision";
        let Some(owner) = owner(set) else { return false };
        let deployment = self.deployments.iter().find(|deployment| uid(deployment) == owner);
        deployment.is_some_and(|deployment| {
            is_observed(deployment) && annotation(set, REVISION) == annotation(deployment, REVISION)
        })
    }

    /// The pod's containers, those that prepare it first.
    pub(crate) fn containers<'e>(&self, pod: &'e Value) -> Vec<Container<'e>> {
        let of = |specs: &str, statuses: &str| -> Vec<Container<'e>> {
            let status = |spec: &Value| {
                let mut all = list(pod, statuses).iter();
                all.find(|status| status["name"] == spec["name"]).unwrap_or(&Value::Null)
            };
            list(pod, specs).iter().map(|spec| Container { pod, spec, status: status(spec) }).collect()
        };
        let mut all = of("/spec/initContainers", "/status/initContainerStatuses");
        all.extend(of("/spec/containers", "/status/containerStatuses"));
        all
    }

    /// Events about exactly this object, the oldest first.
    pub(crate) fn events_of(&self, object: &Value) -> Vec<&Value> {
        let about = |event: &&Value| text(event, "/involvedObject/uid") == uid(object);
        let mut events: Vec<&Value> = self.events.iter().filter(about).collect();
        events.sort_by_key(|event| when(event).to_owned());
        events
    }

    /// Whether a service has a replica that serves.
    /// Whether all that a service needs serves.
    pub(super) fn has_what_it_needs(&self, service: &Expected) -> bool {
        service.needs.iter().all(|need| self.serves(need))
    }

    pub(crate) fn serves(&self, service: &ServiceName) -> bool {
        // What the release leaves out is not waited for.
        self.workload(service).is_none_or(|workload| number(workload, "/status/readyReplicas") > 0)
    }
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// The uid of what controls an object.
fn owner(object: &Value) -> Option<&str> {
    let owners = list(object, "/metadata/ownerReferences");
    owners.iter().find(|owner| owner["controller"] == true)?["uid"].as_str()
}

/// When an event was seen last.
pub(crate) fn when(event: &Value) -> &str {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().map(|time| text(event, time)).find(|time| !time.is_empty()).unwrap_or_default()
}

/// Whether the cluster has seen the workload as it is wanted now.
pub(crate) fn is_observed(workload: &Value) -> bool {
    number(workload, "/status/observedGeneration") >= number(workload, "/metadata/generation")
}

/// How many replicas a workload is to have.
pub(crate) fn wanted(workload: &Value) -> u64 {
    workload.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)
}

/// Whether a pod takes requests.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let says = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    list(pod, "/status/conditions").iter().any(says)
}

/// Whether all replicas are of the newest revision and ready, and no other is left.
pub(crate) fn is_complete(workload: &Value) -> bool {
    let want = wanted(workload);
    let are = |field: &str| number(workload, &format!("/status/{field}")) == want;
    let common = is_observed(workload) && are("updatedReplicas") && are("readyReplicas") && are("replicas");
    match text(workload, "/kind") {
        "StatefulSet" => {
            common && text(workload, "/status/currentRevision") == text(workload, "/status/updateRevision")
        }
        _ => common && are("availableReplicas"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(status: Value) -> Value {
        json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status})
    }

    #[test]
    fn a_workload_is_complete_when_only_its_newest_pods_are_there_and_all_serve() {
        let done = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
        assert!(is_complete(&deployment(done.clone())));
        for (field, value) in [
            ("observedGeneration", 1),
            ("replicas", 3),
            ("updatedReplicas", 1),
            ("readyReplicas", 1),
            ("availableReplicas", 1),
        ] {
            let mut other = done.clone();
            other[field] = json!(value);
            assert!(!is_complete(&deployment(other)), "{field}");
        }
        let nothing = json!({"kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}});
        assert!(is_complete(&nothing));
    }

    #[test]
    fn a_stateful_set_is_complete_when_its_revision_is_the_new_one() {
        let set = |current: &str| {
            json!({
                "kind": "StatefulSet", "metadata": {"generation": 1}, "spec": {"replicas": 1},
                "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "currentRevision": current, "updateRevision": "b"},
            })
        };
        assert!(is_complete(&set("b")));
        assert!(!is_complete(&set("a")));
    }
}
