//! Pods without a node: none is large enough, none fits, or theirs is gone.

use super::super::evidence::{Evidence, Expected, Node};
use super::super::finding::Finding;
use super::super::quantity::{bytes, millis, written, written_cpu};
use super::table;
use kube::object::{is_going, list, text};
use serde_json::Value;
use std::time::Duration;

/// How long the scheduler may take to look again.
const ROOM: Duration = Duration::from_secs(5);
/// How long pods that are going may take to make room.
const GOING: Duration = Duration::from_secs(40);
/// How long a new node may take to come.
const NEW_NODE: Duration = Duration::from_secs(420);

/// Why the scheduler finds no node for a pod, volumes aside.
pub(super) fn unplaced(evidence: &Evidence, service: &Expected, pod: &Value) -> Option<Finding> {
    let said = unscheduled(pod)?;
    if said.contains("PersistentVolumeClaim")
        || said.contains("persistentvolumeclaim")
        || said.contains("persistent volumes to bind")
    {
        return None;
    }
    // The scheduler's word on what it could drive away tells nothing about the cause.
    let why =
        said.split_once(". no new claims").or_else(|| said.split_once(", preemption:")).map_or(said, |(why, _)| why);
    let why = why.split_once(". preemption:").map_or(why, |(why, _)| why).trim_end_matches('.');
    let asks = asks(evidence, pod, why).map(|asks| format!("; {asks}")).unwrap_or_default();
    let coming = |event: &&Value| matches!(text(event, "/reason"), "TriggeredScaleUp" | "Nominated" | "Launched");
    let debounce = match () {
        () if evidence.events_of(pod).iter().any(coming) => NEW_NODE,
        () if evidence.pods.iter().any(is_going) => GOING,
        () => ROOM,
    };
    let hint = if asks.is_empty() {
        "`kubectl describe nodes` shows what each node has, and keeps away".to_owned()
    } else {
        format!("ask for less in {}, or add a node", table(evidence, service, ".container"))
    };
    let cause = format!("no node takes `{}`: {why}{asks}", service.name);
    Some(Finding::new("unschedulable", cause).hint(hint).debounce(debounce))
}

/// What the scheduler says of a pod that it has no place for.
pub(super) fn unscheduled(pod: &Value) -> Option<&str> {
    let is = |condition: &&Value| {
        condition["type"] == "PodScheduled" && condition["status"] == "False" && condition["reason"] == "Unschedulable"
    };
    list(pod, "/status/conditions").iter().find(is).map(|condition| text(condition, "/message"))
}

/// What the pod asks for and the nodes have, where that is the matter.
fn asks(evidence: &Evidence, pod: &Value, why: &str) -> Option<String> {
    let nodes: Vec<&Node> = evidence.nodes.iter().filter(|node| node.is_ready && node.takes_pods).collect();
    let (wants_cpu, wants_memory) = requests(pod);
    let sentence =
        |wants: u64, has: &dyn Fn(&Node) -> u64, taken: &dyn Fn(&Node) -> u64, show: &dyn Fn(u64) -> String| {
            let largest = nodes.iter().map(|node| has(node)).max();
            let free = nodes.iter().map(|node| has(node).saturating_sub(taken(node))).max();
            match (largest, free) {
                (Some(largest), _) if wants > largest => {
                    format!("it wants {}, the largest node has {}", show(wants), show(largest))
                }
                (_, Some(free)) => format!("it wants {}, the most that a node has free is {}", show(wants), show(free)),
                _ => format!("it wants {}", show(wants)),
            }
        };
    if why.contains("Insufficient memory") {
        return Some(sentence(wants_memory, &|node| node.memory, &|node| node.memory_taken, &|n| {
            format!("{} of memory", written(n))
        }));
    }
    let cpu = |n| format!("{} of processors", written_cpu(n));
    why.contains("Insufficient cpu").then(|| sentence(wants_cpu, &|node| node.cpu, &|node| node.cpu_taken, &cpu))
}

/// What all containers of a pod ask for together: processors in thousandths, memory in bytes.
pub(in super::super) fn requests(pod: &Value) -> (u64, u64) {
    let of = |container: &Value| {
        let request = |what: &str| text(container, &format!("/resources/requests/{what}")).to_owned();
        (millis(&request("cpu")).unwrap_or_default(), bytes(&request("memory")).unwrap_or_default())
    };
    let add = |(cpu, memory): (u64, u64), container| {
        let (more_cpu, more_memory) = of(container);
        (cpu.saturating_add(more_cpu), memory.saturating_add(more_memory))
    };
    list(pod, "/spec/containers").iter().fold((0, 0), add)
}

/// A pod whose node sent it away, or does not answer any more.
pub(super) fn lost(evidence: &Evidence, service: &Expected, pod: &Value) -> Option<Finding> {
    let reason = text(pod, "/status/reason");
    let who = &service.name;
    if matches!(
        reason,
        "Evicted" | "NodeLost" | "NodeShutdown" | "Terminated" | "NodeAffinity" | "UnexpectedAdmissionError"
    ) {
        let said = text(pod, "/status/message");
        let cause = format!("the node of `{who}` evicted it: {said}");
        return Some(Finding::new("node-gone", cause).hint("`kubectl get nodes` shows their state").debounce(ROOM));
    }
    let node = text(pod, "/spec/nodeName");
    let gone = evidence.nodes.iter().find(|other| other.name == node && !other.is_ready)?;
    let cause = format!("the node `{}`, where `{who}` is to run, does not answer", gone.name);
    Some(Finding::new("node-gone", cause).hint(format!("`kubectl describe node {}` says since when", gone.name)))
}
