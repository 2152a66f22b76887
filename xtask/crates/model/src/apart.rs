//! Gives each service a name that is unique over all systems. Files say names that are unique within theirs: two systems may
//! both have a `db`, and on one machine their folders, containers and images have to be told apart.

use super::asset::Content;
use super::environment::Environment;
use super::error::{Place, Sink, SpecErrors};
use super::load::{SYSTEMS, Spec};
use super::name::{ServiceName, SystemName};
use super::smoke::Origin;
use super::system::{Piece, Reference, Service, System, TargetKind, Template};
use std::collections::{BTreeMap, BTreeSet};

/// A service that is recorded as made, and the system that it was made for. Its things keep the name that they have.
pub type Holder = (SystemName, ServiceName);

/// What the services of one system are called, by the names in its file.
type Renamed = BTreeMap<ServiceName, ServiceName>;

impl Spec {
    /// Gives each service its name. On a machine that is the one of its file, unless another system has that; in a cluster
    /// each system has a namespace, and only we have to tell them apart. What is `held` keeps its name, however many
    /// systems come and go, and one that moves to another system takes it along. Systems that are `unreadable` still have
    /// what they had.
    pub fn tell_apart(&mut self, environment: &mut Environment, unreadable: &BTreeSet<SystemName>, held: &[Holder]) {
        let on_machine = is_machine(environment.target);
        self.rename(on_machine, unreadable, if on_machine { held } else { &[] });
        let own = std::mem::take(&mut environment.service_env);
        for (text, variables) in own {
            let name = match self.named(&text).as_slice() {
                [(_, only)] => only.name.shown(),
                _ => text,
            };
            environment.service_env.entry(name).or_default().extend(variables);
        }
    }

    /// The same where nothing is deployed.
    #[must_use]
    pub fn told_apart(mut self) -> Self {
        self.rename(false, &BTreeSet::new(), &[]);
        self
    }

    fn rename(&mut self, on_machine: bool, unreadable: &BTreeSet<SystemName>, held: &[Holder]) {
        let declared: BTreeSet<Holder> = self.declared().collect();
        let naming = Naming { declared: &declared, unreadable, held, on_machine };
        let mut all: BTreeMap<SystemName, Renamed> = BTreeMap::new();
        let mut used = BTreeSet::new();
        let mut moved: BTreeMap<ServiceName, ServiceName> = BTreeMap::new();
        for (system, local) in &declared {
            let (mut name, from) = naming.name(system, local);
            if !used.insert(name.clone()) {
                // A run that was killed as the service moved has it recorded for both.
                name = local.qualified(system);
            }
            moved.extend(from.map(|from| (name.clone(), from)));
            all.entry(system.clone()).or_default().insert(local.clone(), name);
        }
        for system in &mut self.systems {
            rename_system(system, &all, &naming);
            for service in &mut system.services {
                service.was.extend(moved.remove(&service.name));
            }
        }
        let name_of = |system: &SystemName, service: &ServiceName| all.get(system)?.get(service).cloned();
        for port in &mut self.ports {
            port.service = name_of(&port.system, &port.service).unwrap_or_else(|| port.service.clone());
        }
        for file in &mut self.files {
            file.service = name_of(&file.system, &file.service).unwrap_or_else(|| file.service.clone());
        }
    }

    /// The services that a cluster cannot both reach from outside, as errors: the host name of each is its own. `named` narrows
    /// them to those that one of these systems is part of.
    ///
    /// # Errors
    /// When there are any.
    pub fn check_hosts(&self, target: TargetKind, named: &[SystemName]) -> Result<(), SpecErrors> {
        let sink = Sink::default();
        let mut first: BTreeMap<&str, &SystemName> = BTreeMap::new();
        let all =
            self.systems.iter().flat_map(|system| system.services.iter().map(move |service| (&system.name, service)));
        let has_host = |service: &Service| service.public && service.targets.contains(&target) && !is_machine(target);
        for (system, service) in all.filter(|(_, service)| has_host(service)) {
            let name = service.public_name.name.local();
            let Some(other) = first.insert(name, system).filter(|other| *other != system) else { continue };
            if named.is_empty() || named.contains(system) || named.contains(other) {
                let place = Place::File { path: format!("{SYSTEMS}/{system}.toml"), line: None };
                let message = format!(
                    "`services.{name}` is public, and so is that of `{other}`, which has the same host name; call one of them \
                     otherwise, or leave one to others of its system: `public = false`"
                );
                sink.report(place, message);
            }
        }
        sink.finish(Some(()))
    }

    /// The services that a person may mean: `SERVICE`, or `SYSTEM/SERVICE`.
    pub fn named(&self, text: &str) -> Vec<(&System, &Service)> {
        let all = self.systems.iter().flat_map(|system| system.services.iter().map(move |service| (system, service)));
        all.filter(|(system, service)| is_named(text, &system.name, &service.name)).collect()
    }

    /// A service of a system that is recorded under this name: as it is told apart from others, where it is.
    pub fn called(&self, system: &SystemName, text: &str) -> Option<ServiceName> {
        let of_system = self.systems.iter().filter(|known| known.name == *system).flat_map(|known| &known.services);
        let known = of_system.map(|service| &service.name).find(|name| name.as_str() == text);
        known.cloned().or_else(|| text.parse().ok())
    }

    fn declared(&self) -> impl Iterator<Item = Holder> {
        let of_system = |system: &System| -> Vec<Holder> {
            system.services.iter().map(|service| (system.name.clone(), service.name.clone())).collect()
        };
        self.systems.iter().flat_map(of_system)
    }
}

/// Whether all systems share one place there.
fn is_machine(target: TargetKind) -> bool {
    matches!(target, TargetKind::Host | TargetKind::Containers)
}

/// Whether a person means a service of a system by a text.
pub fn is_named(text: &str, system: &SystemName, service: &ServiceName) -> bool {
    match text.split_once('/') {
        Some((of, local)) => of == system.as_str() && local == service.local(),
        None => text == service.local(),
    }
}

struct Naming<'a> {
    declared: &'a BTreeSet<Holder>,
    unreadable: &'a BTreeSet<SystemName>,
    held: &'a [Holder],
    on_machine: bool,
}

impl Naming<'_> {
    /// What a service is called, and the one of another name in whose place it comes, as it has moved to its system.
    fn name(&self, system: &SystemName, local: &ServiceName) -> (ServiceName, Option<ServiceName>) {
        let others = || self.declared.iter().filter(|(of, name)| of != system && name == local);
        if !self.on_machine {
            let is_shared = others().next().is_some();
            return (if is_shared { local.marked(system) } else { local.clone() }, None);
        }
        if let Some(own) = self.holds(system, local) {
            return (own.clone(), None);
        }
        // What no file declares any more where it was made, and what may come in its place.
        let all = || self.held.iter().filter(|(of, name)| of != system && name.local() == local.as_str());
        let left: BTreeSet<&Holder> = all().filter(|(of, _)| self.is_left(of, local)).collect();
        let is_only_heir = others().all(|(of, _)| self.holds(of, local).is_some());
        let from = left.first().filter(|_| is_only_heir && left.len() == 1).map(|(_, from)| from);
        if let Some(from) = from.filter(|from| from.system().is_none()) {
            return (from.clone(), None);
        }
        let is_free = others().next().is_none() && all().all(|(_, name)| name != local);
        (if is_free { local.clone() } else { local.qualified(system) }, from.cloned())
    }

    /// What a service is called that was made for a system already.
    fn holds(&self, system: &SystemName, local: &ServiceName) -> Option<&ServiceName> {
        let own = self.held.iter().filter(|(of, name)| of == system && name.local() == local.as_str());
        own.map(|(_, name)| name).min()
    }

    fn is_left(&self, system: &SystemName, local: &ServiceName) -> bool {
        !self.unreadable.contains(system) && !self.declared.contains(&(system.clone(), local.clone()))
    }

    /// What an earlier name stands for: a service that was made for the same system or for one that it was, or the only
    /// one of that name, but none that another system has still.
    fn earlier(&self, system: &System, was: &ServiceName) -> ServiceName {
        let own = std::iter::once(&system.name).chain(&system.was).find_map(|of| self.holds(of, was));
        if let Some(own) = own {
            return own.clone();
        }
        let is_held = self.held.iter().any(|(of, name)| name == was && !self.is_left(of, was));
        if is_held { was.qualified(&system.name) } else { was.clone() }
    }
}

fn rename_system(system: &mut System, all: &BTreeMap<SystemName, Renamed>, naming: &Naming<'_>) {
    let own = all.get(&system.name).cloned().unwrap_or_default();
    let name = |service: &mut ServiceName| {
        if let Some(renamed) = own.get(service) {
            *service = renamed.clone();
        }
    };
    let earlier: Vec<BTreeSet<ServiceName>> = system
        .services
        .iter()
        .map(|service| service.was.iter().map(|was| naming.earlier(system, was)).collect())
        .collect();
    for (service, was) in system.services.iter_mut().zip(earlier) {
        let local = service.name.clone();
        name(&mut service.name);
        // Others of its system go on finding it under the name in their file.
        if service.name.as_str() != local.as_str() {
            service.aliases.insert(local);
        }
        service.was = was;
        service.needs.iter_mut().for_each(name);
        name(&mut service.public_name.holder);
        templates(service).for_each(|template| rename_template(template, &name));
    }
    for job in &mut system.jobs {
        name(&mut job.of);
        job.needs.iter_mut().for_each(name);
        job.command.iter_mut().chain(&mut job.args).for_each(|template| rename_template(template, &name));
    }
    system.smoke.iter_mut().for_each(|check| name(&mut check.service));
    for denied in &mut system.denied {
        name(&mut denied.to);
        if let Origin::Service(from) = &mut denied.from {
            rename_origin(from, &own, all);
        }
    }
}

/// A service that must not reach another may be of any system.
fn rename_origin(from: &mut ServiceName, own: &Renamed, all: &BTreeMap<SystemName, Renamed>) {
    let local = from.local().parse::<ServiceName>().unwrap_or_else(|_| from.clone());
    let found = match from.system() {
        Some(system) => all.get(system).and_then(|names| names.get(&local)),
        None => own.get(&local).or_else(|| all.values().find_map(|names| names.get(&local))),
    };
    if let Some(found) = found {
        *from = found.clone();
    }
}

fn templates(service: &mut Service) -> impl Iterator<Item = &mut Template> {
    let texts = service.files.values_mut().filter_map(|asset| match &mut asset.content {
        Content::Text(template) => Some(template),
        Content::Copy(_) => None,
    });
    let run = service.run.iter_mut().flat_map(|run| &mut run.args);
    service.env.values_mut().chain(service.provides.values_mut()).chain(&mut service.args).chain(run).chain(texts)
}

fn rename_template(template: &mut Template, name: &dyn Fn(&mut ServiceName)) {
    for piece in &mut template.0 {
        if let Piece::Reference(Reference::Provided { service, .. }) = piece {
            name(service);
        }
    }
}
