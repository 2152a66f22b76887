//! Pods that the cluster refuses to make: quotas, security standards, webhooks.

use super::super::evidence::{Evidence, Expected, is_observed, when};
use super::super::finding::Finding;
use super::super::refusal::refusal;
use kube::object::{list, text};
use serde_json::Value;
use std::time::Duration;

/// What lacks only something that is just being made, or has to answer first, comes by itself.
const SOON: Duration = Duration::from_secs(30);
/// The controller tries again at once, and may then succeed.
const AGAIN: Duration = Duration::from_secs(2);

/// Why no pod of a workload can be made.
pub(super) fn refused(evidence: &Evidence, service: &Expected, workload: &Value) -> Option<Finding> {
    let said = if text(workload, "/kind") == "StatefulSet" {
        of_stateful_set(evidence, service, workload)?
    } else {
        of_deployment(evidence, workload)?
    };
    let found = refusal(&said);
    let code = match found.code {
        code @ ("quota" | "admission-refused") => code,
        _ => "admission-refused",
    };
    let waits = ["failed calling webhook", "serviceaccount", "not found", "object has been modified", "etcdserver"];
    let debounce = if waits.iter().any(|word| said.contains(word)) { SOON } else { AGAIN };
    let cause = format!("no pod of `{}` can be made: {}", service.name, essence(&said));
    Some(Finding::new(code, cause).hint(found.hint).debounce(debounce).of(None, format!("pods of {}", service.name)))
}

fn of_deployment(evidence: &Evidence, deployment: &Value) -> Option<String> {
    if !is_observed(deployment) {
        return None;
    }
    let failed = |object: &Value| {
        let mut conditions = list(object, "/status/conditions").iter();
        let failure =
            conditions.find(|condition| condition["type"] == "ReplicaFailure" && condition["status"] == "True")?;
        Some(text(failure, "/message").to_owned())
    };
    let sets = evidence.replica_sets.iter().filter(|set| evidence.is_newest_set(set));
    let of_deployment =
        |set: &&Value| text(set, "/metadata/ownerReferences/0/uid") == text(deployment, "/metadata/uid");
    sets.filter(of_deployment).find_map(failed)
}

/// It has no condition for that, only events, which outlive their cause: one counts while there are too few pods.
fn of_stateful_set(evidence: &Evidence, service: &Expected, set: &Value) -> Option<String> {
    let want = set.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    if evidence.pods_of(&service.name).count() as u64 >= want {
        return None;
    }
    let events = evidence.events_of(set);
    let newest = events.iter().max_by_key(|event| when(event))?;
    let message = text(newest, "/message");
    (text(newest, "/reason") == "FailedCreate")
        .then(|| message.split_once("error: ").map_or(message, |(_, why)| why).to_owned())
}

/// `pods "a-1" is forbidden: why` without the pod, which never was.
fn essence(said: &str) -> &str {
    said.split_once("is forbidden: ").map_or(said, |(_, why)| why)
}
