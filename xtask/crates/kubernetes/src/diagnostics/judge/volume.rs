//! Volumes that do not come, and files that cannot be put into a container.

use super::super::evidence::{Evidence, Expected};
use super::super::finding::Finding;
use super::start;
use kube::object::{list, name, text};
use serde_json::Value;
use std::time::Duration;

/// Somebody may be about to make it.
const SOON: Duration = Duration::from_secs(3);
/// How long a volume may take to be made and attached.
const MAKING: Duration = Duration::from_secs(150);

/// What a pod lacks to store in or to read from.
pub(super) fn missing(evidence: &Evidence, service: &Expected, pod: &Value) -> Option<Finding> {
    let claims = list(pod, "/spec/volumes").iter().map(|volume| text(volume, "/persistentVolumeClaim/claimName"));
    claims
        .filter(|claim| !claim.is_empty())
        .find_map(|claim| pending(evidence, service, claim))
        .or_else(|| unmounted(evidence, service, pod))
}

fn pending(evidence: &Evidence, service: &Expected, claim: &str) -> Option<Finding> {
    let object = evidence.claims.iter().find(|object| name(object) == claim)?;
    if text(object, "/status/phase") == "Bound" {
        return None;
    }
    let who = &service.name;
    let events = evidence.events_of(object);
    let said = events.iter().rev().find(|event| text(event, "/type") == "Warning").map(|event| text(event, "/message"));
    let class = text(object, "/spec/storageClassName");
    let hint =
        "`kubectl get storageclass` lists those that there are; `storage_class` in the environment's file chooses one";
    if said.is_some_and(|said| said.contains("storageclass") && said.contains("not found")) {
        let cause =
            format!("the volume of `{who}` is to be of the storage class `{class}`, which the cluster does not have");
        return Some(Finding::new("no-storage-class", cause).hint(hint).debounce(SOON));
    }
    if class.is_empty() && text(object, "/spec/volumeName").is_empty() {
        let cause = format!("the volume of `{who}` has no storage class, and the cluster no default one");
        return Some(Finding::new("no-storage-class", cause).hint(hint).debounce(SOON));
    }
    let newest = || events.last().map(|event| text(event, "/message"));
    let why = said.or_else(newest).unwrap_or("nothing was said about it yet");
    let cause = format!("the volume of `{who}` does not come from the storage class `{class}`: {why}");
    Some(
        Finding::new("volume-pending", cause)
            .hint(format!("`kubectl describe pvc {claim}` shows more"))
            .debounce(MAKING),
    )
}

fn unmounted(evidence: &Evidence, service: &Expected, pod: &Value) -> Option<Finding> {
    let has_begun = |status: &Value| status.pointer("/state/waiting").is_none();
    if list(pod, "/status/containerStatuses").iter().all(has_begun) {
        return None;
    }
    let failed = |event: &&&Value| matches!(text(event, "/reason"), "FailedMount" | "FailedAttachVolume");
    let events = evidence.events_of(pod);
    let said = events.iter().rev().find(failed).map(|event| text(event, "/message"))?;
    let started = list(pod, "/status/containerStatuses")
        .iter()
        .any(|status| text(status, "/state/waiting/reason") != "ContainerCreating");
    if started {
        return None;
    }
    let who = &service.name;
    let is_config = (said.contains("secret \"") || said.contains("configmap \"")) && said.contains("not found");
    if is_config || said.contains("references non-existent") {
        let why = said.split_once(" : ").map_or(said, |(_, why)| why);
        let cause = format!("`{who}` refers to a missing Secret, ConfigMap or key: {why}");
        return Some(Finding::new("config-missing", cause).hint(start::absent()).debounce(SOON));
    }
    let cause = format!("a volume of `{who}` cannot be mounted: {said}");
    Some(
        Finding::new("volume-pending", cause)
            .hint("a volume that is attached to another node must be detached there first")
            .debounce(MAKING),
    )
}
