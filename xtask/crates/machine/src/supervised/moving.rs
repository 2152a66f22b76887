//! Where a service keeps its state on one machine: in an optional service that it uses, and else in a place of its own.

use super::Supervised;
use super::recipe::{Recipe, keep_data, provided};
use super::records::newest_recipe;
use anyhow::Result;
use engine::reconcile::{Recorded, RecordedService, StateMove, UnitId};
use model::asset;
use model::name::{ServiceName, SystemName};
use model::system::{Presence, Service, System, Template};
use std::collections::BTreeMap;

impl Supervised {
    /// Where services keep their state, and where the files would have it instead.
    ///
    /// # Errors
    /// When what is recorded cannot be read.
    pub(super) fn find_moving(&self, recorded: &Recorded) -> Result<BTreeMap<UnitId, StateMove>> {
        let mut moving = BTreeMap::new();
        for system in self.deployment.systems() {
            for service in system.services.iter().filter(|service| keeps_data(service)) {
                if let Some(moved) = self.state_move(recorded, system, service)? {
                    moving.insert(UnitId::new(&system.name, &service.name), moved);
                }
            }
        }
        Ok(moving)
    }

    /// A service that may use an optional one keeps its state there where that is, and else in a place of its own.
    fn state_move(&self, recorded: &Recorded, system: &System, service: &Service) -> Result<Option<StateMove>> {
        let Some((before, was)) = self.last_started(system, service)? else { return Ok(None) };
        let used = provided(before.templates());
        let uses = self.uses(system, service)?;
        let has_stored = |known: &RecordedService| !known.only_data && known.data.is_some();
        let stored = |unit: &UnitId| recorded.service(unit).is_some_and(has_stored);
        let optional = |name: &ServiceName| self.service(name).is_some_and(|known| known.presence != Presence::Always);
        let shared = used.iter().filter(|name| optional(name)).map(|name| UnitId::new(&was.system, name)).find(stored);
        let now = uses.iter().find(|other| other.presence != Presence::Always && keeps_data(other));
        let stays = match (&shared, now) {
            (Some(before), Some(now)) => is(now, &before.service),
            (None, Some(now)) => used.iter().any(|name| is(now, name)) || !stored(&was),
            (Some(_), None) => false,
            (None, None) => true,
        };
        let place =
            |name: Option<&ServiceName>| name.map_or("a place of its own".to_owned(), |name| format!("`{name}`"));
        let (from, to) = (place(shared.as_ref().map(|unit| &unit.service)), place(now.map(|now| &now.name)));
        Ok((!stays).then(|| StateMove { holder: Some(shared.unwrap_or(was)), from, to }))
    }

    /// How a service was started last, under whichever name it had, and which unit it was.
    fn last_started(&self, system: &System, service: &Service) -> Result<Option<(Recipe, UnitId)>> {
        let systems: Vec<&SystemName> = std::iter::once(&system.name).chain(&system.was).collect();
        for system in systems {
            for name in std::iter::once(&service.name).chain(&service.was) {
                if let Some(recipe) = newest_recipe(self.home(), system, name)? {
                    return Ok(Some((recipe, UnitId::new(system, name))));
                }
            }
        }
        Ok(None)
    }

    /// The services of its system that a service is told of, those left out that the system does without here.
    fn uses<'s>(&self, system: &'s System, service: &Service) -> Result<Vec<&'s Service>> {
        let told = provided(templates(service));
        let mut uses = Vec::new();
        // Nothing is replicated on one machine, so what only several replicas need is absent.
        let here = |other: &&Service| other.presence != Presence::WhenReplicated;
        for other in system.services.iter().filter(here).filter(|other| told.contains(&other.name)) {
            if !self.runtime.does_without(self, system, &other.name)? {
                uses.push(other);
            }
        }
        Ok(uses)
    }
}

/// Whether a service is what had this name.
fn is(service: &Service, name: &ServiceName) -> bool {
    service.name == *name || service.was.contains(name)
}

fn templates(service: &Service) -> impl Iterator<Item = &Template> {
    service.env.values().chain(&service.args).chain(asset::texts(&service.files))
}

/// Whether it is given a place that outlives it.
fn keeps_data(service: &Service) -> bool {
    keep_data(templates(service))
}
