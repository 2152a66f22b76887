//! The pods of a service.

use super::Kubernetes;
use super::names::{INSTANCE, SERVICE};
use crate::error::Fault;
use crate::kube::{self, object, path};
use crate::spec::name::ServiceName;
use anyhow::Result;
use serde_json::Value;

/// On pods that only try what the network lets through. They may have all labels of a service, and are not of it.
pub(super) const TRIAL: &str = "slipway/trial";

/// All of them, in whatever state, the oldest first.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn of_service(core: &Kubernetes, service: &ServiceName) -> Result<Vec<Value>> {
    let system = core.system_of(service).map(|system| &system.name);
    let system = system.ok_or_else(|| Fault::failed("no-service", format!("there is no service `{service}`")))?;
    let selector = format!("{SERVICE}={service},{INSTANCE}={system},!{TRIAL}");
    let pods = core.access.api()?.list(&path::POD.within(&core.names.namespace(system)), &selector);
    let mut pods = pods.map_err(|refusal| kube::fault(&format!("look for the pods of `{service}`"), &refusal))?;
    pods.sort_by(|a, b| (created(a), object::name(a)).cmp(&(created(b), object::name(b))));
    Ok(pods)
}

/// Those that serve, the newest first: while one version follows another that is the one to ask.
///
/// # Errors
/// Those of [`of_service`].
pub(super) fn serving(core: &Kubernetes, service: &ServiceName) -> Result<Vec<Value>> {
    let pods = of_service(core, service)?.into_iter().rev();
    Ok(pods.filter(|pod| is_ready(pod) && !object::is_going(pod)).collect())
}

pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = object::list(pod, "/status/conditions");
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
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
}
