//! Who serves a host that the Ingresses of two systems have for a while, as a service moves from one to the other: the old one
//! until targets of the new one are healthy, then the new one, which is proven so.
//!
//! The load balancer that all share has a rule for each, of which the first that fits counts. Left alone they are ordered by
//! the names of namespaces. It is always the old one whose place is changed, since that goes in the end.

use anyhow::Result;
use kube::object;
use kube::path::INGRESS;
use kubernetes::Kubernetes;
use model::name::SystemName;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The place of the rules of an Ingress among those of its group, which is 0 where nothing is said
/// (kubernetes-sigs.github.io/aws-load-balancer-controller).
const ORDER: &str = "alb.ingress.kubernetes.io/group.order";
const FIRST: &str = "-1";
const LAST: &str = "1";

/// See [`kubernetes::platform::IngressProvider::keep_first`].
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn keep_first(core: &Kubernetes, system: &SystemName, hosts: &BTreeSet<String>) -> Result<()> {
    let others = others(core, system, hosts)?;
    let kept = hosts.iter().flat_map(|host| to_keep_first(&others, host));
    kept.into_iter().try_for_each(|ingress| put(core, ingress, FIRST))
}

/// Has a system be the one that serves its hosts.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn take_over(core: &Kubernetes, system: &SystemName, hosts: &BTreeSet<String>) -> Result<()> {
    let others = others(core, system, hosts)?;
    let later = others.iter().filter(|ingress| object::annotation(ingress, ORDER) != LAST);
    later.into_iter().try_for_each(|ingress| put(core, ingress, LAST))
}

/// The Ingresses of other systems that have one of these hosts.
fn others(core: &Kubernetes, system: &SystemName, hosts: &BTreeSet<String>) -> Result<Vec<Value>> {
    if hosts.is_empty() {
        return Ok(Vec::new());
    }
    let namespace = core.names.namespace(system);
    let mut others = ingresses(core, &INGRESS.everywhere())?;
    others.retain(|ingress| object::namespace(ingress) != namespace && !self::hosts([ingress]).is_disjoint(hosts));
    Ok(others)
}

/// Those that have a host, unless one of them is first already: that is the one that serves.
fn to_keep_first<'i>(others: &'i [Value], host: &str) -> Vec<&'i Value> {
    let holders: Vec<&Value> = others.iter().filter(|ingress| hosts([*ingress]).contains(host)).collect();
    let is_first = |ingress: &&Value| object::annotation(ingress, ORDER) == FIRST;
    if holders.iter().any(is_first) { Vec::new() } else { holders }
}

fn put(core: &Kubernetes, ingress: &Value, order: &str) -> Result<()> {
    let (namespace, name) = (object::namespace(ingress), object::name(ingress));
    let patch = json!({"metadata": {"annotations": {ORDER: order}}});
    match core.access.api()?.merge(&INGRESS.at(namespace, name), &patch) {
        Err(refusal) if !refusal.is_missing() => {
            Err(kube::fault(&format!("change the order of Ingress `{namespace}/{name}`"), &refusal).into())
        }
        _ => Ok(()),
    }
}

/// The Ingresses of the deployment.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn ingresses(core: &Kubernetes, path: &str) -> Result<Vec<Value>> {
    let found = core.access.api()?.list(path, &core.names.selector());
    Ok(found.map_err(|refusal| kube::fault("look for Ingresses", &refusal))?)
}

/// The hosts that lead somewhere.
pub(super) fn hosts<'i>(ingresses: impl IntoIterator<Item = &'i Value>) -> BTreeSet<String> {
    let stay = ingresses.into_iter().filter(|ingress| !object::is_going(ingress));
    let rules = stay.flat_map(|ingress| object::list(ingress, "/spec/rules"));
    let hosts = rules.map(|rule| object::text(rule, "/host").to_owned());
    hosts.filter(|host| !host.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(name: &str, host: &str, order: &str) -> Value {
        json!({"metadata": {"name": name, "annotations": {ORDER: order}}, "spec": {"rules": [{"host": host}]}})
    }

    #[test]
    fn who_serves_a_host_goes_on_until_the_new_one_is_healthy() {
        let first = |others: &[Value]| -> Vec<String> {
            to_keep_first(others, "a.example").into_iter().map(|one| object::name(one).to_owned()).collect()
        };
        let (old, other) = (ingress("old", "a.example", ""), ingress("other", "b.example", ""));
        assert_eq!(first(&[old.clone(), other]), ["old"]);
        // One that a killed run has put beside it was never proven.
        assert_eq!(first(&[ingress("oldest", "a.example", FIRST), old]), Vec::<String>::new());
    }

    #[test]
    fn an_ingress_on_its_way_out_leads_nowhere() {
        let mut going = ingress("b", "b.example", "");
        going["metadata"]["deletionTimestamp"] = json!("now");
        assert_eq!(hosts(&[ingress("a", "a.example", ""), going]), BTreeSet::from(["a.example".to_owned()]));
    }
}
