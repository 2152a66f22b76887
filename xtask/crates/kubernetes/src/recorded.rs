//! What was made, whatever the files say: from the releases that were proven, the ledger, and the claims of what is stored.

use super::names::{SERVICE, SYSTEM};
use super::records::VerifiedRelease;
use super::{Kubernetes, handover, recalled};
use anyhow::Result;
use engine::reconcile::{Recorded, RecordedService, Stored, UnitId};
use kube::object;
use kube::path;
use model::Spec;
use model::name::{ServiceName, SystemName};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn recorded(core: &Kubernetes) -> Result<Recorded> {
    let mut recorded = Recorded::default();
    if !core.platform.is_there()? {
        return Ok(recorded);
    }
    for system in core.records.systems()? {
        let released = released(core, &system)?;
        let services = recorded.systems.entry(system).or_default();
        for (service, values) in released {
            let public = values["public"].is_object().then(|| recalled::public_name(&service, &values["public"]));
            let entrances = public.iter().flat_map(|public| core.names.entrances(public)).collect();
            let known = RecordedService { entrances, data: None, only_data: false };
            services.services.insert(service, known);
        }
    }
    for (unit, stored) in stored(core)? {
        let of = recorded.systems.entry(unit.system).or_default();
        let only_data = RecordedService { only_data: true, ..RecordedService::default() };
        of.services.entry(unit.service).or_insert(only_data).data = Some(stored);
    }
    Ok(recorded)
}

/// The unit that something belongs to, by its labels.
pub(super) fn unit(spec: &Spec, object: &Value) -> Option<UnitId> {
    let system = object::label(object, SYSTEM).parse().ok()?;
    let service = spec.called(&system, object::label(object, SERVICE))?;
    Some(UnitId { system, service })
}

/// The services of the newest proven release of a system, as the chart was given them.
///
/// # Errors
/// When the records cannot be read.
pub(super) fn released(core: &Kubernetes, system: &SystemName) -> Result<BTreeMap<ServiceName, Value>> {
    let newest = core.records.history(system)?.pop();
    Ok(newest.as_ref().map(services).unwrap_or_default())
}

/// The services of a proven release, as the chart was given them.
pub(super) fn services(proven: &VerifiedRelease) -> BTreeMap<ServiceName, Value> {
    let services = proven.values["services"].as_object().into_iter().flatten();
    let called = |name: &String| {
        let known = proven.versions.keys().find(|known| known.as_str() == name);
        known.cloned().or_else(|| name.parse().ok())
    };
    services.filter_map(|(name, values)| Some((called(name)?, values.clone()))).collect()
}

/// The names of all services of a system that something is known of.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn service_names(core: &Kubernetes, system: &SystemName) -> Result<BTreeSet<ServiceName>> {
    let stored = stored(core)?.into_keys().filter(|unit| unit.system == *system).map(|unit| unit.service);
    Ok(released(core, system)?.into_keys().chain(stored).collect())
}

/// What is stored, by the claims that carry the deployment's label, and how much room each has. A volume that is on its way
/// from one claim to another is its owner's until it has arrived.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn stored(core: &Kubernetes) -> Result<BTreeMap<UnitId, Stored>> {
    let claims = core.access.api()?.list(&path::CLAIM.everywhere(), &core.names.selector());
    let claims = claims.map_err(|refusal| kube::fault("look for what is stored", &refusal))?;
    let under_way = handover::under_way(core)?;
    let is_under_way = |claim: &Value| {
        let volume = object::text(claim, "/spec/volumeName");
        under_way.iter().any(|(_, other)| object::name(other) == volume)
    };
    let kept = |claim: &Value| {
        // One on its way out is of no use to anybody, and one that never got a volume stores nothing.
        let is_bound = !object::text(claim, "/spec/volumeName").is_empty();
        let stays = is_bound && !object::is_going(claim) && !is_under_way(claim);
        unit(&core.deployment.spec, claim).filter(|_| stays).map(|unit| (unit, Stored { size: size(claim) }))
    };
    let owned = under_way.iter().map(|(owner, volume)| (owner.clone(), Stored { size: size(volume) }));
    let mut all: BTreeMap<UnitId, Stored> = BTreeMap::new();
    for (unit, Stored { size }) in claims.iter().filter_map(kept).chain(owned) {
        // Several volumes are one unit's data.
        let known = all.entry(unit).or_insert(Stored { size: Some(0) });
        known.size = known.size.zip(size).map(|(known, size)| known + size);
    }
    Ok(all)
}

/// The bytes of a claim or a volume; what stores nothing has none.
pub(super) fn size(stored: &Value) -> Option<u64> {
    let places = ["/status/capacity/storage", "/spec/resources/requests/storage", "/spec/capacity/storage"];
    bytes(places.into_iter().map(|place| object::text(stored, place)).find(|text| !text.is_empty())?)
}

/// `1Gi`, as Kubernetes writes quantities (kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity).
pub(super) fn bytes(quantity: &str) -> Option<u64> {
    let digits = quantity.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(digits);
    let factor = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_bytes() {
        assert_eq!([bytes("1Gi"), bytes("500M"), bytes("7")], [Some(1 << 30), Some(500_000_000), Some(7)]);
        assert_eq!([bytes("1.5Gi"), bytes(""), bytes("x")], [None; 3]);
    }
}
