//! What a cluster is like: its version, what its nodes are, which classes of ingress and storage it has.

use anyhow::Result;
use base::error::Fault;
use kube::object::{annotation, list, name, text};
use kube::{Api, Refusal, path};
use model::container::Platform;
use serde_json::Value;

const DEFAULT_INGRESS: &str = "ingressclass.kubernetes.io/is-default-class";
const DEFAULT_STORAGE: &str = "storageclass.kubernetes.io/is-default-class";
/// What tells whether pods are measured; asked for itself, so that one that is down is not waited for.
const METRICS: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `(1, 34)`
    pub version: (u32, u32),
    /// What its nodes run, each once; others than these cannot be built for. Empty for whoever may not look at nodes.
    pub platforms: Vec<Platform>,
    /// Names and controllers, the default one first.
    pub ingress_classes: Vec<IngressClass>,
    /// Names, the default one first.
    pub storage_classes: Vec<String>,
    pub has_default_storage: bool,
    /// Whether pods are measured, which scaling takes.
    pub has_metrics: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressClass {
    pub name: String,
    /// `traefik.io/ingress-controller`
    pub controller: String,
    pub is_default: bool,
}

impl Facts {
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub fn read(api: &Api) -> Result<Self> {
        let ask = |what: &str, answer: Result<Vec<Value>, Refusal>| {
            answer.map_err(|refusal| kube::fault(&format!("look at the cluster's {what}"), &refusal))
        };
        let version = api.get("/version").map_err(|refusal| kube::fault("ask the cluster's version", &refusal))?;
        let nodes = match api.list(&path::NODE.everywhere(), "") {
            Err(refusal) if refusal.status == 403 => Vec::new(),
            answer => ask("nodes", answer)?,
        };
        let ingresses = ask("ingress classes", api.list(&path::INGRESS_CLASS.everywhere(), ""))?;
        let storages = ask("storage classes", api.list(&path::STORAGE_CLASS.everywhere(), ""))?;
        let default_first = |objects: Vec<Value>, key: &str| {
            let (default, others): (Vec<_>, Vec<_>) =
                objects.into_iter().partition(|object| annotation(object, key) == "true");
            (!default.is_empty(), default.into_iter().chain(others).collect::<Vec<_>>())
        };
        let (has_default_storage, storages) = default_first(storages, DEFAULT_STORAGE);
        let (_, ingresses) = default_first(ingresses, DEFAULT_INGRESS);
        Ok(Self {
            version: parse_version(&version.unwrap_or_default())?,
            platforms: platforms(&nodes),
            ingress_classes: ingresses.iter().map(IngressClass::of).collect(),
            storage_classes: storages.iter().map(|class| name(class).to_owned()).collect(),
            has_default_storage,
            has_metrics: has_metrics(api)?,
        })
    }
}

impl IngressClass {
    fn of(object: &Value) -> Self {
        Self {
            name: name(object).to_owned(),
            controller: text(object, "/spec/controller").to_owned(),
            is_default: annotation(object, DEFAULT_INGRESS) == "true",
        }
    }
}

/// Providers write `34+` for a version of their own.
fn parse_version(answer: &Value) -> Result<(u32, u32)> {
    let number = |key: &str| -> Option<u32> {
        let text = answer[key].as_str()?;
        text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let version = number("major").zip(number("minor"));
    let refused = || Fault::failed("cluster-refused", format!("the cluster's version is not one: {answer}"));
    version.ok_or_else(|| refused().into())
}

/// Nodes of an architecture that nothing is built for are left out, as nothing is placed on them.
pub(super) fn platforms(nodes: &[Value]) -> Vec<Platform> {
    let of = |node: &Value| {
        let part = |key: &str| text(node, &format!("/status/nodeInfo/{key}")).to_owned();
        format!("{}/{}", part("operatingSystem"), part("architecture")).parse().ok()
    };
    let mut platforms: Vec<Platform> = nodes.iter().filter_map(of).collect();
    platforms.sort();
    platforms.dedup();
    platforms
}

fn has_metrics(api: &Api) -> Result<bool> {
    match api.get(METRICS) {
        Ok(service) => Ok(service.as_ref().is_some_and(is_available)),
        // Whoever may not ask for the service may still use it.
        Err(refusal) if refusal.status == 403 => Ok(api.get("/apis/metrics.k8s.io/v1beta1").ok().flatten().is_some()),
        Err(refusal) => Err(kube::fault("ask whether the cluster measures its pods", &refusal).into()),
    }
}

fn is_available(service: &Value) -> bool {
    let conditions = list(service, "/status/conditions");
    conditions.iter().any(|condition| condition["type"] == "Available" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_provider_s_version_is_read() {
        assert_eq!(parse_version(&json!({"major": "1", "minor": "34"})).unwrap(), (1, 34));
        assert_eq!(parse_version(&json!({"major": "1", "minor": "30+"})).unwrap(), (1, 30));
        assert!(parse_version(&json!({"major": "", "minor": ""})).is_err());
    }

    #[test]
    fn platforms_are_named_once() {
        let node = |arch: &str| json!({"status": {"nodeInfo": {"operatingSystem": "linux", "architecture": arch}}});
        let found = platforms(&[node("arm64"), node("amd64"), node("arm64"), node("s390x")]);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["linux/amd64", "linux/arm64"]);
    }

    #[test]
    fn metrics_are_there_when_they_are_available() {
        let service = |status: &str| json!({"status": {"conditions": [{"type": "Available", "status": status}]}});
        assert!(is_available(&service("True")));
        assert!(!is_available(&service("False")) && !is_available(&json!({})));
    }
}
