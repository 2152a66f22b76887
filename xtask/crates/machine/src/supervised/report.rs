//! Answers: what runs, and what a deploy would change.

use super::addresses::Addresses;
use super::records::newest_recipe;
use super::runtime::{Blocked, Planned, Provided};
use super::{Supervised, addresses, assets, jobs, outlook, start};
use anyhow::Result;
use base::os;
use engine::backend::{PortStatus, ServiceState, ServiceStatus, SystemChanges, SystemStatus};
use engine::reconcile::Changes as Compared;
use model::environment::Environment;
use model::name::{ServiceName, SystemName};
use model::port::FurtherPort;
use model::system::{Service, System};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use supervisor::{InstanceStatus, ServiceStatus as Watched, State};

/// What runs, and where it is open to this machine.
struct Running {
    supervised: Vec<Watched>,
    held: Addresses,
}

impl Supervised {
    pub(super) fn report_status(&self) -> Result<Vec<SystemStatus>> {
        // Which version it is that runs does not depend on the addresses that this run would give it.
        self.with_addresses(&self.runtime.held(self)?.serving, || self.look_at_all())
    }

    fn look_at_all(&self) -> Result<Vec<SystemStatus>> {
        let supervised = self.supervised()?;
        let orphans = supervisor::orphans(self.home().dir());
        let systems = self.known_systems().into_iter().filter(|system| self.deployment.scope.has(&system.name));
        let of_system = |system: System| {
            let of_service = |service: &Service| {
                if self.made_for(&service.name).is_some_and(|made_for| made_for != system.name) {
                    return ServiceStatus::absent(&service.name);
                }
                let found = supervised.iter().find(|status| status.service == service.name);
                match orphans.iter().find(|orphan| orphan.service == service.name) {
                    Some(orphan) if found.is_none() => orphaned(service, orphan, &self.deployment.environment),
                    _ => self.service_status(&system, service, found),
                }
            };
            let services = system.services.iter().map(of_service).collect();
            SystemStatus { name: system.name.clone(), services, jobs: self.job_status(&system) }
        };
        let mut all: Vec<SystemStatus> = systems.map(of_system).collect();
        // Where the last of it is gone, nothing is left to say of what no file declares.
        let declared = |name: &SystemName| self.deployment.declares_system(name) == Some(true);
        for system in &mut all {
            let name = system.name.clone();
            let declared = self.deployment.spec.systems.iter().find(|known| known.name == name);
            let declares = |service: &ServiceName| {
                declared.is_some_and(|system| system.services.iter().any(|known| known.name == *service))
            };
            system.services.retain(|service| {
                service.state != ServiceState::Absent
                    || declares(&service.name)
                    || self.has_record(&name, &service.name)
            });
        }
        all.retain(|system| declared(&system.name) || !system.services.is_empty());
        Ok(all)
    }

    /// Whether a service ran, or has stored something.
    fn has_record(&self, system: &SystemName, service: &ServiceName) -> bool {
        let recorded = self.read_recorded().unwrap_or_default();
        recorded.systems.get(system).is_some_and(|system| system.services.contains_key(service))
    }

    /// The version of what runs, as the revisions know it.
    fn version(&self, system: &System, service: &ServiceName) -> impl Fn(&str) -> Option<String> {
        let history = super::revision::history(&self.home().releases(&system.name));
        let recipes = history.unwrap_or_default().into_iter().rev().flat_map(|revision| revision.recipes);
        let own = recipes.filter(|recipe| recipe.service == *service);
        let known: Vec<(Option<String>, String)> = own
            .map(|recipe| {
                let spec = self.runtime.launch_spec(self, &recipe, start::Secrets::Known).ok().flatten();
                (spec.map(|spec| spec.release), recipe.version())
            })
            .collect();
        move |release| known.iter().find(|(known, _)| known.as_deref() == Some(release)).map(|(_, v)| v.clone())
    }

    pub(super) fn find_changes(&self, provided: Provided, compared: &Compared) -> Result<Vec<SystemChanges>> {
        let running = Running { supervised: self.supervised()?, held: self.runtime.held(self)?.serving };
        let mut changes = Vec::new();
        let mut blocked = provided.blocked;
        for (system, planned) in &provided.systems {
            let refused = self.refused(compared, system).or_else(|| jobs::impossible(self, system, planned));
            if let Some(refused) = refused {
                blocked.push(refused);
                continue;
            }
            let change = |planned| self.change(system, planned, &running).transpose();
            let services = planned.iter().filter_map(change).collect::<Result<Vec<_>>>()?;
            let note = provided.notes.get(&system.name).cloned();
            let (name, jobs) = (system.name.clone(), self.due_jobs(system, planned)?);
            changes.push(SystemChanges { name, skipped: None, services, jobs, note });
        }
        let failing = blocked.into_iter();
        changes
            .extend(failing.map(|Blocked { system, service, fault }| SystemChanges::failing(system, service, fault)));
        let skipped = provided.skipped.into_iter();
        changes.extend(skipped.map(|skipped| SystemChanges {
            name: skipped.name,
            skipped: Some(skipped.reason),
            services: Vec::new(),
            jobs: Vec::new(),
            note: None,
        }));
        changes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(changes)
    }

    /// Why a deploy would start a service; `None` when it runs as it should.
    fn change(
        &self,
        system: &System,
        planned: &Planned,
        Running { supervised, held }: &Running,
    ) -> Result<Option<(ServiceName, Vec<String>)>> {
        let service = &planned.service.name;
        let remark = self.runtime.remark(self, &planned.recipe);
        let because = |reasons: Vec<String>| Ok(Some((service.clone(), reasons.into_iter().chain(remark).collect())));
        let status = supervised.iter().find(|status| status.service == *service);
        let Some(current) = status.and_then(|status| status.current.as_ref()) else {
            let elsewhere = self.displacement(&planned.service).map(|why| self.told_place(service, &why));
            return because(std::iter::once("it does not run".to_owned()).chain(elsewhere).collect());
        };
        let wanted = self.addresses()?.get(service).copied();
        let moved =
            held.get(service).filter(|held| self.runtime.takes_port(&planned.service) && wanted != Some(**held));
        if let Some(held) = moved {
            return because(vec![format!("it moves away from {held}")]);
        }
        let spec = self.runtime.launch_spec(self, &planned.recipe, start::Secrets::Known)?;
        if spec.is_some_and(|spec| spec.release == current.release) {
            return match current.state {
                State::Ready => Ok(None),
                other => because(vec![format!("it is {}: {}", other.as_str(), why(current))]),
            };
        }
        let version = self.with_addresses(held, || Ok(self.version(system, service)(&current.release)))?;
        let mut reasons =
            version.map(|version| self.runtime.changes_since(self, service, &version)).unwrap_or_default();
        reasons.extend(self.changed_secrets(&system.name, &planned.recipe)?);
        if let Some(before) = newest_recipe(self.home(), &system.name, service)? {
            reasons.extend(assets::changes(&before, &planned.recipe));
        }
        if reasons.is_empty() {
            reasons.push("its configuration changed".to_owned());
        }
        because(reasons)
    }

    /// Its further ports, each at this machine or, where it takes none of it, at the name that others of its system have.
    fn port_status(&self, service: &Service) -> Vec<PortStatus> {
        let taken = self.addresses().unwrap_or_default();
        let counted = addresses::each_port(service);
        let one = |(name, further): (&String, &FurtherPort)| {
            let own = service.name.port(name);
            let at = taken.get(&own).copied();
            let inside = || (!further.public).then(|| format!("{}:{}", service.name.local(), further.port));
            let note = |at| self.port_note(counted.iter().find(|counted| counted.name == own)?, at);
            PortStatus {
                name: name.clone(),
                speaks: further.speaks,
                public: further.public,
                address: at.map(|at| addresses::reachable(at).to_string()).or_else(inside),
                detail: at.and_then(note),
            }
        };
        service.ports.iter().map(one).collect()
    }

    fn service_status(&self, system: &System, service: &Service, found: Option<&Watched>) -> ServiceStatus {
        let current = found.and_then(|status| status.current.as_ref());
        let candidate = found.and_then(|status| status.candidate.as_ref());
        let Some(instance) = current.or(candidate) else {
            return ServiceStatus::absent(&service.name);
        };
        let state = match instance.state {
            State::Ready => ServiceState::Running,
            State::Starting | State::Unready => ServiceState::Starting,
            State::Failed => ServiceState::Failed,
            State::Stopping => ServiceState::Stopped,
        };
        let opened = self.runtime.opened(self, &service.name, instance.listen);
        let via = opened.map(addresses::reachable);
        let stranger = opened.and_then(outlook::stranger);
        let http = service.ready.is_http();
        let version = self.version(system, &service.name)(&instance.release);
        ServiceStatus {
            name: service.name.clone(),
            state,
            version: Some(version.unwrap_or_else(|| instance.release.clone())),
            ready: u32::from(state == ServiceState::Running),
            want: 1,
            restarts: instance.restarts,
            url: via
                .filter(|_| service.public && http)
                .map(|via| url(via, stranger.is_some()) + service.public_name.first_path()),
            ports: self.port_status(service),
            port_note: port_note(opened.and_then(|opened| self.port_note(service, opened)), stranger),
            via: via.as_ref().map(SocketAddr::to_string),
            detail: (state != ServiceState::Running).then(|| why(instance)),
        }
    }
}

/// What a killed supervisor has left: it may well serve, but nobody watches it.
fn orphaned(service: &Service, orphan: &supervisor::Orphan, environment: &Environment) -> ServiceStatus {
    let pid = orphan.process.pid;
    let deploy = environment.command("deploy");
    let detail = format!("its supervisor is gone, process {pid} runs unwatched; `{deploy}` fixes that");
    ServiceStatus { state: ServiceState::Failed, want: 1, detail: Some(detail), ..ServiceStatus::absent(&service.name) }
}

/// What is worth knowing of the port of a service, with whoever is come to by the same name in its place.
fn port_note(note: Option<String>, stranger: Option<SocketAddr>) -> Option<String> {
    let stranger = stranger.map(|at| {
        let holder = os::port_holder(at).map_or("somebody else".to_owned(), |holder| holder.to_string());
        format!("`localhost:{}` may lead to {holder}", at.port())
    });
    let all: Vec<String> = note.into_iter().chain(stranger).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What a person opens: a name, unless that leads to somebody else.
fn url(via: SocketAddr, has_stranger: bool) -> String {
    let is_localhost = via.ip() == Ipv4Addr::LOCALHOST || via.ip() == Ipv6Addr::LOCALHOST;
    if is_localhost && !has_stranger { format!("http://localhost:{}", via.port()) } else { format!("http://{via}") }
}

fn why(instance: &InstanceStatus) -> String {
    let known = instance.reason.as_ref().or(instance.last_probe.as_ref());
    known.cloned().unwrap_or_else(|| "no probe was answered yet".to_owned())
}
