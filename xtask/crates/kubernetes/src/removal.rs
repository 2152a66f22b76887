//! The steps that remove what no file declares any more, each after what takes its place is proven.

use super::parting::{self, Parting, named};
use super::records::VerifiedRelease;
use super::release::{self, Goal};
use super::release_context::{Candidate, DesiredRelease, ReleaseContext};
use super::traffic::Probe;
use super::{Kubernetes, auto_rollback, drift, handover, helm, prerequisites, recorded, rollout, running, teardown};
use anyhow::Result;
use engine::backend::Target;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use engine::reconcile::{Changes, DataPolicy, Observed, Order, Recorded, UnitId};
use model::name::{ServiceName, SystemName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a deploy removes.
pub(super) struct Removals<'a> {
    pub(super) core: &'a Arc<Kubernetes>,
    pub(super) changes: &'a Changes,
    pub(super) recorded: &'a Recorded,
    pub(super) observed: &'a Observed,
    /// Systems that are left as they are. What they would take the place of stays, too.
    pub(super) held: BTreeSet<SystemName>,
    /// Whose volumes a killed run has left without a claim.
    pub(super) under_way: Vec<UnitId>,
}

pub(super) fn prove_id(system: &SystemName) -> StepId {
    Action::new("prove").of(&system)
}

impl Removals<'_> {
    /// What goes, and how.
    fn going(&self) -> impl Iterator<Item = (&UnitId, &DataPolicy, &Order)> {
        let waits = |order: &Order| match order {
            Order::Free => false,
            Order::After(units) | Order::Before(units) => units.iter().any(|unit| self.held.contains(&unit.system)),
        };
        let all = self.changes.removals().map(|(unit, data, order, _)| (unit, data, order));
        all.filter(move |(unit, _, order)| !self.held.contains(&unit.system) && !waits(order))
    }

    /// What goes of a system.
    fn of(&self, system: &SystemName) -> BTreeMap<&ServiceName, (&DataPolicy, &Order)> {
        let own = self.going().filter(|(unit, ..)| unit.system == *system);
        own.map(|(unit, data, order)| (&unit.service, (data, order))).collect()
    }

    /// What becomes of the services of a release that its system does not declare any more.
    pub(super) fn parting(&self, system: &SystemName) -> Result<Parting> {
        let gone = self.of(system);
        let released = recorded::released(self.core, system)?;
        let stored = |service: &ServiceName| {
            let unit = UnitId::new(system, service);
            self.recorded.service(&unit).is_some_and(|known| known.data.is_some())
        };
        let hands = |service: &ServiceName| matches!(gone.get(service), Some((DataPolicy::Hand { .. }, _)));
        // What a killed run has handed over already does not run beside whoever has it now.
        let has_lost = |service: &ServiceName| {
            released.get(service).is_some_and(|values| values["storage"].is_object()) && !stored(service)
        };
        let stopped = released.keys().filter(|service| hands(service) || has_lost(service)).cloned().collect();
        let undeclared = self.changes.removals().map(|(unit, ..)| unit);
        let waits = undeclared.filter(|unit| unit.system == *system && !gone.contains_key(&unit.service));
        let left = self.changes.left.iter().map(|left| &left.unit).filter(|unit| unit.system == *system);
        Ok(Parting { stay: left.chain(waits).map(|unit| unit.service.clone()).collect(), stopped })
    }

    /// The systems whose proofs come before what a system has no more of goes.
    fn after(&self, system: &SystemName) -> BTreeSet<SystemName> {
        let orders = self.of(system).into_values().map(|(_, order)| order);
        let units = orders.flat_map(|order| match order {
            Order::Free => Vec::new(),
            Order::After(units) | Order::Before(units) => units.iter().collect(),
        });
        units.map(|unit| unit.system.clone()).filter(|other| other != system).collect()
    }

    /// The systems that a system has to let go of what it stored for, before it is released itself.
    pub(super) fn heirs(&self, system: &SystemName) -> BTreeSet<SystemName> {
        let data = self.of(system).into_values().map(|(data, _)| data);
        let heirs = data.filter_map(|data| match data {
            DataPolicy::Hand { to } => Some(to.system.clone()),
            _ => None,
        });
        heirs.filter(|heir| heir != system).collect()
    }

    /// The steps that hand what was stored to the services of a system.
    pub(super) fn handovers(&self, system: &SystemName, needs: &[StepId]) -> Vec<Step> {
        let handed = self.going().filter_map(|(unit, data, _)| match data {
            DataPolicy::Hand { to } if to.system == *system => Some((unit, to)),
            _ => None,
        });
        let step = |(from, to): (&UnitId, &UnitId)| {
            let size = self.recorded.service(from).and_then(|known| known.data.as_ref()?.size);
            let what = handover::what(from, size);
            let preview = vec![
                Preview::Do(format!("stop `{from}`: nothing of it serves until `{to}` does")),
                Preview::Do(format!("claim its volume anew, as `{to}` finds it; nothing is copied")),
            ];
            let work = handover::HandoverWork { core: Arc::clone(self.core), from: from.clone(), to: to.clone() };
            let id = Action::new("handover").of(to);
            plain(id, Some(system), format!("hand {what} to `{to}`"), needs.to_vec(), preview, work)
        };
        let mut steps: Vec<Step> = handed.map(step).collect();
        let declared = |unit: &UnitId| self.core.system_of(&unit.service).is_some_and(|own| own.name == unit.system);
        for unit in self.under_way.iter().filter(|unit| unit.system == *system && declared(unit)) {
            let preview = vec![Preview::Do(format!("claim the volume of `{unit}` anew, as a killed run has not"))];
            let work = handover::HandoverWork { core: Arc::clone(self.core), from: unit.clone(), to: unit.clone() };
            let title = format!("give {} back to it", handover::what(unit, None));
            steps.push(plain(Action::new("handover").of(unit), Some(system), title, needs.to_vec(), preview, work));
        }
        steps
    }

    /// The step that takes out of a release what its system declares no longer, if there is such a thing.
    pub(super) fn retire(&self, run: &Arc<ReleaseContext>, candidate: &Candidate, goal: Goal) -> Option<Step> {
        let system = &candidate.system.name;
        let gone = self.of(system);
        let services = named(gone.keys().copied());
        let preview = self.taken(system);
        let needs = std::iter::once(system.clone()).chain(self.after(system)).map(|system| prove_id(&system)).collect();
        let names = gone.keys().map(|service| (*service).clone()).collect();
        let work = RetireWork { run: Arc::clone(run), candidate: candidate.clone(), goal, gone: names };
        let title = format!("remove {services}, which `{system}` declares no longer");
        (!gone.is_empty()).then(|| plain(teardown::RETIRE.of(system), Some(system), title, needs, preview, work))
    }

    /// What is done to what goes of a system.
    fn taken(&self, system: &SystemName) -> Vec<Preview> {
        let gone = self.of(system);
        let (released, others): (Vec<&ServiceName>, Vec<&ServiceName>) =
            gone.keys().copied().partition(|service| self.recorded.was_made(&UnitId::new(system, service)));
        let is_seen = |service: &&ServiceName| self.observed.units.contains_key(&UnitId::new(system, service));
        let unproven: Vec<&ServiceName> = others.into_iter().filter(is_seen).collect();
        let said = |services: &[&ServiceName], tell: fn(String) -> String| {
            (!services.is_empty()).then(|| Preview::Do(tell(named(services.iter().copied()))))
        };
        let out = said(&released, |services| format!("take {services} out of its release"));
        let removed = said(&unproven, |services| format!("remove {services}, which no proven release has"));
        let kept = gone.iter().filter_map(|(service, (data, _))| self.kept(&UnitId::new(system, service), data));
        out.into_iter().chain(removed).chain(kept).collect()
    }

    fn kept(&self, unit: &UnitId, data: &DataPolicy) -> Option<Preview> {
        match data {
            DataPolicy::Keep(stored) => Some(Preview::Do(format!("keep {}", handover::what(unit, stored.size)))),
            _ => None,
        }
    }

    /// The steps that remove what is left of systems that are no part of this deploy, as they are declared no longer or
    /// have something that one of its systems takes over. `proves` are those of the systems of this deploy, `new` those
    /// that nothing was known of: one of them may be what takes the place of a system that is gone.
    pub(super) fn elsewhere(
        &self,
        run: &Arc<ReleaseContext>,
        candidates: &[Candidate],
        new: &BTreeSet<SystemName>,
    ) -> Result<Vec<Step>> {
        let deployment = &self.core.deployment;
        let own = |system: &SystemName| candidates.iter().any(|candidate| candidate.system.name == *system);
        let mut steps = Vec::new();
        let going: BTreeSet<&SystemName> = self.going().map(|(unit, ..)| &unit.system).collect();
        let seen = self.observed.units.keys().map(|unit| &unit.system);
        let known = self.recorded.systems.keys().chain(seen);
        let undeclared = known.filter(|system| deployment.declares_system(system) == Some(false));
        let whole = deployment.scope.everything && deployment.unreadable.systems.is_empty();
        // A new system that is left out may be the one that takes its place.
        let whole = whole && !self.held.iter().any(|system| is_new(self.core, self.recorded, system));
        let whole: BTreeSet<&SystemName> = undeclared.filter(|system| whole && !self.waits(system)).collect();
        for system in going.into_iter().chain(whole.iter().copied()).collect::<BTreeSet<_>>() {
            let proven: BTreeSet<SystemName> = self.after(system).into_iter().chain(new.iter().cloned()).collect();
            let needs: Vec<StepId> = proven.iter().filter(|system| own(system)).map(prove_id).collect();
            if whole.contains(system) {
                steps.extend(self.uninstall(system, &needs)?);
            } else if !own(system) {
                steps.extend(self.take_out(run, system, needs)?);
            }
        }
        Ok(steps)
    }

    /// Whether something of a system stays as it is, or waits for one that does.
    fn waits(&self, system: &SystemName) -> bool {
        let gone = self.of(system);
        let waiting = self.changes.removals().map(|(unit, ..)| unit).filter(|unit| !gone.contains_key(&unit.service));
        let left = self.changes.left.iter().map(|left| &left.unit).filter(|unit| self.is_there(unit));
        waiting.chain(left).any(|unit| unit.system == *system)
    }

    /// Whether something of a unit is meant to run, or is there.
    fn is_there(&self, unit: &UnitId) -> bool {
        self.recorded.was_made(unit) || self.observed.units.contains_key(unit)
    }

    /// A system that no file declares any more. What it stored stays.
    fn uninstall(&self, system: &SystemName, needs: &[StepId]) -> Result<Vec<Step>> {
        let recorded = || self.recorded.units().filter(|(unit, _)| unit.system == *system);
        let stored: Vec<(UnitId, DataPolicy)> =
            recorded().filter_map(|(unit, known)| Some((unit, DataPolicy::Keep(known.data.clone()?)))).collect();
        let mut units = recorded().map(|(unit, _)| unit).chain(self.observed.units.keys().cloned());
        let is_there = units.any(|unit| unit.system == *system && self.is_there(&unit));
        if !stored.is_empty() && !is_there {
            // Nothing but what is kept.
            return Ok(Vec::new());
        }
        let mut steps = teardown::of_undeclared(self.core, system, needs)?;
        if let Some(first) = steps.first_mut() {
            first.preview.extend(stored.iter().filter_map(|(unit, data)| self.kept(unit, data)));
        }
        Ok(steps)
    }

    /// Takes what is in the way of this deploy out of the release of a system that is no part of it. Where nothing of that
    /// system was ever proven, it goes by its label, if there is anything.
    fn take_out(&self, run: &Arc<ReleaseContext>, system: &SystemName, needs: Vec<StepId>) -> Result<Option<Step>> {
        let services: BTreeSet<ServiceName> = self.of(system).into_keys().cloned().collect();
        let title = format!("remove {} of `{system}`, whose place is taken", named(services.iter()));
        let (id, preview) = (teardown::RETIRE.of(system), self.taken(system));
        let Some(newest) = self.core.records.history(system)?.pop() else {
            let is_there = services.iter().any(|service| self.is_there(&UnitId::new(system, service)));
            let work = UnprovenWork { core: Arc::clone(self.core), system: system.clone(), gone: services };
            return Ok(is_there.then(|| plain(id, Some(system), title, needs, preview, work)));
        };
        let without = parting::without(&newest, &services, |values| run.stamp(values).to_string());
        let (candidate, goal) = (Candidate::recalled(system, &newest), Goal::Verified(Box::new(without)));
        let work = RetireWork { run: Arc::clone(run), candidate, goal, gone: services };
        Ok(Some(plain(id, Some(system), title, needs, preview, work)))
    }
}

/// The step that takes these services out of a release.
pub(super) fn retire_step(
    run: &Arc<ReleaseContext>,
    candidate: &Candidate,
    goal: Goal,
    gone: &BTreeSet<ServiceName>,
) -> Step {
    let system = &candidate.system.name;
    let services = named(gone.iter());
    let preview = vec![Preview::Do(format!("take {services} out of its release"))];
    let work = RetireWork { run: Arc::clone(run), candidate: candidate.clone(), goal, gone: gone.clone() };
    let title = format!("remove {services}, which that revision of `{system}` does not have");
    plain(teardown::RETIRE.of(system), Some(system), title, vec![prove_id(system)], preview, work)
}

fn plain(
    id: StepId,
    system: Option<&SystemName>,
    title: String,
    needs: Vec<StepId>,
    preview: Vec<Preview>,
    work: impl Work + 'static,
) -> Step {
    let system = system.map(ToString::to_string);
    Step { id, title, system, needs, holds: Holds::Nothing, preview, work: Box::new(work) }
}

/// Has a release be what it is to be in the end, and records it so.
struct RetireWork {
    run: Arc<ReleaseContext>,
    candidate: Candidate,
    goal: Goal,
    /// What is to be gone, by its release or, where a killed run has left it, by its label.
    gone: BTreeSet<ServiceName>,
}

impl RetireWork {
    fn desired(&self) -> Result<DesiredRelease> {
        match &self.goal {
            Goal::Desired => self.candidate.parting.lasting(&self.run, release::wanted(&self.run, &self.candidate)?),
            Goal::Verified(proven) => self.run.again(&self.candidate, proven),
        }
    }

    /// Helm's newest record is of this release already.
    fn is_made(&self, desired: &DesiredRelease) -> Result<bool> {
        let records = running::records(&self.run.core, &self.candidate.system.name)?;
        Ok(records.last().is_some_and(|newest| newest.is_deployed() && desired.stamp.is_on(newest)))
    }
}

impl Work for RetireWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let desired = self.desired()?;
        let nothing =
            parting::leaving(&self.run, &desired)?.is_subset(&self.candidate.parting.stay) && self.is_made(&desired)?;
        let nothing = nothing && !teardown::is_left(&self.run.core, &self.candidate.system.name, &self.gone)?;
        Ok(nothing.then(|| "nothing of it is there".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (run, core, system) = (&self.run, &self.run.core, &self.candidate.system.name);
        let desired = self.desired()?;
        let gone: BTreeSet<ServiceName> = parting::leaving(run, &desired)?.union(&self.gone).cloned().collect();
        let provider = core.platform.ingress_provider();
        if let Some(provider) = provider {
            provider.close(core, cx, &core.names.namespace(system), Some(&gone))?;
        }
        // While the records have what is gone, a run that is killed is gone on with.
        let forget_closed = || provider.map_or(Ok(()), |provider| provider.forget_closed(core, cx, system));
        if desired.versions.is_empty() {
            helm::uninstall(run, system, cx)?;
            teardown::remove_left_of(core, system, &gone, cx)?;
            forget_closed()?;
            core.records.forget_releases(system)?;
            return Ok(Outcome::Done);
        }
        helm::repair(run, system, cx)?;
        let probe = Probe::start(core, cx, &desired.wanted.public());
        if !self.is_made(&desired)? {
            helm::upgrade(run, &desired, cx)?;
        }
        teardown::remove_left_of(core, system, &gone, cx)?;
        rollout::watch(core, cx, &desired.wanted)?;
        forget_closed()?;
        let helm_revision = auto_rollback::newest(run, system)?;
        let objects = drift::capture(core, system)?;
        core.records.amend(system, |newest| VerifiedRelease {
            stamp: desired.stamp.to_string(),
            helm_revision,
            values: desired.values.clone(),
            versions: desired.versions.clone(),
            objects: objects.clone(),
            ..newest
        })?;
        probe.finish(cx)?;
        if let Err(error) = prerequisites::prune(core, system) {
            cx.news(format!("Secrets and files that nothing refers to any more were left: {error:#}"));
        }
        Ok(Outcome::DoneWith(format!("{} is gone", named(gone.iter()))))
    }
}

/// Removes what no release would lose, since none of its system was ever proven.
struct UnprovenWork {
    core: Arc<Kubernetes>,
    system: SystemName,
    gone: BTreeSet<ServiceName>,
}

impl Work for UnprovenWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let is_left = teardown::is_left(&self.core, &self.system, &self.gone)?;
        Ok((!is_left).then(|| "nothing of it is there".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let provider = self.core.platform.ingress_provider();
        if let Some(provider) = provider {
            provider.close(&self.core, cx, &self.core.names.namespace(&self.system), Some(&self.gone))?;
        }
        teardown::remove_left_of(&self.core, &self.system, &self.gone, cx)?;
        provider.map_or(Ok(()), |provider| provider.forget_closed(&self.core, cx, &self.system))?;
        Ok(Outcome::DoneWith(format!("{} is gone", named(self.gone.iter()))))
    }
}

/// Whether anything is known of a system.
pub(super) fn is_new(core: &Kubernetes, recorded: &Recorded, system: &SystemName) -> bool {
    let known = recorded.systems.get(system);
    let is_there = known.is_some_and(|known| known.services.values().any(|service| !service.only_data));
    !is_there && core.deployment().declares_system(system) == Some(true)
}
