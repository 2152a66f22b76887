//! Where a service keeps its state in a cluster: in a volume of its own, in another service, or in what the platform has in
//! the place of one.

use super::Kubernetes;
use super::recorded;
use super::records::StatePlace;
use super::release_context::{self, Candidate};
use super::release_spec::WorkloadSpec;
use anyhow::Result;
use engine::reconcile::{Recorded, StateMove, UnitId};
use model::name::ServiceName;
use model::system::Presence;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where services keep their state, and where their releases would have it instead.
///
/// # Errors
/// When the records cannot be read.
pub(super) fn moving(core: &Kubernetes, recorded: &Recorded) -> Result<BTreeMap<UnitId, StateMove>> {
    let (candidates, _) = release_context::candidates(core);
    let is_known = |candidate: &&Candidate| recorded.systems.contains_key(&candidate.system.name);
    let mut moving = BTreeMap::new();
    for candidate in candidates.iter().filter(is_known) {
        let system = &candidate.system.name;
        let (noted, released) = (core.records.state(system)?, recorded::released(core, system)?);
        for part in &candidate.parts {
            let unit = UnitId::new(system, &part.service.name);
            let before = noted.get(&unit.service).cloned().or_else(|| released_in(candidate, part, &released));
            // What was stored by a version that noted nothing, and kept without a release.
            let stored = || recorded.service(&unit).is_some_and(|known| known.data.is_some());
            let from = before.or_else(|| stored().then_some(StatePlace::Own));
            if let (Some(from), Some(to)) = (from, &part.state)
                && from != *to
                && !is_renamed(candidate, &from, to)
            {
                moving.insert(unit.clone(), state_move(&unit, &from, to));
            }
        }
    }
    Ok(moving)
}

fn state_move(unit: &UnitId, from: &StatePlace, to: &StatePlace) -> StateMove {
    let holder = match from {
        StatePlace::Own => Some(unit.clone()),
        StatePlace::Service(shared) => Some(UnitId::new(&unit.system, shared)),
        StatePlace::Managed(_) => None,
    };
    StateMove { holder, from: from.to_string(), to: to.to_string() }
}

/// The same under a new name: what it has stored comes along.
fn is_renamed(candidate: &Candidate, from: &StatePlace, to: &StatePlace) -> bool {
    let (StatePlace::Service(was), StatePlace::Service(is)) = (from, to) else { return false };
    let mut services = candidate.system.services.iter();
    services.any(|declared| declared.name == *is && declared.was.contains(was))
}

/// Where a service had its state in a release.
fn released_in(
    candidate: &Candidate,
    part: &WorkloadSpec,
    released: &BTreeMap<ServiceName, Value>,
) -> Option<StatePlace> {
    let values = released.get(&part.service.name)?;
    if values["storage"].is_object() {
        return Some(StatePlace::Own);
    }
    let shared = |need: &&ServiceName| {
        let mut services = candidate.system.services.iter();
        services.any(|other| other.name == **need && other.presence != Presence::Always)
    };
    let shared = part.service.needs.iter().find(shared)?.clone();
    match released.contains_key(&shared) {
        true => Some(StatePlace::Service(shared)),
        false => Some(StatePlace::Managed(shared)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_unit_of_the_deployment_holds_what_is_stored() {
        let redis: ServiceName = "redis".parse().unwrap();
        let unit = UnitId::new(&"a".parse().unwrap(), &"x".parse().unwrap());
        let held = |from: StatePlace| state_move(&unit, &from, &StatePlace::Own).holder.map(|unit| unit.to_string());
        assert_eq!(held(StatePlace::Own).as_deref(), Some("a/x"));
        assert_eq!(held(StatePlace::Service(redis.clone())).as_deref(), Some("a/redis"));
        assert_eq!(held(StatePlace::Managed(redis)), None);
    }
}
