//! The pod that tries, as data: it passes the *restricted* Pod Security Standard, serves nobody and ends by itself.

use super::trial::Trial;
use crate::names::{DEPLOYMENT, MANAGED_BY, Names, OURS};
use crate::pods::TRIAL;
use kube::object;
use kube::path;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A condition that nobody sets, so that no Service leads to the pod, whatever its labels.
const NEVER: &str = "slipway/never";
/// How long it may be there, in seconds.
const LIFE: u64 = 60;

/// An image whose program can try, and what its pods need to run where it runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Program {
    image: String,
    namespace: String,
    pull_secrets: Value,
    node: String,
    node_selector: Value,
    tolerations: Value,
}

impl Program {
    /// That of a pod of a service of this repository.
    pub(super) fn of(pod: &Value) -> Self {
        Self {
            image: object::text(pod, "/spec/containers/0/image").to_owned(),
            namespace: object::namespace(pod).to_owned(),
            pull_secrets: pod["spec"]["imagePullSecrets"].clone(),
            node: object::text(pod, "/spec/nodeName").to_owned(),
            node_selector: pod["spec"]["nodeSelector"].clone(),
            tolerations: pod["spec"]["tolerations"].clone(),
        }
    }

    pub(super) fn pod(&self, names: &Names, trial: &Trial, name: &str, to: SocketAddr) -> Value {
        let mut labels = trial.labels.clone();
        labels.insert(DEPLOYMENT.to_owned(), json!(names.id));
        labels.insert(MANAGED_BY.to_owned(), json!(OURS));
        labels.insert(TRIAL.to_owned(), json!("true"));
        let mut spec = json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "activeDeadlineSeconds": LIFE,
            "terminationGracePeriodSeconds": 1,
            "restartPolicy": "Never",
            "readinessGates": [{"conditionType": NEVER}],
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container(&self.image, trial, to)],
            "affinity": near(&self.node),
            "nodeSelector": self.node_selector,
            "tolerations": self.tolerations,
        });
        if trial.namespace == self.namespace {
            spec["imagePullSecrets"] = self.pull_secrets.clone();
        }
        json!({
            "apiVersion": "v1", "kind": path::POD.name,
            "metadata": {"name": name, "namespace": trial.namespace, "labels": labels}, "spec": spec,
        })
    }
}

fn container(image: &str, trial: &Trial, to: SocketAddr) -> Value {
    let mut args = vec!["reach".to_owned()];
    // The network may hear of a new pod only after it has begun: who is to get through tries again.
    args.extend(trial.admitted.then(|| "--again".to_owned()));
    args.push(to.to_string());
    json!({
        "name": "reach", "image": image, "args": args,
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "32Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
    })
}

/// Where the image is already, if there is room.
fn near(node: &str) -> Value {
    let name = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let preferred = json!([{"weight": 100, "preference": {"matchFields": [name]}}]);
    json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
}
