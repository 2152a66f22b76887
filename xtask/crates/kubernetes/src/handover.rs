//! Hands what a service has stored to another one: under a new name, or in another system. A claim cannot be renamed, so its
//! volume is claimed anew; nothing is copied, and nothing is deleted.
//!
//! The volume says meanwhile whose it is, so that a killed run is gone on with, and the new claim says where it
//! came from until what has it now is proven: until then it can be given back.

use super::names::{DEPLOYMENT, INSTANCE, SERVICE};
use super::{Kubernetes, claims};
use anyhow::Result;
use base::error::Fault;
use base::text;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use engine::reconcile::UnitId;
use kube::Refusal;
use kube::object;
use kube::object::{annotation, text};
use kube::path::{CLAIM, POD, STATEFUL_SET, VOLUME};
use model::name::SystemName;
use model::volume::DATA;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// On a volume that is on its way: the unit that it counts as stored by until then, which is the one that had it first, and
/// what becomes of it without a claim once it is there.
const OWNER: &str = "slipway/owner";
const POLICY: &str = "slipway/reclaim-policy";
/// Beside them: which of its volumes it is. Nothing for `data`, which was once the only one.
const NAME: &str = "slipway/volume";
/// On a claim: the unit that had it, until the one that has it is proven.
const CAME_FROM: &str = "slipway/came-from";
/// How long a service may take to stop, and storage to let go of a volume.
const WITHIN: Duration = Duration::from_secs(180);

/// The step's work. What a killed run has taken from a unit that keeps it after all goes from there to there.
pub(super) struct HandoverWork {
    pub(super) core: Arc<Kubernetes>,
    pub(super) from: UnitId,
    pub(super) to: UnitId,
}

impl Work for HandoverWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let has_let_go = self.from == self.to || claims_of(&self.core, &self.from)?.is_empty();
        let has = has_let_go && !claims_of(&self.core, &self.to)?.is_empty();
        let has = has && under_way(&self.core)?.iter().all(|(owner, _)| *owner != self.from);
        Ok(has.then(|| format!("`{}` has it", self.to)))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (core, from, to) = (&self.core, &self.from, &self.to);
        core.records.hand_secrets(from, to)?;
        if from == to {
            hand_over(core, from, to, None, cx)?;
            scale(core, to, 1)?;
            return Ok(Outcome::DoneWith(format!("what `{to}` stored is with it again")));
        }
        hand_over(core, from, to, Some(from), cx)?;
        Ok(Outcome::DoneWith(format!("what `{from}` stored is with `{to}` now")))
    }
}

/// Gives back what the services of a system were handed by those before them, as they have failed.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn give_back(core: &Kubernetes, system: &SystemName, cx: &StepCx<'_>) -> Result<()> {
    for (from, to) in unsettled(core, system)? {
        cx.status(format!("gives what it stored back to `{from}`"));
        hand_over(core, &to, &from, None, cx)?;
        scale(core, &from, 1)?;
    }
    Ok(())
}

/// From now on what the services of a system were handed is theirs.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn settle(core: &Kubernetes, system: &SystemName) -> Result<()> {
    for (_, to) in unsettled(core, system)? {
        for volume in claims_of(core, &to)? {
            let patch = json!({"metadata": {"annotations": {CAME_FROM: null}}});
            let merged = core.access.api()?.merge(&claim_path(core, &to, &volume), &patch);
            merged.map_err(|refusal| kube::fault(&format!("mark what `{to}` stores as its own"), &refusal))?;
        }
    }
    Ok(())
}

/// Who had what services of a system have now, and those.
fn unsettled(core: &Kubernetes, system: &SystemName) -> Result<BTreeSet<(UnitId, UnitId)>> {
    let listed = core.access.api()?.list(&CLAIM.within(&core.names.namespace(system)), &core.names.selector());
    let listed = listed.map_err(|refusal| kube::fault("look for what is stored", &refusal))?;
    let pair = |claim: &Value| {
        let (old, service) = annotation(claim, CAME_FROM).split_once('/')?;
        let called = |system: &SystemName, text: &str| core.deployment.spec.called(system, text);
        let old = old.parse().ok()?;
        let from = UnitId { service: called(&old, service)?, system: old };
        Some((from, UnitId { system: system.clone(), service: called(system, object::label(claim, SERVICE))? }))
    };
    Ok(listed.iter().filter_map(pair).collect())
}

/// Has `to` have what `from` has stored. `came_from` is noted on the claim.
fn hand_over(core: &Kubernetes, from: &UnitId, to: &UnitId, came_from: Option<&UnitId>, cx: &StepCx<'_>) -> Result<()> {
    cx.status(format!("stops `{from}`"));
    stop(core, from, cx)?;
    let owner = came_from.unwrap_or(to);
    let left = under_way(core)?.into_iter().filter(|(of, _)| of == owner).map(|(_, volume)| volume_name(&volume));
    let volumes: BTreeSet<String> = claims_of(core, from)?.into_iter().chain(left).collect();
    volumes.iter().try_for_each(|volume| hand_one(core, from, to, volume, came_from, cx))
}

/// Has `to` have one of the volumes that `from` has.
fn hand_one(
    core: &Kubernetes,
    from: &UnitId,
    to: &UnitId,
    called: &str,
    came_from: Option<&UnitId>,
    cx: &StepCx<'_>,
) -> Result<()> {
    // One that was given back is on its way out still when its run was killed.
    let going = || Ok(get_claim(core, to, called)?.is_none_or(|claim| !object::is_going(&claim)).then_some(()));
    cx.wait_for(WITHIN, going, || stuck(to, "its earlier claim does not go: something uses it still"))?;
    let owner = came_from.unwrap_or(to);
    let Some(volume) = volume(core, from, called, owner, cx)? else { return Ok(()) };
    let name = object::name(&volume).to_owned();
    let identity = json!({"uid": text(&volume, "/metadata/uid"), "namespace": core.names.namespace(&to.system)});
    let system = Some(to.system.to_string());
    core.records.enter(Entry { kind: super::teardown::VOLUME.to_owned(), id: name.clone(), system, identity })?;
    let api = core.access.api()?;
    let refused = |refusal: Refusal| kube::fault(&format!("hand what `{from}` stored to `{to}`"), &refusal);
    let holder = CLAIM.at(text(&volume, "/spec/claimRef/namespace"), text(&volume, "/spec/claimRef/name"));
    if holder != claim_path(core, to, called)
        && let Some(claim) = api.get(&holder).map_err(refused)?
    {
        release(core, &claim, &volume, called, owner).map_err(refused)?;
        cx.status(format!("waits until the volume of `{from}` is free"));
        let is_gone = || Ok(api.get(&holder).map_err(refused)?.is_none().then_some(()));
        cx.wait_for(WITHIN, is_gone, || stuck(from, "its claim does not go: something uses it still"))?;
    }
    // A volume that is bound to the new claim already would be lost to it without its ID.
    if get_claim(core, to, called)?.is_none() {
        let claimed_by = json!({
            "apiVersion": "v1", "kind": CLAIM.name, "namespace": core.names.namespace(&to.system),
            "name": claim_name(to, called), "uid": null, "resourceVersion": null,
        });
        api.merge(&VOLUME.named(&name), &json!({"spec": {"claimRef": claimed_by}})).map_err(refused)?;
    }
    match api.create(&CLAIM.within(&core.names.namespace(&to.system)), &claim(core, &volume, to, called, came_from)) {
        Err(refusal) if refusal.is_conflict() => {}
        created => drop(created.map_err(refused)?),
    }
    cx.wait_for(
        WITHIN,
        || Ok(get_claim(core, to, called)?.filter(|claim| text(claim, "/status/phase") == "Bound").map(drop)),
        || stuck(to, "the cluster does not bind its claim to the volume"),
    )?;
    arrive(core, &volume).map_err(refused)?;
    Ok(())
}

/// Has a volume be as it was before it was on its way.
fn arrive(core: &Kubernetes, volume: &Value) -> Result<(), Refusal> {
    let api = core.access.api().map_err(|error| Refusal::unanswered(format!("{error:#}")))?;
    let settled = json!({
        "metadata": {"annotations": {OWNER: null, POLICY: null, NAME: null}, "labels": {DEPLOYMENT: null}},
        "spec": {"persistentVolumeReclaimPolicy": policy(volume)},
    });
    api.merge(&VOLUME.named(object::name(volume)), &settled).map(drop)
}

/// What becomes of a volume without a claim, when it is not on its way.
fn policy(volume: &Value) -> &str {
    match annotation(volume, POLICY) {
        "" => text(volume, "/spec/persistentVolumeReclaimPolicy"),
        noted => noted,
    }
}

/// Lets a volume that a killed run has left on its way go with its claim, as others do.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn give_up(core: &Kubernetes, volume: &Value) -> Result<()> {
    if annotation(volume, OWNER).is_empty() {
        return Ok(());
    }
    Ok(arrive(core, volume).map_err(|refusal| kube::fault("give up a volume that was handed over", &refusal))?)
}

/// Lets go of a claim, after its volume knows whose it is and that it stays meanwhile.
fn release(core: &Kubernetes, claim: &Value, volume: &Value, called: &str, owner: &UnitId) -> Result<(), Refusal> {
    let api = core.access.api().map_err(|error| Refusal::unanswered(format!("{error:#}")))?;
    let mut goes = json!({
        "metadata": {
            "annotations": {OWNER: owner.to_string(), POLICY: policy(volume)}, "labels": {DEPLOYMENT: core.names.id},
        },
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    });
    if called != DATA {
        goes["metadata"]["annotations"][NAME] = json!(called);
    }
    api.merge(&VOLUME.named(object::name(volume)), &goes)?;
    api.delete(&CLAIM.at(object::namespace(claim), object::name(claim)), false)?;
    Ok(())
}

/// The volume that is handed over: that of the claim, or the one that a killed run has left on its way.
fn volume(core: &Kubernetes, from: &UnitId, called: &str, owner: &UnitId, cx: &StepCx<'_>) -> Result<Option<Value>> {
    let api = core.access.api()?;
    let told = |refusal| kube::fault("look for volumes", &refusal);
    if let Some(claim) = get_claim(core, from, called)? {
        let name = text(&claim, "/spec/volumeName");
        if name.is_empty() {
            cx.news(format!("`{from}` has claimed a volume and was never given one: nothing is handed over"));
            return Ok(None);
        }
        return Ok(api.get(&VOLUME.named(name)).map_err(told)?);
    }
    let is_it = |(of, volume): &(UnitId, Value)| of == owner && volume_name(volume) == called;
    Ok(under_way(core)?.into_iter().find(is_it).map(|(_, volume)| volume))
}

/// The volumes that a killed run has left on their way, each with the unit whose it is.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn under_way(core: &Kubernetes) -> Result<Vec<(UnitId, Value)>> {
    let all = core.access.api()?.list(&VOLUME.everywhere(), &core.names.selector());
    let all = all.map_err(|refusal| kube::fault("look for volumes", &refusal))?;
    let owned = |volume: Value| {
        let (system, service) = annotation(&volume, OWNER).split_once('/')?;
        let system = system.parse().ok()?;
        let service = core.deployment.spec.called(&system, service)?;
        Some((UnitId { system, service }, volume))
    };
    Ok(all.into_iter().filter_map(owned).collect())
}

fn claim(core: &Kubernetes, volume: &Value, to: &UnitId, called: &str, came_from: Option<&UnitId>) -> Value {
    let mut labels = core.names.labels(Some(&to.system));
    labels[SERVICE] = json!(to.service.as_str());
    labels[INSTANCE] = json!(to.system.as_str());
    let mut claim = json!({
        "apiVersion": "v1", "kind": CLAIM.name,
        "metadata": {"name": claim_name(to, called), "namespace": core.names.namespace(&to.system), "labels": labels},
        "spec": {
            "accessModes": volume["spec"]["accessModes"], "volumeName": object::name(volume),
            "volumeMode": volume["spec"]["volumeMode"],
            // A volume without a class is claimed without one: left out, it would be the default one.
            "storageClassName": text(volume, "/spec/storageClassName"),
            "resources": {"requests": {"storage": volume["spec"]["capacity"]["storage"]}},
        },
    });
    if let Some(unit) = came_from {
        claim["metadata"]["annotations"] = json!({CAME_FROM: unit.to_string()});
    }
    claim
}

/// The volumes that a unit claims, by the names that its StatefulSet has for them.
fn claims_of(core: &Kubernetes, unit: &UnitId) -> Result<BTreeSet<String>> {
    let listed = core.access.api()?.list(&CLAIM.within(&core.names.namespace(&unit.system)), &core.names.selector());
    let listed = listed.map_err(|refusal| kube::fault(&format!("look for what `{unit}` stored"), &refusal))?;
    // Of another volume the name alone could be two units'.
    let is_own = |claim: &Value, volume: &str| volume == DATA || object::label(claim, SERVICE) == unit.service.as_str();
    let own = |claim: &Value| claimed(object::name(claim), unit).filter(|volume| is_own(claim, volume));
    Ok(listed.iter().filter_map(own).collect())
}

/// The volume of a claim of this name, where it is one of the unit's.
fn claimed(claim: &str, unit: &UnitId) -> Option<String> {
    let volume = claim.strip_suffix(&format!("-{}-0", unit.service))?;
    (volume == DATA || volume.starts_with(claims::PREFIX)).then(|| volume.to_owned())
}

/// What a volume on its way is called.
fn volume_name(volume: &Value) -> String {
    match annotation(volume, NAME) {
        "" => DATA.to_owned(),
        name => name.to_owned(),
    }
}

fn get_claim(core: &Kubernetes, unit: &UnitId, called: &str) -> Result<Option<Value>> {
    let found = core.access.api()?.get(&claim_path(core, unit, called));
    Ok(found.map_err(|refusal| kube::fault(&format!("look for what `{unit}` stored"), &refusal))?)
}

fn claim_path(core: &Kubernetes, unit: &UnitId, called: &str) -> String {
    CLAIM.at(&core.names.namespace(&unit.system), &claim_name(unit, called))
}

/// As the StatefulSet of a service calls it.
fn claim_name(unit: &UnitId, called: &str) -> String {
    format!("{called}-{}-0", unit.service)
}

/// Stops what has the volume, and waits until it has let go of it.
fn stop(core: &Kubernetes, unit: &UnitId, cx: &StepCx<'_>) -> Result<()> {
    scale(core, unit, 0)?;
    let selector = format!("{SERVICE}={},{INSTANCE}={},{}", unit.service, unit.system, core.names.selector());
    let pods = || {
        let pods = core.access.api()?.list_metadata(&POD.within(&core.names.namespace(&unit.system)), &selector);
        let pods = pods.map_err(|refusal| kube::fault(&format!("look for the pods of `{unit}`"), &refusal))?;
        Ok(pods.is_empty().then_some(()))
    };
    cx.wait_for(WITHIN, pods, || stuck(unit, "its pods do not end"))
}

/// How many there are of a service that stores something, where it is there at all.
fn scale(core: &Kubernetes, unit: &UnitId, replicas: u32) -> Result<()> {
    let set = STATEFUL_SET.at(&core.names.namespace(&unit.system), unit.service.as_str());
    match core.access.api()?.merge(&set, &json!({"spec": {"replicas": replicas}})) {
        Err(refusal) if !refusal.is_missing() => {
            Err(kube::fault(&format!("have {replicas} of `{unit}`"), &refusal).into())
        }
        _ => Ok(()),
    }
}

fn stuck(unit: &UnitId, why: &str) -> Fault {
    let cause = format!("what `{unit}` stored cannot be handed over within {} s: {why}", WITHIN.as_secs());
    Fault::failed("handover-blocked", cause).hint("the same command again continues where it stopped")
}

/// "what `a/x` stored (1 GiB)"
pub(super) fn what(unit: &UnitId, size: Option<u64>) -> String {
    let size = size.map(|bytes| format!(" ({})", text::bytes(bytes))).unwrap_or_default();
    format!("what `{unit}` stored{size}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_of_one_unit_and_one_volume() {
        let unit = |service: &str| UnitId::new(&"s".parse().unwrap(), &service.parse().unwrap());
        assert_eq!(claimed("data-db-0", &unit("db")).as_deref(), Some("data"));
        assert_eq!(claimed("volume-up-db-0", &unit("db")).as_deref(), Some("volume-up"));
        // Another service's name may end as this one's, and so may another's claim.
        assert_eq!(claimed("data-my-db-0", &unit("db")), None);
        assert_eq!(claimed("data-db-0", &unit("my-db")), None);
        let up = claimed("volume-up-db-0", &unit("db")).unwrap();
        assert_eq!(claim_name(&unit("db"), &up), "volume-up-db-0");
    }
}
