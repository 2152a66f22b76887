//! The pod that tries, as data: it passes the *restricted* Pod Security Standard, serves nobody and ends by itself.

use super::trial::{Trial, Verdict};
use crate::names::{DEPLOYMENT, MANAGED_BY, Names, OURS};
use crate::pods::TRIAL;
use kube::object;
use kube::path;
use model::container::NONROOT;
use serde_json::{Value, json};
use shim::edge;
use std::net::SocketAddr;

/// A condition that nobody sets, so that no Service leads to the pod, whatever its labels.
const NEVER: &str = "slipway/never";
/// How long it may be there, in seconds.
const LIFE: u64 = 60;

/// How often the edge's program tries where it is to get through: it tries once, and is started again.
const EDGE_TRIES: u64 = 3;

/// What of an image tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// The program of a service of this repository.
    Own,
    /// That of the edge, where all else is other people's images.
    Edge,
}

/// An image whose program can try, and what its pods need to run where it runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Program {
    pub(super) tool: Tool,
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
            tool: Tool::Own,
            image: object::text(pod, "/spec/containers/0/image").to_owned(),
            namespace: object::namespace(pod).to_owned(),
            pull_secrets: pod["spec"]["imagePullSecrets"].clone(),
            node: object::text(pod, "/spec/nodeName").to_owned(),
            node_selector: pod["spec"]["nodeSelector"].clone(),
            tolerations: pod["spec"]["tolerations"].clone(),
        }
    }

    /// That of the edge, beside the pod of any service.
    pub(super) fn edge(image: String, beside: &Value) -> Self {
        Self { tool: Tool::Edge, image, pull_secrets: Value::Null, ..Self::of(beside) }
    }

    /// What a container of it came to that has ended so many times; nothing where it is to try again. Or why it could not
    /// try.
    pub(super) fn verdict(&self, trial: &Trial, ended: &Value, times: u64) -> Result<Option<Verdict>, String> {
        let words = object::text(ended, "/message").trim().to_owned();
        let code = object::number(ended, "/exitCode");
        let reached = match self.tool {
            // Any other end is that of a program that could not run.
            Tool::Own => (code < 2).then_some(code == 0),
            Tool::Edge => edge::reached(code == 0, &words),
        };
        match reached {
            Some(true) => Ok(Some(Verdict::Reached)),
            Some(false) if self.tries_again(trial) && times < EDGE_TRIES => Ok(None),
            Some(false) => Ok(Some(Verdict::Refused(words))),
            None => Err(format!("exit code {code}: {words}")),
        }
    }

    /// Whether its container is started again when it did not get through.
    fn tries_again(&self, trial: &Trial) -> bool {
        self.tool == Tool::Edge && trial.admitted
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
            "restartPolicy": if self.tries_again(trial) { "OnFailure" } else { "Never" },
            "readinessGates": [{"conditionType": NEVER}],
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [self.container(trial, to)],
            "affinity": near(&self.node),
            "nodeSelector": self.node_selector,
            "tolerations": self.tolerations,
        });
        if self.tool == Tool::Edge {
            spec["securityContext"]["runAsUser"] = json!(NONROOT.uid);
        }
        if trial.namespace == self.namespace {
            spec["imagePullSecrets"] = self.pull_secrets.clone();
        }
        json!({
            "apiVersion": "v1", "kind": path::POD.name,
            "metadata": {"name": name, "namespace": trial.namespace, "labels": labels}, "spec": spec,
        })
    }

    fn container(&self, trial: &Trial, to: SocketAddr) -> Value {
        let (args, memory) = match self.tool {
            // The network may hear of a new pod only after it has begun: who is to get through tries again.
            Tool::Own => {
                let again = trial.admitted.then(|| "--again".to_owned());
                (["reach".to_owned()].into_iter().chain(again).chain([to.to_string()]).collect(), "32Mi")
            }
            Tool::Edge => (edge::reach(to), "128Mi"),
        };
        json!({
            "name": "reach", "image": self.image, "args": args,
            "imagePullPolicy": "IfNotPresent",
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": {
                "requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": memory},
            },
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
        })
    }
}

/// Where the image is already, if there is room.
fn near(node: &str) -> Value {
    let name = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let preferred = json!([{"weight": 100, "preference": {"matchFields": [name]}}]);
    json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(admitted: bool) -> Trial {
        Trial { from: String::new(), namespace: "shop".to_owned(), labels: serde_json::Map::new(), admitted }
    }

    #[test]
    fn the_edge_s_program_tries_once_and_is_started_again_where_it_is_to_get_through() {
        let edge = Program::edge("traefik".to_owned(), &json!({"metadata": {"namespace": "shop"}}));
        let refused = json!({"exitCode": 1, "message": "Error calling healthcheck: dial tcp: connection refused\n"});
        let words = "Error calling healthcheck: dial tcp: connection refused".to_owned();
        assert_eq!(edge.verdict(&trial(true), &refused, 2), Ok(None));
        for (admitted, times) in [(true, 3), (false, 1)] {
            let verdict = edge.verdict(&trial(admitted), &refused, times);
            assert_eq!(verdict, Ok(Some(Verdict::Refused(words.clone()))));
        }
        let answered = json!({"exitCode": 1, "message": "Bad healthcheck status: 404 Not Found"});
        assert_eq!(edge.verdict(&trial(true), &answered, 1), Ok(Some(Verdict::Reached)));
        let missing = json!({"exitCode": 127, "message": "not found"});
        assert_eq!(edge.verdict(&trial(false), &missing, 1), Err("exit code 127: not found".to_owned()));
    }
}
