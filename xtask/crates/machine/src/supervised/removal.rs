//! The end of what no file declares any more, once what takes its place is proven. What it stored stays.

use super::recipe::Recipe;
use super::records::LOG;
use super::{Supervised, facts, teardown};
use anyhow::Result;
use base::files;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use engine::reconcile::{Change, Changes, DataPolicy, Left, Order, Recorded, RecordedService, UnitId, Why};
use engine::teardown::Removal;
use model::name::{ServiceName, SystemName};
use model::system::System;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use supervisor::{Client, Connection};

impl Supervised {
    /// The services that a system has besides those of these recipes.
    pub(super) fn besides<'a>(
        system: &System,
        recipes: &'a [Recipe],
        recorded: &'a Recorded,
    ) -> impl Iterator<Item = (&'a ServiceName, &'a RecordedService)> {
        let stays = |name: &ServiceName| recipes.iter().any(|recipe| recipe.service == *name);
        let of_system = recorded.systems.get(&system.name).map(|system| &system.services);
        of_system.into_iter().flatten().filter(move |(name, known)| !known.only_data && !stays(name))
    }

    /// What going back to these recipes takes the place of: the services that the system has besides them.
    pub(super) fn changes_back(&self, system: &System, recipes: &[Recipe]) -> Result<Changes> {
        let recorded = self.read_recorded()?;
        let mut changes = Changes::default();
        for (name, known) in Self::besides(system, recipes, &recorded) {
            let unit = UnitId::new(&system.name, name);
            let heir =
                |recipe: &&Recipe| self.service(name).is_some_and(|service| service.was.contains(&recipe.service));
            let heir = recipes.iter().find(heir).map(|recipe| UnitId::new(&system.name, &recipe.service));
            let takers: BTreeSet<UnitId> =
                recipes.iter().map(|recipe| UnitId::new(&system.name, &recipe.service)).collect();
            let (data, order) = match (&known.data, heir) {
                (Some(_), Some(to)) => (DataPolicy::Hand { to: to.clone() }, Order::Before(BTreeSet::from([to]))),
                (Some(stored), None) => (DataPolicy::Keep(stored.clone()), Order::After(takers.clone())),
                (None, _) => (DataPolicy::None, Order::After(takers.clone())),
            };
            for taker in takers {
                let from = matches!(&data, DataPolicy::Hand { to } if *to == taker).then(|| unit.clone());
                let change = changes.units.remove(&taker);
                let mut old = match change {
                    Some(Change::Replace { old } | Change::Adopt { old, .. }) => old,
                    _ => BTreeSet::new(),
                };
                old.insert(unit.clone());
                changes.units.insert(
                    taker,
                    match from {
                        Some(from) => Change::Adopt { from, old },
                        None => Change::Replace { old },
                    },
                );
            }
            changes.units.insert(unit, Change::Remove { data, order, why: Why::ServiceUndeclared });
        }
        Ok(changes)
    }
}

/// Adds the steps that remove what goes. What is to be replaced by something that is not started here stays.
pub(super) fn with_removals(core: &Arc<Supervised>, mut steps: Vec<Step>, changes: &mut Changes) -> Vec<Step> {
    keep_unreplaced(&steps, changes);
    let has = |steps: &[Step], id: &StepId| steps.iter().any(|step| step.id == *id);
    // What a rollback starts goes on, whatever the files say of it.
    let proof = |system: &SystemName| Action::new("smoke").of(system);
    let started: BTreeSet<SystemName> =
        changes.removals().map(|(unit, ..)| unit.system.clone()).filter(|system| has(&steps, &proof(system))).collect();
    let goes_on =
        |system: &SystemName| started.contains(system) || core.deployment.declares_system(system) != Some(false);
    let mut of_systems: BTreeMap<SystemName, Vec<StepId>> = BTreeMap::new();
    let removals: Vec<_> = changes
        .removals()
        .map(|(unit, data, order, why)| (unit.clone(), data.clone(), order.clone(), why.clone()))
        .collect();
    for (unit, data, order, why) in removals {
        let takers = takers(&order).into_iter().map(|unit| unit.system);
        let proofs = takers.chain([unit.system.clone()]).map(|system| proof(&system));
        let needs: BTreeSet<StepId> = proofs.filter(|id| has(&steps, id)).collect();
        let step = unit_step(core, unit.clone(), &data, &why, goes_on(&unit.system), needs.into_iter().collect());
        of_systems.entry(unit.system).or_default().push(step.id.clone());
        steps.push(step);
    }
    for (system, ends) in of_systems {
        if !goes_on(&system) && is_whole(core, &system, changes) {
            steps.extend(teardown::of_undeclared(core, &system, ends));
        }
    }
    steps
}

fn takers(order: &Order) -> BTreeSet<UnitId> {
    match order {
        Order::Free => BTreeSet::new(),
        Order::After(units) | Order::Before(units) => units.clone(),
    }
}

/// What nothing that is started takes the place of stays as it is, and is told of.
fn keep_unreplaced(steps: &[Step], changes: &mut Changes) {
    let starts = |unit: &UnitId| steps.iter().any(|step| step.id == super::steps::start_id(&unit.service));
    let missing = |order: &Order| takers(order).into_iter().find(|taker| !starts(taker));
    let stay: Vec<(UnitId, UnitId)> =
        changes.removals().filter_map(|(unit, _, order, _)| Some((unit.clone(), missing(order)?))).collect();
    for (unit, taker) in stay {
        changes.units.remove(&unit);
        changes.left.push(Left { unit, reason: format!("`{taker}`, which is to take its place, does not run here") });
    }
}

/// Whether all that runs of a system goes.
fn is_whole(core: &Supervised, system: &SystemName, changes: &Changes) -> bool {
    let recorded = core.read_recorded().unwrap_or_default();
    let services = recorded.systems.get(system).into_iter().flat_map(|system| &system.services);
    let going = |service| changes.removals().any(|(unit, ..)| *unit == UnitId::new(system, service));
    services.into_iter().all(|(service, known)| known.only_data || going(service))
}

fn unit_step(
    core: &Arc<Supervised>,
    unit: UnitId,
    data: &DataPolicy,
    why: &Why,
    goes_on: bool,
    needs: Vec<StepId>,
) -> Step {
    let kept = match data {
        DataPolicy::None => String::new(),
        DataPolicy::Keep(stored) => format!("; what it stored is kept{}", size(stored.size)),
        DataPolicy::Hand { to } => format!("; `{to}` has what it stored"),
    };
    Step {
        id: Action::new("remove").of(&unit),
        title: format!("remove `{unit}`"),
        system: Some(unit.system.to_string()),
        needs,
        holds: Holds::Nothing,
        preview: vec![Preview::Do(format!("stop it and remove its files, since {why}{kept}"))],
        work: Box::new(UnitWork { core: Arc::clone(core), unit, data: data.clone(), goes_on }),
    }
}

/// " (12.3 KB)"
pub fn size(bytes: Option<u64>) -> String {
    bytes.map(|bytes| format!(" ({})", base::text::bytes(bytes))).unwrap_or_default()
}

struct UnitWork {
    core: Arc<Supervised>,
    unit: UnitId,
    data: DataPolicy,
    /// Its system has revisions that may be gone back to.
    goes_on: bool,
}

impl Work for UnitWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let Self { core, unit, data, goes_on } = self;
        let lives_on = core.made_for(&unit.service).is_some_and(|system| system != unit.system);
        if !lives_on {
            if let Connection::Live(client) = Client::connect(core.home().dir()) {
                cx.status("stopping it");
                client.stop(&unit.service)?;
            }
            let log = core.home().log(&unit.service);
            for path in [log.with_extension("log.1"), log, core.home().files(&unit.service)] {
                files::remove(&path)?;
            }
            if !goes_on {
                for path in teardown::paths::of_services(core, std::slice::from_ref(&unit.service)) {
                    files::remove(&path)?;
                }
                files::remove(&facts::path(core.home(), &unit.service))?;
            }
            if !matches!(data, DataPolicy::Keep(_)) {
                core.secrets.forget(&unit.service)?;
                files::remove(&core.home().data(&unit.service))?;
            }
        }
        core.runtime.remove_leftovers(core, unit, cx)?;
        let keeps = matches!(data, DataPolicy::Keep(_));
        core.ledger().strike(|entry| is_of(entry, unit) && !(keeps && entry.id.starts_with(teardown::DATA)))?;
        Ok(match data {
            DataPolicy::Keep(stored) => {
                let measured = stored.size.or_else(|| core.runtime.size(core, &unit.service));
                Outcome::DoneWith(format!("what it stored is kept{}", size(measured)))
            }
            DataPolicy::None | DataPolicy::Hand { .. } => Outcome::Done,
        })
    }
}

fn is_of(entry: &Entry, unit: &UnitId) -> bool {
    let ids = [LOG, "files of "].map(|kind| format!("{kind}{}", unit.service));
    let stored = teardown::data_of(&entry.id) == Some(unit.service.as_str());
    entry.system.as_deref() == Some(unit.system.as_str()) && (stored || ids.contains(&entry.id))
}

/// What removes the records of a system of which nothing is left but what it stored.
pub(super) fn forget(core: &Arc<Supervised>, name: &SystemName) -> Removal {
    let preview = vec![Preview::Do("its revisions, and what all of its services shared".to_owned())];
    Removal::new(format!("forget `{name}`"), preview, ForgetWork { core: Arc::clone(core), system: name.clone() })
}

struct ForgetWork {
    core: Arc<Supervised>,
    system: SystemName,
}

impl Work for ForgetWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let Self { core, system } = self;
        files::remove(&core.home().releases(system))?;
        for path in core.runtime.system_paths(core, system) {
            files::remove(&path)?;
        }
        let own = |entry: &Entry| entry.system.as_deref() == Some(system.as_str());
        core.ledger().strike(|entry| own(entry) && !entry.id.starts_with(teardown::DATA))?;
        let keeps_data = core.ledger().entries().iter().any(own);
        core.forget_jobs(system, None, keeps_data)?;
        // What is stored may be of use with nothing but the secrets that were made for it.
        if keeps_data {
            core.secrets.forget_given(system, std::iter::empty(), &BTreeSet::new())?;
        } else {
            core.secrets.forget_shared(system)?;
        }
        Ok(Outcome::Done)
    }
}
