//! What was recorded of the deployment, whatever the files say: which services were made for which systems, and what they
//! are once no file declares them any more.

use super::recipe::Recipe;
use super::{Supervised, addresses, facts, revision, teardown};
use anyhow::Result;
use engine::home::Home;
use engine::ledger::Entry;
use engine::reconcile::{Entrance, Observed, Recorded, RecordedService, Stored, Unit, UnitId};
use model::Spec;
use model::environment::Ports;
use model::name::{ServiceName, SystemName};
use model::system::{Service, System};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

/// How the ledger's entries for logs are called. Each service that was ever started has one.
pub(super) const LOG: &str = "log of ";

/// Services that were made and that no file declares where they were made.
#[derive(Debug, Default)]
pub(super) struct Past(BTreeMap<ServiceName, (SystemName, Service)>);

impl Past {
    /// # Errors
    /// When what was kept of one cannot be read.
    pub(super) fn read(home: &Home, entries: &[Entry], spec: &Spec) -> Result<Self> {
        let mut past = BTreeMap::new();
        for (system, services) in made(entries) {
            let declared = spec.systems.iter().find(|known| known.name == system);
            let declared = |service: &ServiceName| declared.is_some_and(|system| has(system, service));
            for service in services.into_keys().filter(|service| !declared(service)) {
                let known = match facts::kept(home, &service)? {
                    Some((_, known)) => known,
                    None => match newest_recipe(home, &system, &service)? {
                        Some(recipe) => facts::of_recipe(&recipe),
                        None => facts::blank(&service),
                    },
                };
                past.insert(service, (system.clone(), known));
            }
        }
        // Of others that were made, revisions may still tell.
        for (system, service) in facts::all(home)? {
            let declared = spec.systems.iter().find(|known| known.name == system);
            let declared = declared.is_some_and(|system| has(system, &service.name));
            if !declared && !past.contains_key(&service.name) {
                past.insert(service.name.clone(), (system, service));
            }
        }
        Ok(Self(past))
    }

    pub(super) fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.0.get(name).map(|(_, service)| service)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&SystemName, &Service)> {
        self.0.values().map(|(system, service)| (system, service))
    }
}

/// How a service was started when it was last proven.
///
/// # Errors
/// When the revisions cannot be read.
pub(crate) fn newest_recipe(home: &Home, system: &SystemName, service: &ServiceName) -> Result<Option<Recipe>> {
    let history = revision::history(&home.releases(system))?;
    let recipes = history.into_iter().rev().flat_map(|revision| revision.recipes);
    Ok(recipes.into_iter().find(|recipe| recipe.service == *service))
}

/// What the ledger has of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Made {
    /// It was started.
    ran: bool,
    /// A place was made for what it stores.
    stores: bool,
}

/// The services that the ledger names, by system. An edge is none.
fn made(entries: &[Entry]) -> BTreeMap<SystemName, BTreeMap<ServiceName, Made>> {
    let mut all: BTreeMap<SystemName, BTreeMap<ServiceName, Made>> = BTreeMap::new();
    for entry in entries {
        let Some(Ok(system)) = entry.system.as_deref().map(str::parse::<SystemName>) else { continue };
        let (log, data) = (entry.id.strip_prefix(LOG), teardown::data_of(&entry.id));
        let Some(Ok(service)) = log.or(data).map(str::parse::<ServiceName>) else { continue };
        if is_edge_of(&system, &service) {
            continue;
        }
        let made = all.entry(system).or_default().entry(service).or_default();
        made.ran |= log.is_some();
        made.stores |= data.is_some();
    }
    all
}

impl Supervised {
    /// A service as the files declare it, or as it was when it was last started.
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.deployment.find_service(name).or_else(|| self.past.service(name))
    }

    /// A system as the files declare it, and with it what was made for it and is declared no longer.
    pub fn known_system(&self, name: &SystemName) -> System {
        let declared = self.deployment.spec.systems.iter().find(|system| system.name == *name);
        let mut system = declared.cloned().unwrap_or_else(|| System {
            name: name.clone(),
            description: String::new(),
            services: Vec::new(),
            smoke: Vec::new(),
            denied: Vec::new(),
            jobs: Vec::new(),
            was: BTreeSet::new(),
        });
        system.services.extend(self.past.all().filter(|(of, _)| *of == name).map(|(_, service)| service.clone()));
        system
    }

    /// All systems that are declared or were made, in the order of their names.
    pub fn known_systems(&self) -> Vec<System> {
        let declared = self.deployment.spec.systems.iter().map(|system| system.name.clone());
        let made = made(self.ledger().entries()).into_keys();
        let names: BTreeSet<SystemName> = declared.chain(made).collect();
        names.iter().map(|name| self.known_system(name)).collect()
    }

    /// The system that has a service: as declared, or as it was when it was made.
    pub fn system_of(&self, service: &ServiceName) -> Option<System> {
        let reshaped = self.reshaped();
        if let Some(system) = reshaped.iter().find(|system| has(system, service)) {
            return Some(system.clone());
        }
        let declared = self.deployment.spec.systems.iter().find(|system| has(system, service));
        let past =
            || self.past.all().find(|(_, known)| known.name == *service).map(|(system, _)| self.known_system(system));
        declared.cloned().or_else(past)
    }

    /// The system that an edge is in front of.
    pub(crate) fn behind(&self, edge: &ServiceName) -> Option<SystemName> {
        self.known_systems().into_iter().map(|system| system.name).find(|system| is_edge_of(system, edge))
    }

    /// The system that a service was made for.
    pub(crate) fn made_for(&self, service: &ServiceName) -> Option<SystemName> {
        made(self.ledger().entries())
            .into_iter()
            .find(|(_, services)| services.contains_key(service))
            .map(|(name, _)| name)
    }

    /// Whether a system was started here, and has not been torn down.
    pub(crate) fn ran(&self, system: &SystemName) -> bool {
        made(self.ledger().entries()).get(system).is_some_and(|services| services.values().any(|made| made.ran))
    }

    pub(super) fn read_recorded(&self) -> Result<Recorded> {
        let mut recorded = Recorded::default();
        // Whoever is asked below may look into the ledger, too.
        let all = made(self.ledger().entries());
        for (system, services) in all {
            let of_system = recorded.systems.entry(system).or_default();
            for (name, made) in services {
                let data = made.stores.then(|| self.runtime.stored(self, &name)).flatten();
                let entrances = self.service(&name).map(|service| self.claims(service)).unwrap_or_default();
                let known = RecordedService { entrances, data, only_data: !made.ran };
                // Of what neither runs nor has stored anything, nothing is left but the folder that was made for it.
                if made.ran || known.data.is_some() {
                    of_system.services.insert(name, known);
                }
            }
        }
        recorded.systems.retain(|_, system| !system.services.is_empty());
        Ok(recorded)
    }

    /// What the supervisor runs, under the system it was made for.
    pub(super) fn read_observed(&self) -> Result<Observed> {
        let held = self.runtime.held(self)?;
        let mut observed = Observed::default();
        for status in self.supervised()? {
            let Some(system) = self.made_for(&status.service) else { continue };
            let own = held.serving.iter().filter(|(service, _)| service.owner() == status.service);
            let entrances = match self.deployment.environment.ports {
                Ports::Declared | Ports::Prefer => own.map(|(_, address)| Entrance::Port(address.port())).collect(),
                // Nobody wants a port of another's where any will do.
                Ports::Free => BTreeSet::new(),
            };
            observed.units.insert(UnitId::new(&system, &status.service), Unit { entrances });
        }
        Ok(observed)
    }

    /// The ports of this machine that a service is to have.
    pub(super) fn claims(&self, service: &Service) -> BTreeSet<Entrance> {
        let port = |one: Service| match self.deployment.environment.ports {
            Ports::Declared => one.host_port,
            Ports::Prefer => {
                let known = self.addresses().ok();
                known.and_then(|known| known.get(&one.name).map(SocketAddr::port))
            }
            Ports::Free => None,
        };
        let each = addresses::each_port(service).into_iter().filter(|one| self.runtime.takes_port(one));
        each.filter_map(port).map(Entrance::Port).collect()
    }

    /// Writes down what an earlier version of this program has not: what each service is that was made.
    pub(super) fn complete_records(&self) -> Result<()> {
        let made = made(self.ledger().entries());
        for system in &self.deployment.spec.systems {
            let of_system = made.get(&system.name);
            for service in &system.services {
                let ran = of_system.and_then(|services| services.get(&service.name)).is_some_and(|made| made.ran);
                if ran && facts::kept(self.home(), &service.name)?.is_none() {
                    facts::keep(self.home(), &system.name, service)?;
                }
            }
        }
        Ok(())
    }
}

fn is_edge_of(system: &SystemName, service: &ServiceName) -> bool {
    service.as_str().strip_prefix("edge-") == Some(system.as_str())
}

fn has(system: &System, service: &ServiceName) -> bool {
    system.services.iter().any(|known| known.name == *service)
}

/// What is in a folder, in bytes; `None` when it is empty or not there.
pub fn stored_in(folder: &Path) -> Option<Stored> {
    if !folder.is_dir() || teardown::paths::is_empty(folder) {
        return None;
    }
    Some(Stored { size: size_of(folder) })
}

fn size_of(folder: &Path) -> Option<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let kind = entry.file_type().ok()?;
        size += if kind.is_dir() { size_of(&entry.path())? } else { entry.metadata().ok()?.len() };
    }
    Some(size)
}
