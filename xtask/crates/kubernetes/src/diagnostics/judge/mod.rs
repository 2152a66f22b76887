//! Judges evidence: every rule says what it recognises, and the likeliest cause comes first.
//!
//! Nothing is asked here. A rule that cannot tell yet whether waiting would mend something says how long to be patient.

mod create;
mod image;
mod place;
mod probe;
mod process;
mod start;
mod volume;

pub(super) use place::requests;
pub(in super::super) use probe::is_unheard;
pub(super) use probe::{answer, port};

use super::evidence::{Container, Evidence, Expected, is_complete, is_ready, wanted};
use super::finding::Finding;
use kube::object::{list, name, text};
use serde_json::Value;
use std::time::Duration;

/// From the likeliest to be the cause to the likeliest to be its consequence.
const RANKS: [&str; 15] = [
    "node-gone",
    "image-platform",
    "image-user",
    "image-pull",
    "config-missing",
    "no-storage-class",
    "volume-pending",
    "quota",
    "admission-refused",
    "unschedulable",
    "oom-killed",
    "wrong-port",
    "crash",
    "probe-failed",
    "not-ready",
];
/// How long nothing may happen to a service whose images and places are being got ready.
const STILL: Duration = Duration::from_secs(240);
/// Over what a service may take from start to ready, for the cluster to notice that it is.
const NOTICE: Duration = Duration::from_secs(10);

/// Everything that is wrong, or may turn out to be, with the newest release: the likeliest cause first, each service in
/// the order in which they need each other.
pub(crate) fn judge(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in &evidence.services {
        let mut own = judge_service(evidence, service);
        if own.is_empty() {
            own.extend(not_ready(evidence, service));
        }
        findings.extend(own.into_iter().map(|finding| Finding { service: Some(service.name.clone()), ..finding }));
    }
    findings.sort_by_key(|finding| {
        let place = evidence.services.iter().position(|service| finding.service.as_ref() == Some(&service.name));
        (is_weak(evidence, finding), place, rank(finding.code))
    });
    findings
}

/// Several pods fail of the same cause: one finding for each service and code, the first.
pub(crate) fn distinct(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        if !kept.iter().any(|other| other.code == finding.code && other.service == finding.service) {
            kept.push(finding);
        }
    }
    kept
}

fn rank(code: &str) -> usize {
    RANKS.iter().position(|other| *other == code).unwrap_or(RANKS.len())
}

/// Whether something else may well be the cause of it.
fn is_weak(evidence: &Evidence, finding: &Finding) -> bool {
    let waits = || {
        let service = evidence.services.iter().find(|service| finding.service.as_ref() == Some(&service.name));
        service.is_some_and(|service| !evidence.has_what_it_needs(service))
    };
    matches!(finding.code, "probe-failed" | "not-ready") || (finding.code == "crash" && waits())
}

fn judge_service(evidence: &Evidence, service: &Expected) -> Vec<Finding> {
    let mut findings: Vec<Finding> = evidence
        .workload(&service.name)
        .and_then(|workload| create::refused(evidence, service, workload))
        .into_iter()
        .collect();
    for pod in evidence.pods_of(&service.name) {
        let whole = [place::unplaced(evidence, service, pod), place::lost(evidence, service, pod)];
        findings.extend(whole.into_iter().flatten().map(|finding| about(finding, name(pod).to_owned())));
        findings.extend(volume::missing(evidence, service, pod).map(|finding| about(finding, name(pod).to_owned())));
        for container in evidence.containers(pod) {
            findings
                .extend(judge_container(evidence, service, container).map(|finding| about(finding, container.key())));
        }
    }
    findings
}

/// The first rule that recognises something about a container: later ones are about what comes later in its life.
fn judge_container(evidence: &Evidence, service: &Expected, container: Container<'_>) -> Option<Finding> {
    image::unpulled(evidence, service, container)
        .or_else(|| start::refused(service, container))
        .or_else(|| process::ended(evidence, service, container))
        .or_else(|| probe::failed(evidence, service, container))
}

fn about(finding: Finding, what: String) -> Finding {
    if finding.about.is_empty() { Finding { about: what, ..finding } } else { finding }
}

/// What is left to say about a service that is not as it should be.
fn not_ready(evidence: &Evidence, service: &Expected) -> Option<Finding> {
    let Some(workload) = evidence.workload(&service.name) else {
        let cause = format!("there is no workload for `{}`", service.name);
        return Some(Finding::new("not-ready", cause).debounce(STILL));
    };
    if is_complete(workload) {
        return None;
    }
    let (want, ready) = (wanted(workload), evidence.ready_of(&service.name));
    let states: Vec<String> = evidence.pods_of(&service.name).filter_map(|pod| state(evidence, pod)).collect();
    let seen = if states.is_empty() { "no pod of it is there".to_owned() } else { states.join(", ") };
    let runs = evidence.pods_of(&service.name).any(|pod| evidence.containers(pod).iter().any(Container::is_running));
    let debounce = if runs { STILL.min(service.ready_within + NOTICE * 3) } else { STILL };
    let cause = format!("`{}` has {ready} of {want} replicas ready; {seen}", service.name);
    // Whatever happens to it begins its debounce anew.
    let about = format!("{cause} {}", workload["status"]);
    Some(Finding::new("not-ready", cause).debounce(debounce).of(None, about))
}

/// What a pod that is not ready waits for, in the cluster's words.
pub(crate) fn state(evidence: &Evidence, pod: &Value) -> Option<String> {
    if is_ready(pod) {
        return None;
    }
    let waiting = evidence
        .containers(pod)
        .into_iter()
        .find(|container| !container.is_ready() && !container.waits_for().is_empty());
    let word = match waiting {
        Some(container) => container.waits_for(),
        None if evidence.containers(pod).iter().any(Container::is_running) => "running, not ready",
        None => match list(pod, "/status/conditions").iter().find(|condition| condition["status"] == "False") {
            Some(condition) if !text(condition, "/reason").is_empty() => text(condition, "/reason"),
            _ => text(pod, "/status/phase"),
        },
    };
    Some(format!("pod {}: {word}", name(pod)))
}

/// Where a service's table is.
fn table(evidence: &Evidence, service: &Expected, table: &str) -> String {
    let system = evidence.system.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("`[services.{}{table}]` of `deploy/systems/{system}.toml`", service.name)
}
