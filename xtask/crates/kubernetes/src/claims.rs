//! The volumes of a service as its StatefulSet claims them. What a StatefulSet claims never changes: where it is to be something
//! else, it is removed, and the new one takes its claims over. Its pod stays where only sizes differ. With other volumes it
//! goes, too: the new StatefulSet would take it over and fail to give it volumes that a pod cannot get while it runs.

use super::Kubernetes;
use super::recorded::bytes;
use anyhow::Result;
use base::error::Fault;
use engine::plan::runner::StepCx;
use kube::object;
use kube::path::{CLAIM, STATEFUL_SET};
use model::name::SystemName;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const GONE_WITHIN: Duration = Duration::from_secs(30);
/// What stands before the names of all volumes but `data`, which no other volume of a pod can then be called.
pub(super) const PREFIX: &str = "volume-";

/// What a volume is called in a pod, and its claim in a StatefulSet.
fn called(volume: &str) -> String {
    if volume == model::volume::DATA { volume.to_owned() } else { format!("{PREFIX}{volume}") }
}

/// The volumes of a service, by their names in a pod, with how much each is to hold.
fn wanted(values: &Value) -> BTreeMap<String, String> {
    let storage = &values["storage"];
    let all = storage.is_object().then_some(storage).into_iter().chain(object::list(storage, "/more"));
    let one = |volume: &Value| {
        let name = volume["name"].as_str().unwrap_or(model::volume::DATA);
        (called(name), object::text(volume, "/size").to_owned())
    };
    all.map(one).collect()
}

fn claimed(set: &Value) -> BTreeMap<String, String> {
    let size = |claim: &Value| object::text(claim, "/spec/resources/requests/storage").to_owned();
    object::list(set, "/spec/volumeClaimTemplates")
        .iter()
        .map(|claim| (object::name(claim).to_owned(), size(claim)))
        .collect()
}

/// Removes the StatefulSets that cannot become what they are to be, and has claims grow that are too small.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn make_way(core: &Kubernetes, system: &SystemName, values: &Value, cx: &StepCx<'_>) -> Result<()> {
    let namespace = core.names.namespace(system);
    for (service, values) in values["services"].as_object().into_iter().flatten() {
        let wanted = wanted(values);
        if wanted.is_empty() {
            continue;
        }
        let refused = |refusal| kube::fault(&format!("change the volumes of `{service}`"), &refusal);
        let place = STATEFUL_SET.at(&namespace, service);
        let api = core.access.api()?;
        let Some(set) = api.get(&place).map_err(refused)? else { continue };
        if claimed(&set) == wanted {
            continue;
        }
        for (volume, size) in &wanted {
            let grown = grow(core, &CLAIM.at(&namespace, &format!("{volume}-{service}-0")), size);
            grown.map_err(|refusal| {
                if refusal.message.contains("resize") { fixed(service, &refusal) } else { refused(refusal) }
            })?;
        }
        let same_names = claimed(&set).keys().eq(wanted.keys());
        if same_names {
            cx.news(format!(
                "the volumes of `{service}` have other sizes: its StatefulSet is made anew, and its pod stays"
            ));
            api.delete_alone(&place).map_err(refused)?;
        } else {
            cx.news(format!("`{service}` has other volumes: it stops until its StatefulSet was made anew"));
            api.delete(&place, true).map_err(refused)?;
        }
        let stops = object::number(&set, "/spec/template/spec/terminationGracePeriodSeconds");
        let within = GONE_WITHIN + Duration::from_secs(stops);
        let gone = || Ok(api.get(&place).map_err(refused)?.is_none().then_some(()));
        let stuck = || {
            let cause = format!("the StatefulSet `{service}` does not go");
            Fault::failed("volumes-blocked", cause).hint("the same command again continues where it stopped")
        };
        cx.wait_for(within, gone, stuck)?;
    }
    Ok(())
}

/// Not every storage class lets a claim grow.
fn fixed(service: &str, refusal: &kube::Refusal) -> Fault {
    let cause = format!("a volume of `{service}` cannot grow: {}", refusal.message);
    Fault::failed("volume-fixed", cause)
        .hint("keep the `size` that it has, or take a storage class that lets volumes grow")
}

/// No volume ever shrinks.
fn grow(core: &Kubernetes, place: &str, size: &str) -> Result<(), kube::Refusal> {
    let api = core.access.api().map_err(|error| kube::Refusal::unanswered(format!("{error:#}")))?;
    let Some(claim) = api.get(place)? else { return Ok(()) };
    if bytes(size) > bytes(object::text(&claim, "/spec/resources/requests/storage")) {
        api.merge(place, &json!({"spec": {"resources": {"requests": {"storage": size}}}}))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_statefulset_claims_is_compared_with_what_it_is_to_claim() {
        let claim = |name: &str, size: &str| json!({"metadata": {"name": name}, "spec": {"resources": {"requests": {"storage": size}}}});
        let set = |claims: &[Value]| json!({"spec": {"volumeClaimTemplates": claims}});
        let plain = json!({"storage": {"path": "/data", "size": "1Gi"}});
        assert_eq!(claimed(&set(&[claim("data", "1Gi")])), wanted(&plain));
        let more =
            json!({"storage": {"path": "/data", "size": "1Gi", "more": [{"name": "up", "path": "/u", "size": "2Gi"}]}});
        assert_ne!(claimed(&set(&[claim("data", "1Gi")])), wanted(&more));
        assert_eq!(claimed(&set(&[claim("data", "1Gi"), claim("volume-up", "2Gi")])), wanted(&more));
        assert_ne!(claimed(&set(&[claim("data", "2Gi")])), wanted(&plain));
        assert!(wanted(&json!({})).is_empty());
    }
}
