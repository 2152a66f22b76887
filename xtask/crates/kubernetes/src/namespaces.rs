//! Namespaces that a deployment makes, and how they are told from those of others: by the label with its ID, or by the
//! UID that its ledger has. A namespace that was there before is used as it is and never removed.

use super::names::{DEPLOYMENT, Names};
use super::release_spec::WorkloadSpec;
use super::{Kubernetes, recorded, values};
use anyhow::Result;
use base::error::Fault;
use engine::ledger::Entry;
use kube::object;
use kube::object::{label, list};
use model::allowance::{Allowance, SecurityLevel};
use model::environment::Environment;
use model::name::SystemName;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

pub use engine::ledger::NAMESPACE;

/// How long a namespace that is being removed is waited for.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(180);

/// How a Pod Security Standard is applied, each with a label
/// (kubernetes.io/docs/concepts/security/pod-security-admission).
const MODES: [&str; 3] = ["enforce", "warn", "audit"];

/// What a namespace is to the deployment.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ownership {
    Absent,
    /// On its way out, and what holds it.
    Going(String),
    Ours(Value),
    /// Somebody made it without saying for which deployment.
    Foreign,
    /// Another deployment's, by its ID.
    Taken(String),
}

impl Ownership {
    /// `made` are the ledger's entries.
    pub(super) fn of(found: Option<Value>, names: &Names, made: &[Entry]) -> Self {
        let Some(found) = found else { return Self::Absent };
        if object::is_going(&found) {
            return Self::Going(what_holds(&found));
        }
        // A label is easily lost.
        let same = |entry: &Entry| {
            entry.kind == NAMESPACE
                && entry.identity["uid"].is_string()
                && entry.identity["uid"] == found["metadata"]["uid"]
        };
        match label(&found, DEPLOYMENT) {
            id if id == names.id => Self::Ours(found),
            "" if made.iter().any(same) => Self::Ours(found),
            "" => Self::Foreign,
            other => Self::Taken(other.to_owned()),
        }
    }
}

/// The standard that the pods of a system take: the strictest, unless its services are allowed more, or were when it was
/// proven last: what that would go back to has to fit as well.
///
/// # Errors
/// When the records cannot be read.
pub(super) fn level(core: &Kubernetes, system: &SystemName, parts: &[WorkloadSpec]) -> Result<SecurityLevel> {
    let there = core.platform.is_there()?;
    let released = if there { recorded::released(core, system)? } else { BTreeMap::new() };
    let released = released.values().filter_map(values::allowed_in).map(|allow| allow.level());
    Ok(released.chain([wanted_level(parts)]).max().unwrap_or(SecurityLevel::Restricted))
}

/// The standard that these parts take by themselves.
pub(super) fn wanted_level(parts: &[WorkloadSpec]) -> SecurityLevel {
    let levels = parts.iter().filter_map(|part| part.service.container.allow.as_ref()).map(Allowance::level);
    levels.max().unwrap_or(SecurityLevel::Restricted)
}

/// The namespace as it is made.
pub(super) fn object(names: &Names, name: &str, system: Option<&SystemName>, level: SecurityLevel) -> Value {
    let mut labels = names.labels(system);
    for mode in MODES {
        labels[format!("pod-security.kubernetes.io/{mode}")] = json!(level.as_str());
        labels[format!("pod-security.kubernetes.io/{mode}-version")] = json!("latest");
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// The same for what belongs to somebody who needs more on it.
pub(super) fn with_labels(mut object: Value, labels: BTreeMap<String, String>) -> Value {
    for (key, value) in labels {
        object["metadata"]["labels"][key] = json!(value);
    }
    object
}

/// Whether it carries every label that it was made with.
pub(super) fn is_labelled(found: &Value, wanted: &Value) -> bool {
    let labels = wanted["metadata"]["labels"].as_object();
    labels.is_some_and(|labels| labels.iter().all(|(key, value)| label(found, key) == value))
}

/// The ledger's entry of one that is made, or is about to be.
pub(super) fn entry(name: &str, system: Option<&SystemName>, made: Option<&Value>) -> Entry {
    let uid = made.map_or(Value::Null, |made| made["metadata"]["uid"].clone());
    Entry {
        kind: NAMESPACE.to_owned(),
        id: name.to_owned(),
        system: system.map(ToString::to_string),
        identity: json!({"name": name, "uid": uid}),
    }
}

/// "namespace `shop` belongs to deployment `other`"
pub(super) fn taken(environment: &Environment, name: &str, owner: &str) -> Fault {
    let cause = match owner {
        "" => format!("namespace `{name}` was there before and is not this deployment's"),
        owner => format!("namespace `{name}` belongs to deployment `{owner}`"),
    };
    let deploy = environment.command("deploy");
    let hint =
        format!("give the namespaces of this deployment names of their own: `{deploy} --set namespace_prefix=NAME-`");
    Fault::failed("namespace-taken", cause).hint(hint)
}

/// That one does not go.
pub(super) fn stuck(name: &str, holds: &str) -> Fault {
    let cause =
        format!("namespace `{name}` is being removed and is not gone after {} s: {holds}", GONE_WITHIN.as_secs());
    Fault::failed("namespace-stuck", cause).hint(format!(
        "what is left in it, and which controller should remove that: kubectl get namespace {name} -o yaml"
    ))
}

/// What keeps a namespace from going, in the cluster's words.
fn what_holds(namespace: &Value) -> String {
    let holding = list(namespace, "/status/conditions").iter().filter(|condition| condition["status"] == "True");
    let mut words: Vec<&str> = holding.filter_map(|condition| condition["message"].as_str()).collect();
    words.dedup();
    if words.is_empty() { "the cluster does not report yet what holds it".to_owned() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::of("", "mine", "slipway-mine")
    }

    fn standing(namespace: Value, made: &[Entry]) -> Ownership {
        Ownership::of(Some(namespace), &names(), made)
    }

    #[test]
    fn a_namespace_is_known_by_its_label_or_its_uid() {
        let plain = json!({"metadata": {"name": "shop", "uid": "7"}});
        let of = |id: &str| json!({"metadata": {"name": "shop", "uid": "7", "labels": {DEPLOYMENT: id}}});
        assert_eq!(standing(of("mine"), &[]), Ownership::Ours(of("mine")));
        assert_eq!(standing(of("other"), &[]), Ownership::Taken("other".to_owned()));
        assert_eq!(standing(plain.clone(), &[]), Ownership::Foreign);
        // Entered, and never made by us.
        assert_eq!(standing(plain.clone(), &[entry("shop", None, None)]), Ownership::Foreign);
        assert_eq!(standing(plain.clone(), &[entry("shop", None, Some(&plain))]), Ownership::Ours(plain));
        assert_eq!(Ownership::of(None, &names(), &[]), Ownership::Absent);
    }

    #[test]
    fn what_holds_a_namespace_is_said_in_the_cluster_s_words() {
        let conditions = json!([
            {"type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: pods."},
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "all is well"},
        ]);
        let going = json!({"metadata": {"deletionTimestamp": "x"}, "status": {"conditions": conditions}});
        assert_eq!(standing(going, &[]), Ownership::Going("Some resources are remaining: pods.".to_owned()));
    }

    #[test]
    fn one_that_has_lost_a_label_is_seen() {
        let wanted = object(&names(), "shop", None, SecurityLevel::Restricted);
        assert!(is_labelled(&wanted, &wanted));
        let mut other = wanted.clone();
        other["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!("privileged");
        assert!(!is_labelled(&other, &wanted));
    }
}
