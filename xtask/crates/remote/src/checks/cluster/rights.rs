//! What a deployment has to be allowed to do, asked by reviews of the cluster's own.

use super::Subject;
use doctor::Finding;
use doctor::fix::Fix;
use kube::Api;
use kubernetes::needs;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// A right: what may be done with which resources, of the cluster or of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Right {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    namespaced: bool,
}

const fn right(verb: &'static str, group: &'static str, resource: &'static str, namespaced: bool) -> Right {
    Right { verb, group, resource, namespaced }
}

/// Making stands for changing and removing, too: whoever may do one of these may do all, in every usual role.
const RIGHTS: [Right; 16] = [
    right("create", "", "namespaces", false),
    right("create", "", "secrets", true),
    right("create", "", "configmaps", true),
    right("create", "", "services", true),
    right("create", "", "serviceaccounts", true),
    right("create", "", "pods", true),
    right("get", "", "pods/log", true),
    right("list", "", "events", true),
    right("create", "apps", "deployments", true),
    right("create", "apps", "statefulsets", true),
    right("create", "autoscaling", "horizontalpodautoscalers", true),
    right("create", "policy", "poddisruptionbudgets", true),
    right("create", "networking.k8s.io", "ingresses", true),
    right("create", "networking.k8s.io", "networkpolicies", true),
    right("create", "rbac.authorization.k8s.io", "rolebindings", true),
    right("create", "coordination.k8s.io", "leases", true),
];

/// What the systems with jobs take beside these.
const OF_JOBS: [Right; 2] = [right("create", "batch", "jobs", true), right("create", "batch", "cronjobs", true)];

impl Right {
    /// `create deployments.apps`
    fn words(self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{} {}{dot}{}", self.verb, self.resource, self.group)
    }

    fn review(self, namespace: &str) -> Value {
        let (resource, sub) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let namespace = if self.namespaced { namespace } else { "" };
        json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": self.verb, "group": self.group, "resource": resource, "subresource": sub, "namespace": namespace,
            }},
        })
    }
}

pub(super) fn judge(subject: &Subject, api: &Api) -> Finding {
    let namespace =
        subject.needs.first().map_or_else(|| needs::home(&subject.environment), |needs| needs.namespace.clone());
    let has_jobs = subject.needs.iter().any(|needs| needs.has_jobs);
    let rights = RIGHTS.iter().chain(OF_JOBS.iter().filter(|_| has_jobs));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = |right: &'static Right| {
            let review = right.review(&namespace);
            (right, scope.spawn(move || api.create(REVIEWS, &review)))
        };
        let asked: Vec<_> = rights.map(ask).collect();
        asked.into_iter().map(|(right, asked)| (right, asked.join())).collect()
    });
    let wanted = answers.len();
    let mut refused = BTreeSet::new();
    for (right, answer) in answers {
        match answer {
            Ok(Ok(review)) if review["status"]["allowed"] == true => {}
            Ok(Ok(_)) => {
                refused.insert(right.words());
            }
            Ok(Err(refusal)) => {
                return Finding::warn(format!("the cluster does not say what is allowed: {}", refusal.message));
            }
            Err(_) => {}
        }
    }
    verdict(&refused, wanted, &namespace)
}

fn verdict(refused: &BTreeSet<String>, wanted: usize, namespace: &str) -> Finding {
    let want = format!("{wanted} rights");
    if refused.is_empty() {
        return Finding::pass(format!("all {wanted}")).want(want);
    }
    let list = refused.iter().cloned().collect::<Vec<_>>();
    let detail = format!("you may not, in `{namespace}`: {}", list.join(", "));
    let ask = "ask the cluster's administrator for the role `admin` in these namespaces and the right to make \
               namespaces";
    Finding::fail(detail).found(format!("{} missing", list.len())).want(want).fix([Fix::by_hand(ask)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_asked_for_as_the_cluster_has_it() {
        let log = right("get", "", "pods/log", true).review("shop");
        let attributes = &log["spec"]["resourceAttributes"];
        assert_eq!((&attributes["resource"], &attributes["subresource"]), (&json!("pods"), &json!("log")));
        assert_eq!(attributes["namespace"], "shop");
        let namespaces = RIGHTS[0].review("shop");
        assert_eq!(namespaces["spec"]["resourceAttributes"]["namespace"], "");
        assert_eq!(right("create", "apps", "deployments", true).words(), "create deployments.apps");
    }

    #[test]
    fn what_may_not_be_done_is_named() {
        use doctor::Outcome;
        assert_eq!(verdict(&BTreeSet::new(), 16, "shop").outcome, Outcome::Pass);
        let finding = verdict(&BTreeSet::from(["create secrets".to_owned()]), 16, "shop");
        assert_eq!(finding.detail.as_deref(), Some("you may not, in `shop`: create secrets"));
        assert_eq!((finding.outcome, finding.found.as_deref()), (Outcome::Fail, Some("1 missing")));
    }
}
