//! The pods of a service.

use super::Kubernetes;
use super::names::{INSTANCE, SERVICE};
use anyhow::Result;
use base::error::Fault;
use kube::object;
use kube::path;
use model::name::{ServiceName, SystemName};
use serde_json::Value;

/// On pods that only try what the network lets through. They may have all labels of a service, and are not of it.
pub(super) const TRIAL: &str = "slipway/trial";

/// All of them, in whatever state, the oldest first.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub fn of_service(core: &Kubernetes, service: &ServiceName) -> Result<Vec<Value>> {
    let system = core
        .owner_of(service)?
        .ok_or_else(|| Fault::failed("no-service", format!("there is no service `{service}`")))?;
    of(core, &system, service.as_str())
}

/// All those of a service or a job of a system, the oldest first.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub fn of(core: &Kubernetes, system: &SystemName, name: &str) -> Result<Vec<Value>> {
    let selector = format!("{SERVICE}={name},{INSTANCE}={system},!{TRIAL}");
    let pods = core.access.api()?.list(&path::POD.within(&core.names.namespace(system)), &selector);
    let mut pods = pods.map_err(|refusal| kube::fault(&format!("look for the pods of `{name}`"), &refusal))?;
    pods.sort_by(|a, b| (created(a), object::name(a)).cmp(&(created(b), object::name(b))));
    Ok(pods)
}

/// Those that serve, the newest first: while one version follows another that is the one to ask.
///
/// # Errors
/// Those of [`of_service`].
pub fn serving(core: &Kubernetes, service: &ServiceName) -> Result<Vec<Value>> {
    let pods = of_service(core, service)?.into_iter().rev();
    Ok(pods.filter(|pod| is_ready(pod) && !object::is_going(pod)).collect())
}

pub fn is_ready(pod: &Value) -> bool {
    let conditions = object::list(pod, "/status/conditions");
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// How often its containers were started again.
pub(super) fn restarts(pod: &Value) -> u64 {
    containers(pod).map(|container| object::number(container, "/restartCount")).sum()
}

/// Whether waiting alone will not mend it.
pub(super) fn is_broken(pod: &Value) -> bool {
    let waits_for = |container: &Value| {
        let reason = object::text(container, "/state/waiting/reason");
        !matches!(reason, "" | "ContainerCreating" | "PodInitializing")
    };
    object::text(pod, "/status/phase") == "Failed" || containers(pod).any(waits_for)
}

/// What keeps it from serving, as far as it says so itself.
pub fn trouble(pod: &Value) -> Option<String> {
    let conditions = object::list(pod, "/status/conditions");
    let unscheduled = conditions.iter().find(|it| it["type"] == "PodScheduled" && it["status"] == "False");
    let unscheduled = unscheduled.map(|it| object::text(it, "/message")).filter(|words| !words.is_empty());
    let said = Some(object::text(pod, "/status/message")).filter(|words| !words.is_empty());
    said.or(unscheduled).map(str::to_owned).or_else(|| containers(pod).find_map(container_trouble))
}

fn container_trouble(container: &Value) -> Option<String> {
    let waiting = |what: &str| object::text(container, &format!("/state/waiting/{what}"));
    let ended = ["/state/terminated", "/lastState/terminated"].into_iter();
    let ended = ended.filter_map(|place| container.pointer(place)).next();
    match (waiting("reason"), ended) {
        ("CrashLoopBackOff", Some(ended)) => Some(format!("it keeps crashing, {}", ending(ended))),
        ("" | "ContainerCreating" | "PodInitializing", _) => {
            let failed = container.pointer("/state/terminated").filter(|ended| object::number(ended, "/exitCode") != 0);
            failed.map(|ended| format!("it ended, {}", ending(ended)))
        }
        (reason, _) => match waiting("message") {
            "" => Some(reason.to_owned()),
            message => Some(format!("{reason}: {message}")),
        },
    }
}

/// `OOMKilled, exit code 137`
fn ending(terminated: &Value) -> String {
    let code = object::number(terminated, "/exitCode");
    match object::text(terminated, "/reason") {
        "" | "Error" | "Completed" => format!("exit code {code}"),
        reason => format!("{reason}, exit code {code}"),
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |list: &str| object::list(pod, &format!("/status/{list}")).iter();
    of("initContainerStatuses").chain(of("containerStatuses"))
}

fn created(pod: &Value) -> &str {
    object::text(pod, "/metadata/creationTimestamp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_serves_once_it_is_ready() {
        let pod = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert!(is_ready(&pod("True")) && !is_ready(&pod("False")) && !is_ready(&json!({})));
    }
    #[test]
    fn a_pod_says_what_is_wrong_with_it() {
        let of = |container: Value| {
            let pod = json!({"status": {"containerStatuses": [container]}});
            (is_broken(&pod), trouble(&pod))
        };
        assert_eq!(of(json!({"state": {"waiting": {"reason": "ContainerCreating"}}})), (false, None));
        let pull = json!({"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}});
        assert_eq!(of(pull), (true, Some("ErrImagePull: not found".to_owned())));
        let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let crash = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended});
        assert_eq!(of(crash), (true, Some("it keeps crashing, OOMKilled, exit code 137".to_owned())));
        // What it ended with before does not matter once it runs again.
        assert_eq!(of(json!({"state": {"running": {}}, "lastState": ended})), (false, None));
        let unscheduled = json!({"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"});
        let pod = json!({"status": {"phase": "Pending", "conditions": [unscheduled]}});
        assert_eq!(trouble(&pod).as_deref(), Some("0/1 nodes are available"));
    }
}
