//! Reads evidence from the cluster: a little while a release is watched, all of it once something has failed.

use super::super::Kubernetes;
use super::super::names;
use super::evidence::{Container, Evidence, Expected, Log, Node};
use super::judge::requests;
use super::{judge, sockets};
use base::redact::Redactor;
use engine::plan::runner::StepCx;
use kube::object::{label, list, name, text};
use kube::{Api, Refusal, path};
use model::name::SystemName;
use serde_json::{Value, json};
use shim::ports::Sockets;
use std::collections::BTreeMap;

/// How many lines of a log are read.
const TAIL: &str = "200";
/// How many containers' logs are read, the failing ones first.
const LOGS: usize = 24;
/// How much of an answer to a probe is kept.
const ANSWER: usize = 300;

/// Why the API itself refuses to ask a pod; other reasons are the program's own words.
const OF_THE_API: [&str; 7] =
    ["ServiceUnavailable", "Forbidden", "NotFound", "InternalError", "Timeout", "Unauthorized", "BadRequest"];

/// What a system's evidence is read from.
pub(crate) struct Source<'a> {
    pub api: &'a Api,
    pub namespace: &'a str,
    /// What its objects say they are of.
    pub release: &'a str,
    /// `None` for what the platform needs itself.
    pub system: Option<&'a SystemName>,
    pub services: &'a [Expected],
}

impl Source<'_> {
    fn list(&self, kind: path::Kind) -> Result<Vec<Value>, Refusal> {
        let selector = format!("{}={}", names::INSTANCE, self.release);
        let mut found = self.api.list(&kind.within(self.namespace), &selector)?;
        found.retain(|object| self.concerns(label(object, names::SERVICE)));
        Ok(found)
    }

    /// Whether it is about a service. One that its system does not declare any more, and that stays until what takes its
    /// place is proven, is none of it.
    fn concerns(&self, service: &str) -> bool {
        let is_expected = |expected: &Expected| expected.name.as_str() == service;
        self.system.is_none() || service.is_empty() || self.services.iter().any(is_expected)
    }

    /// The workloads alone: enough to tell that all is well.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub(crate) fn workloads(&self) -> Result<Evidence, Refusal> {
        Ok(Evidence {
            system: self.system.cloned(),
            services: self.services.to_vec(),
            deployments: self.list(path::DEPLOYMENT)?,
            stateful_sets: self.list(path::STATEFUL_SET)?,
            ..Evidence::default()
        })
    }

    /// What the workloads are made of, beside them.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub(crate) fn details(&self, workloads: Evidence) -> Result<Evidence, Refusal> {
        let claims = if workloads.stateful_sets.is_empty() {
            Vec::new()
        } else {
            self.api.list(&path::CLAIM.within(self.namespace), "")?
        };
        Ok(Evidence {
            replica_sets: self.list(path::REPLICA_SET)?,
            pods: self.list(path::POD)?,
            events: self.api.list(&path::EVENT.within(self.namespace), "")?,
            claims,
            ..workloads
        })
    }
}

/// All there is to know; where pods listen is not asked again when it is known. What cannot be read is left out: half of it is better than none.
///
/// # Errors
/// When the workloads themselves cannot be read.
pub(crate) fn everything(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    source: &Source<'_>,
    redactor: &Redactor,
    sockets: &BTreeMap<String, Sockets>,
) -> Result<Evidence, Refusal> {
    cx.status("gathering what tells the cause");
    let mut evidence = source.details(source.workloads()?)?;
    evidence.nodes = nodes(source.api).unwrap_or_default();
    evidence.quotas = source.api.list(&path::QUOTA.within(source.namespace), "").unwrap_or_default();
    let others =
        [path::SERVICE, path::INGRESS, path::AUTOSCALER, path::BUDGET, path::NETWORK_POLICY, path::ENDPOINT_SLICE];
    evidence.others = others.into_iter().flat_map(|kind| source.list(kind).unwrap_or_default()).collect();
    evidence.logs = logs(source, &evidence, redactor);
    evidence.answers = answers(source, &evidence, redactor);
    evidence.sockets = if sockets.is_empty() { listeners(core, cx, source, &evidence) } else { sockets.clone() };
    Ok(evidence)
}

/// What listens in the pods whose probes find nobody; of several that fail in the same way, one is looked into.
pub(crate) fn listeners(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    source: &Source<'_>,
    evidence: &Evidence,
) -> BTreeMap<String, Sockets> {
    let mut found = BTreeMap::new();
    for service in source.services {
        let refused = |container: &Container<'_>| {
            container.is_running()
                && judge::answer(evidence, *container).is_some_and(|said| said.contains("connection refused"))
        };
        let mut containers = evidence.pods_of(&service.name).flat_map(|pod| evidence.containers(pod));
        let Some(container) = containers.find(refused) else { continue };
        let Some(seen) = sockets::look(core, cx, source, evidence, container) else { continue };
        // The others run the same program with the same settings.
        found.extend(evidence.pods_of(&service.name).map(|pod| (name(pod).to_owned(), seen.clone())));
    }
    found
}

fn logs(source: &Source<'_>, evidence: &Evidence, redactor: &Redactor) -> BTreeMap<(String, String), Log> {
    let mut containers: Vec<Container<'_>> = evidence.newest().flat_map(|pod| evidence.containers(pod)).collect();
    containers.sort_by_key(Container::is_ready);
    let mut logs = BTreeMap::new();
    for container in containers.into_iter().take(LOGS) {
        let pod = name(container.pod);
        let read = |previous: &str| {
            let path = format!("{}/log", path::POD.at(source.namespace, pod));
            let query = [("container", container.name()), ("tailLines", TAIL), ("previous", previous)];
            source.api.text(&path::with_query(&path, &query)).map(|text| redactor.foreign(&text)).unwrap_or_default()
        };
        let current = if container.is_running() || container.ended().is_some() { read("") } else { String::new() };
        let previous = if container.ends() > 0 { read("true") } else { String::new() };
        logs.insert((pod.to_owned(), container.name().to_owned()), Log { current, previous });
    }
    logs
}

/// What pods answer to their readiness probes beyond the status, asked through the API.
fn answers(source: &Source<'_>, evidence: &Evidence, redactor: &Redactor) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    for service in source.services {
        for container in evidence.pods_of(&service.name).flat_map(|pod| evidence.containers(pod)) {
            let refuses = judge::answer(evidence, container).is_some_and(|said| said.contains("statuscode"));
            let asked = text(container.spec, "/readinessProbe/httpGet/path");
            if container.is_ready() || !container.is_running() || !refuses || asked.is_empty() {
                continue;
            }
            let pod = name(container.pod);
            let Some(port) = judge::port(service, container) else { continue };
            let path = format!("{}/proxy{asked}", path::POD.at(source.namespace, &format!("{pod}:{port}")));
            let Err(refusal) = source.api.text(&path) else { continue };
            if refusal.status != 0 && !OF_THE_API.contains(&refusal.reason.as_str()) {
                answers.insert(pod.to_owned(), redactor.foreign(&essence(&refusal.message)));
            }
            break;
        }
    }
    answers
}

/// An answer on a line; of a page its title.
fn essence(answer: &str) -> String {
    let title = answer.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let said = title.map_or(answer, |(title, _)| title);
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ").chars().take(ANSWER).collect()
}

fn nodes(api: &Api) -> Result<Vec<Node>, Refusal> {
    let pods = api.list(&path::POD.everywhere(), "").unwrap_or_default();
    let nodes = api.list(&path::NODE.everywhere(), "")?;
    Ok(nodes.iter().map(|node| summary(node, &pods)).collect())
}

/// What a node has, and what the pods on it have asked for.
fn summary(node: &Value, pods: &[Value]) -> Node {
    let amount = |what: &str| text(node, &format!("/status/allocatable/{what}")).to_owned();
    let is_over = |pod: &&Value| matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    let here = pods.iter().filter(|pod| text(pod, "/spec/nodeName") == name(node) && !is_over(pod));
    let (cpu_taken, memory_taken) = here.map(requests).fold((0, 0), |(c, m), (cpu, memory)| (c + cpu, m + memory));
    let keeps_away = |taint: &Value| matches!(text(taint, "/effect"), "NoSchedule" | "NoExecute");
    Node {
        name: name(node).to_owned(),
        is_ready: list(node, "/status/conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True"),
        takes_pods: node.pointer("/spec/unschedulable") != Some(&json!(true))
            && !list(node, "/spec/taints").iter().any(keeps_away),
        cpu: super::quantity::millis(&amount("cpu")).unwrap_or_default(),
        memory: super::quantity::bytes(&amount("memory")).unwrap_or_default(),
        cpu_taken,
        memory_taken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_on_a_line() {
        assert_eq!(essence("{\n  \"reason\": \"no queue\"\n}\n"), "{ \"reason\": \"no queue\" }");
        assert_eq!(essence("<html>\n<head><title>404 Not Found</title></head>"), "404 Not Found");
        assert_eq!(essence(&"x".repeat(1000)).len(), ANSWER);
    }

    #[test]
    fn a_node_is_summed_up_with_what_its_pods_ask_for() {
        let node = json!({
            "metadata": {"name": "a"}, "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}, "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let pod = |node: &str, phase: &str| {
            let container = json!({"resources": {"requests": {"cpu": "250m", "memory": "1Gi"}}});
            json!({"spec": {"nodeName": node, "containers": [container, container]}, "status": {"phase": phase}})
        };
        let pods = [pod("a", "Running"), pod("a", "Succeeded"), pod("b", "Running")];
        let expected = Node {
            name: "a".to_owned(),
            is_ready: true,
            takes_pods: false,
            cpu: 2000,
            memory: 4 << 30,
            cpu_taken: 500,
            memory_taken: 2 << 30,
        };
        assert_eq!(summary(&node, &pods), expected);
    }
}
