//! Where a service keeps its state is decided once. A release that would have it elsewhere, where it begins with nothing, is
//! refused unless that is asked for.

use super::Kubernetes;
use super::handover;
use super::recorded;
use super::records::StatePlace;
use super::release_context::Candidate;
use super::release_spec::WorkloadSpec;
use anyhow::Result;
use base::error::Fault;
use base::text;
use engine::reconcile::{Recorded, UnitId};
use model::name::ServiceName;
use model::system::Presence;
use serde_json::Value;
use std::collections::BTreeMap;

/// A service whose state a release would have elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) service: ServiceName,
    pub(super) from: StatePlace,
    pub(super) to: StatePlace,
}

/// What a release of a system would move.
///
/// # Errors
/// When the records cannot be read.
pub(super) fn moves(core: &Kubernetes, recorded: &Recorded, candidate: &Candidate) -> Result<Vec<Move>> {
    let system = &candidate.system.name;
    if !recorded.systems.contains_key(system) {
        return Ok(Vec::new());
    }
    let noted = core.records.state(system)?;
    let released = recorded::released(core, system)?;
    let stored = |service: &ServiceName| {
        recorded.service(&UnitId::new(system, service)).is_some_and(|known| known.data.is_some())
    };
    let of = |part: &WorkloadSpec| {
        let to = part.state.clone()?;
        let service = &part.service.name;
        let before = noted.get(service).cloned().or_else(|| released_in(candidate, part, &released));
        // What was stored by a version that noted nothing, and kept without a release.
        let from = before.or_else(|| stored(service).then_some(StatePlace::Own))?;
        // The same under a new name: what it has stored comes along.
        let renamed = matches!((&from, &to), (StatePlace::Service(was), StatePlace::Service(is)) if was_called(candidate, is, was));
        (from != to && !renamed).then(|| Move { service: service.clone(), from, to })
    };
    Ok(candidate.parts.iter().filter_map(of).collect())
}

fn was_called(candidate: &Candidate, service: &ServiceName, earlier: &ServiceName) -> bool {
    let mut services = candidate.system.services.iter();
    services.any(|declared| declared.name == *service && declared.was.contains(earlier))
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

/// Why a system is not released: what would begin with nothing.
pub(super) fn refusal(core: &Kubernetes, recorded: &Recorded, candidate: &Candidate, moves: &[Move]) -> Fault {
    let environment = &core.deployment.environment;
    let system = &candidate.system.name;
    let told = |Move { service, from, to }: &Move| {
        let unit = UnitId::new(system, service);
        let size = recorded.service(&unit).and_then(|known| known.data.as_ref()?.size);
        let size = size.filter(|_| *from == StatePlace::Own).map(|bytes| format!(" ({})", text::bytes(bytes)));
        format!("`{service}` keeps its state in {from}{}, and would have it in {to}", size.unwrap_or_default())
    };
    let moved: Vec<String> = moves.iter().map(told).collect();
    let deploy = environment.command(&format!("deploy {system} --move-state {system}"));
    let hint = format!(
        "set back what changed it (`replicas`, or what else decides it), or let it begin there without what it has stored, \
         which is kept and not carried over: `{deploy}`"
    );
    Fault::failed("state-moves", format!("{}, which begins with nothing", moved.join("; "))).hint(hint)
}

/// What is said before state moves as it was asked to.
pub(super) fn said(candidate: &Candidate, Move { service, from, to }: &Move) -> String {
    let unit = UnitId::new(&candidate.system.name, service);
    match from {
        StatePlace::Own => format!("{} is kept and not carried over to {to}", handover::what(&unit, None)),
        from => format!("what `{unit}` has in {from} is kept and not carried over to {to}"),
    }
}
