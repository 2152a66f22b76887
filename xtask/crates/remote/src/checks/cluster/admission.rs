//! Whether a pod as the chart makes them would be let in. The cluster itself is asked, by a rehearsal that makes nothing:
//! its policies and whatever else has a say there answer in their own words.

use super::Subject;
use doctor::Finding;
use doctor::fix::Fix;
use kube::{Api, Refusal, path};
use serde_json::{Value, json};

const NAME: &str = "slipway-doctor";

pub(super) fn judge(subject: &Subject, api: &Api, image: &str) -> Finding {
    // A namespace that is not there yet has no policies of its own.
    let there = subject.needs.iter().map(|needs| needs.namespace.as_str());
    let there = there.into_iter().find(|name| matches!(api.get(&path::NAMESPACE.named(name)), Ok(Some(_))));
    let namespace = there.unwrap_or("default");
    let rehearsal = path::with_query(&path::POD.within(namespace), &[("dryRun", "All")]);
    let answer = api.create(&rehearsal, &pod(image, subject.environment.deployment_id.as_ref()));
    verdict(answer.err().as_ref(), namespace)
}

/// What every pod of the chart has in common.
fn pod(image: &str, deployment_id: &str) -> Value {
    let resources = json!({"cpu": "10m", "memory": "16Mi"});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": NAME, "labels": {
            "app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "Helm", "deployment_id": deployment_id,
        }},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": NAME, "image": image,
                "resources": {"requests": resources, "limits": resources},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "runAsUser": 65532, "runAsGroup": 65532, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

fn verdict(refusal: Option<&Refusal>, namespace: &str) -> Finding {
    let want = "a pod of the chart is admitted";
    let Some(refusal) = refusal else { return Finding::pass(format!("tried in `{namespace}`")).want(want) };
    let says = |words: &str| refusal.message.contains(words);
    if says("cannot create resource \"pods\"") {
        return Finding::skip("you may not create pods, as `cluster.rights` says");
    }
    // Webhooks that do more than look cannot be rehearsed with.
    if says("does not support dry run") {
        return Finding::skip(&refusal.message);
    }
    let fix = match (says("exceeded quota"), says("failed calling webhook")) {
        (true, _) => "ask the cluster's administrator for a wider quota".to_owned(),
        (_, true) => "the webhook must answer, or nothing is admitted: kubectl get validatingwebhookconfigurations,\
                      mutatingwebhookconfigurations"
            .to_owned(),
        _ => format!(
            "ask the cluster's administrator what its policy requires; the settings of a service: \
             `[services.NAME.container]`; namespace: `{namespace}`"
        ),
    };
    Finding::fail(&refusal.message).found(format!("refused in `{namespace}`")).want(want).fix([Fix::by_hand(fix)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use doctor::Outcome;

    fn judged(message: &str) -> Finding {
        let refusal = Refusal { status: 403, reason: "Forbidden".to_owned(), message: message.to_owned() };
        verdict(Some(&refusal), "shop")
    }

    #[test]
    fn a_policy_is_told_from_a_missing_right() {
        let right =
            r#"pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "shop""#;
        assert_eq!(judged(right).outcome, Outcome::Skip);
        let policy = judged(r#"admission webhook "validate.kyverno.svc" denied the request: label `team` is required"#);
        assert_eq!(policy.outcome, Outcome::Fail);
        assert!(policy.detail.is_some_and(|detail| detail.contains("label `team` is required")));
        let webhook = judged(r#"Internal error occurred: failed calling webhook "x": no endpoints available"#);
        assert!(webhook.fix[0].to_string().contains("webhook must answer"));
        assert_eq!(verdict(None, "shop").outcome, Outcome::Pass);
    }
}
