//! The Ingresses of the deployment's class and its Services with a load balancer that are still in the cluster, and the controller that has to clear their finalizers.

use crate::ingress::CLASS;
use crate::{Eks, controller};
use anyhow::Result;
use engine::deployment::Scope;
use kube::object;
use kube::path::{INGRESS, POD, SERVICE};
use serde_json::Value;

/// What the controller's finalizers have in their names, alone and in a group (`ingress.k8s.aws/resources`,
/// `group.ingress.k8s.aws/NAME`).
const FINALIZER: &str = "ingress.k8s.aws/";

/// The same on a Service.
const OF_SERVICES: &str = "service.k8s.aws/";

/// An Ingress or a Service that keeps something on AWS.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) finalizer: String,
    /// Somebody has asked for its removal.
    pub(super) is_going: bool,
}

impl Held {
    /// "`Ingress epoch/epoch`, which waits for the finalizer `…`"
    pub(super) fn told(&self) -> String {
        match self.is_going {
            true => format!("`{}` waits for the finalizer `{}`", self.title(), self.finalizer),
            false => format!("`{}` exists and is not being deleted", self.title()),
        }
    }

    /// "Ingress epoch/epoch"
    pub(super) fn title(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Those in the namespaces of a scope, or all of the class and of the deployment.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn held(eks: &Eks, scope: &Scope) -> Result<Vec<Held>> {
    let cluster = &eks.deployment().environment.cluster;
    let class = cluster.ingress_class.as_deref().unwrap_or_default();
    let api = eks.core.access.api()?;
    let told = |refusal| kube::fault("look for what has a load balancer", &refusal);
    let ingresses = api.list(&INGRESS.everywhere(), "").map_err(told)?;
    let of_deployment = format!("deployment_id={}", eks.deployment().environment.deployment_id);
    let services = api.list(&SERVICE.everywhere(), &of_deployment).map_err(told)?;
    let services = services.iter().filter_map(|service| held_by("Service", service, OF_SERVICES));
    let in_scope = |held: &Held| {
        scope.everything || scope.systems.iter().any(|system| eks.core.names.namespace(system) == held.namespace)
    };
    let ingresses = ingresses.iter().filter_map(|ingress| read(ingress, class));
    Ok(ingresses.chain(services).filter(in_scope).collect())
}

fn read(ingress: &Value, class: &str) -> Option<Held> {
    let own = object::text(ingress, "/spec/ingressClassName") == class || object::annotation(ingress, CLASS) == class;
    held_by("Ingress", ingress, FINALIZER).filter(|_| own)
}

fn held_by(kind: &'static str, found: &Value, word: &str) -> Option<Held> {
    let mut finalizers = object::list(found, "/metadata/finalizers").iter().filter_map(Value::as_str);
    let finalizer = finalizers.find(|finalizer| finalizer.contains(word))?;
    Some(Held {
        kind,
        namespace: object::namespace(found).to_owned(),
        name: object::name(found).to_owned(),
        finalizer: finalizer.to_owned(),
        is_going: object::is_going(found),
    })
}

/// Whether a pod of the controller is ready, which alone lets go of anything.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn has_controller(eks: &Eks) -> Result<bool> {
    let found = eks.core.access.api()?.list(&POD.within(&controller::namespace(eks)), "");
    let found = found.map_err(|refusal| kube::fault("look for the load balancer controller", &refusal))?;
    Ok(found.iter().any(is_ready))
}

fn is_ready(pod: &Value) -> bool {
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    !object::is_going(pod) && object::list(pod, "/status/conditions").iter().any(ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_ingress_of_another_class_is_left_alone() {
        let ingress = |class: &str, finalizer: &str, going: Option<&str>| {
            let mut metadata = json!({"name": "a", "namespace": "n", "finalizers": [finalizer]});
            if let Some(going) = going {
                metadata["deletionTimestamp"] = json!(going);
            }
            json!({"metadata": metadata, "spec": {"ingressClassName": class}})
        };
        let found = read(&ingress("own", "ingress.k8s.aws/resources", Some("now")), "own").unwrap();
        assert_eq!(found.told(), "`Ingress n/a` waits for the finalizer `ingress.k8s.aws/resources`");
        assert!(!read(&ingress("own", "group.ingress.k8s.aws/a", None), "own").unwrap().is_going);
        assert_eq!(read(&ingress("alb", "ingress.k8s.aws/resources", None), "own"), None);
        assert_eq!(read(&ingress("own", "somebody.else/x", None), "own"), None);
        let service = json!({"metadata": {"name": "a", "namespace": "n", "finalizers": ["service.k8s.aws/resources"]}});
        let told = held_by("Service", &service, OF_SERVICES).unwrap().told();
        assert_eq!(told, "`Service n/a` exists and is not being deleted");
    }
}
