//! Whether the controller answers when the API server asks it about an Ingress. Until it does no Ingress can be made.

use super::super::ingress::CLASS;
use anyhow::Result;
use base::error::Fault;
use engine::plan::runner::StepCx;
use kube::object::list;
use kube::path;
use kubernetes::Kubernetes;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::Duration;

/// The name of the port of its Service.
const PORT: &str = "webhook-server";
/// How long it may take from ready pods to an answer: EndpointSlices, and what the API server's own network makes of them.
const WITHIN: Duration = Duration::from_secs(90);

/// Whether a pod that is ready stands behind the webhook.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn has_endpoints(core: &Kubernetes, namespace: &str) -> Result<bool> {
    let slices = core.access.api()?.list(&path::ENDPOINT_SLICE.within(namespace), "");
    let slices = slices.map_err(|refusal| kube::fault("look up the endpoints of the controller", &refusal))?;
    Ok(slices.iter().any(serves))
}

fn serves(slice: &Value) -> bool {
    let is_webhook = list(slice, "/ports").iter().any(|port| port["name"] == PORT);
    is_webhook && list(slice, "/endpoints").iter().any(|endpoint| endpoint["conditions"]["ready"] == true)
}

/// Waits until an Ingress of our class would be taken. None is made.
///
/// # Errors
/// `no-webhook`, with what the API server says last.
pub(super) fn wait(core: &Kubernetes, cx: &StepCx<'_>, namespace: &str, class: &str) -> Result<()> {
    let seen = RefCell::new("its webhook has no pod".to_owned());
    let api = core.access.api()?;
    let collection = path::with_query(&path::INGRESS.within(namespace), &[("dryRun", "All")]);
    let ask = || {
        if !has_endpoints(core, namespace)? {
            return Ok(None);
        }
        cx.status("ready; waiting for its webhook to answer");
        match api.create(&collection, &ingress(namespace, class)) {
            Ok(_) => Ok(Some(())),
            Err(refusal) => {
                seen.replace(refusal.message);
                Ok(None)
            }
        }
    };
    cx.wait_for(WITHIN, ask, || unanswered(namespace, &seen.borrow()))
}

fn ingress(namespace: &str, class: &str) -> Value {
    let backend = json!({"service": {"name": "nobody", "port": {"number": 80}}});
    json!({
        "apiVersion": path::INGRESS.version(), "kind": path::INGRESS.name,
        "metadata": {"name": "question", "namespace": namespace, "annotations": {CLASS: class}},
        "spec": {"defaultBackend": backend},
    })
}

fn unanswered(namespace: &str, seen: &str) -> Fault {
    let within = WITHIN.as_secs();
    let cause = format!("the load balancer controller is ready, but takes no Ingress within {within} s: {seen}");
    Fault::failed("no-webhook", cause).hint(format!(
        "the API server must reach its pods on port 9443 (security groups, NetworkPolicies): \
         `kubectl get endpointslices -n {namespace}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ready_pod_behind_the_webhook_counts() {
        let slice = |port: &str, ready: bool| json!({"ports": [{"name": port}], "endpoints": [{"conditions": {"ready": ready}}]});
        assert!(serves(&slice(PORT, true)));
        assert!(!serves(&slice(PORT, false)));
        assert!(!serves(&slice("metrics", true)));
        assert!(!serves(&json!({"ports": [{"name": PORT}], "endpoints": null})));
    }
}
