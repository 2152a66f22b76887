//! The Ingresses of the deployment's class that are still in the cluster, and the controller that has to clear their finalizers.

use crate::ingress::CLASS;
use crate::{Eks, controller};
use anyhow::Result;
use engine::deployment::Scope;
use kube::object;
use kube::path::{INGRESS, POD};
use serde_json::Value;

/// What the controller's finalizers have in their names, alone and in a group (`ingress.k8s.aws/resources`,
/// `group.ingress.k8s.aws/NAME`).
const FINALIZER: &str = "ingress.k8s.aws/";

/// An Ingress that keeps something on AWS.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) finalizer: String,
    /// Somebody has asked for its removal.
    pub(super) is_going: bool,
}

impl Held {
    /// "`Ingress epoch/epoch`, which waits for the finalizer `…`"
    pub(super) fn told(&self) -> String {
        let (namespace, name, finalizer) = (&self.namespace, &self.name, &self.finalizer);
        match self.is_going {
            true => format!("`Ingress {namespace}/{name}` waits for the finalizer `{finalizer}`"),
            false => format!("`Ingress {namespace}/{name}` exists and is not being deleted"),
        }
    }
}

/// Those in the namespaces of a scope, or all of the class.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn held(eks: &Eks, scope: &Scope) -> Result<Vec<Held>> {
    let cluster = &eks.deployment().environment.cluster;
    let class = cluster.ingress_class.as_deref().unwrap_or_default();
    let found = eks.core.access.api()?.list(&INGRESS.everywhere(), "");
    let found = found.map_err(|refusal| kube::fault("look for Ingresses", &refusal))?;
    let in_scope = |held: &Held| {
        scope.everything || scope.systems.iter().any(|system| eks.core.names.namespace(system) == held.namespace)
    };
    Ok(found.iter().filter_map(|ingress| read(ingress, class)).filter(in_scope).collect())
}

fn read(ingress: &Value, class: &str) -> Option<Held> {
    let own = object::text(ingress, "/spec/ingressClassName") == class || object::annotation(ingress, CLASS) == class;
    let mut finalizers = object::list(ingress, "/metadata/finalizers").iter().filter_map(Value::as_str);
    let finalizer = finalizers.find(|finalizer| finalizer.contains(FINALIZER)).filter(|_| own)?;
    Some(Held {
        namespace: object::namespace(ingress).to_owned(),
        name: object::name(ingress).to_owned(),
        finalizer: finalizer.to_owned(),
        is_going: object::is_going(ingress),
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
    }
}
