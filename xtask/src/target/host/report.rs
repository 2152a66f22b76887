//! Answers: what runs, what a deploy would change, and how the smoke contract reaches a service.

use super::addresses::reachable;
use super::build::Wanted;
use super::provision::{self, Provision};
use super::recipe::Recipe;
use super::{Host, start};
use crate::ctx::Ctx;
use crate::http::Endpoint;
use crate::smoke;
use crate::spec::name::ServiceName;
use crate::spec::smoke::DeniedPath;
use crate::spec::system::{Probe, Service};
use crate::supervisor::{self, InstanceStatus, ServiceStatus as Supervised, State};
use crate::target::{ServiceState, ServiceStatus, SystemChanges, SystemStatus};
use anyhow::Result;
use std::collections::BTreeMap;

impl Host {
    pub(super) fn report_status(&self) -> Result<Vec<SystemStatus>> {
        let supervised = self.supervised()?;
        let orphans = supervisor::orphans(self.home().dir());
        let of_service = |service: &Service| {
            let found = supervised.iter().find(|status| status.service == service.name);
            match orphans.iter().find(|orphan| orphan.service == service.name) {
                Some(orphan) if found.is_none() => orphaned(service, orphan),
                _ => service_status(service, found, self.version(&service.name)),
            }
        };
        let of_system = |system: &crate::spec::system::System| SystemStatus {
            name: system.name.clone(),
            services: system.services.iter().map(of_service).collect(),
        };
        Ok(self.deployment.systems().map(of_system).collect())
    }

    /// The version of what runs, as the revisions know it.
    fn version(&self, service: &ServiceName) -> impl Fn(&str) -> Option<String> {
        let systems = self.deployment.spec.systems.iter();
        let system = systems.into_iter().find(|system| system.services.iter().any(|s| s.name == *service));
        let history = system.and_then(|system| super::revision::history(&self.home().releases(&system.name)).ok());
        let recipes = history.unwrap_or_default().into_iter().rev().flat_map(|revision| revision.recipes);
        let own = recipes.filter(|recipe| recipe.service == *service);
        let known: Vec<(Option<String>, String)> = own
            .map(|recipe| {
                let spec = self.launch_spec(&recipe, start::Secrets::Known).ok().flatten();
                (spec.map(|spec| spec.release), recipe.version())
            })
            .collect();
        move |release| known.iter().find(|(known, _)| known.as_deref() == Some(release)).map(|(_, v)| v.clone())
    }

    pub(super) fn find_changes(&self, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
        let mut systems = Vec::new();
        for system in self.deployment.systems() {
            systems.push((system, provision::of_system(system, ctx, self.home())));
        }
        let wanted = self.wanted(ctx, systems.iter().filter_map(|(_, found)| found.as_ref().ok()))?;
        let supervised = self.supervised()?;
        let mut changes = Vec::new();
        for (system, found) in &systems {
            let (skipped, services) = match found {
                Err(reason) => (Some(reason.clone()), Vec::new()),
                Ok(found) => {
                    let services = system.services.iter().filter(|service| found.contains_key(&service.name));
                    let change = |service| self.change(service, found, &wanted, &supervised).transpose();
                    (None, services.filter_map(change).collect::<Result<_>>()?)
                }
            };
            changes.push(SystemChanges { name: system.name.clone(), skipped, services });
        }
        Ok(changes)
    }

    /// Why a deploy would start a service; `None` when it runs as it should.
    fn change(
        &self,
        service: &Service,
        found: &BTreeMap<ServiceName, Provision>,
        wanted: &[Wanted],
        supervised: &[Supervised],
    ) -> Result<Option<(ServiceName, Vec<String>)>> {
        let because = |reasons: Vec<String>| Ok(Some((service.name.clone(), reasons)));
        let built = wanted.iter().find(|wanted| wanted.service == service.name);
        let provision = found.get(&service.name);
        let program = provision.and_then(|provision| self.program(&service.name, provision, wanted));
        let Some(program) = program else { return Ok(None) };
        let status = supervised.iter().find(|status| status.service == service.name);
        let Some(current) = status.and_then(|status| status.current.as_ref()) else {
            return because(vec!["it does not run".to_owned()]);
        };
        let present: Vec<ServiceName> = found.keys().cloned().collect();
        let recipe = Recipe::new(service, program, &self.deployment.environment, &present);
        let spec = self.launch_spec(&recipe, start::Secrets::Known)?;
        if spec.as_ref().is_some_and(|spec| spec.listen != current.listen) {
            return because(vec![format!("it moves away from {}", current.listen)]);
        }
        if spec.is_some_and(|spec| spec.release == current.release) {
            return match current.state {
                State::Ready => Ok(None),
                other => because(vec![format!("it is {}: {}", other.as_str(), why(current))]),
            };
        }
        let running = self.version(&service.name)(&current.release);
        let sources = built.zip(running.as_deref()).map(|(built, key)| built.changes_since(self.home(), key));
        let sources = sources.unwrap_or_default();
        because(if sources.is_empty() { vec!["its configuration changed".to_owned()] } else { sources })
    }

    /// Where a service is reached: where it runs, or else where it should.
    pub(super) fn endpoint_of(&self, service: &ServiceName) -> Result<Endpoint, String> {
        let supervised = self.supervised().map_err(|error| format!("{error:#}"))?;
        let current = supervised.into_iter().find(|status| status.service == *service).and_then(|s| s.current);
        let address = match current {
            Some(current) => Some(current.listen),
            None => self.addresses().map_err(|error| format!("{error:#}"))?.get(service).copied(),
        };
        address.map(|address| reachable(address).into()).ok_or_else(|| format!("`{service}` does not run"))
    }

    pub(super) fn deny_on_host(denied: &DeniedPath) -> smoke::Outcome {
        let reason = format!("all processes of this machine share its loopback, so nothing refuses `{}`", denied.to);
        smoke::Outcome::Skipped(reason)
    }
}

fn service_status(
    service: &Service,
    found: Option<&Supervised>,
    version: impl Fn(&str) -> Option<String>,
) -> ServiceStatus {
    let current = found.and_then(|status| status.current.as_ref());
    let candidate = found.and_then(|status| status.candidate.as_ref());
    let Some(instance) = current.or(candidate) else {
        return absent(service);
    };
    let state = match instance.state {
        State::Ready => ServiceState::Running,
        State::Starting | State::Unready => ServiceState::Starting,
        State::Failed => ServiceState::Failed,
        State::Stopping => ServiceState::Stopped,
    };
    let via = reachable(instance.listen);
    let http = matches!(service.ready, Probe::Http { .. });
    ServiceStatus {
        name: service.name.clone(),
        state,
        version: Some(version(&instance.release).unwrap_or_else(|| instance.release.clone())),
        ready: u32::from(state == ServiceState::Running),
        want: 1,
        restarts: instance.restarts,
        url: (service.public && http).then(|| format!("http://localhost:{}/", via.port())),
        via: Some(via.to_string()),
        detail: (state != ServiceState::Running).then(|| why(instance)),
    }
}

/// What a killed supervisor has left: it may well serve, but nobody watches it.
fn orphaned(service: &Service, orphan: &supervisor::Orphan) -> ServiceStatus {
    let pid = orphan.process.pid;
    let detail = format!("its supervisor is gone, process {pid} runs unwatched; `cargo xtask deploy` mends that");
    ServiceStatus { state: ServiceState::Failed, want: 1, detail: Some(detail), ..absent(service) }
}

fn absent(service: &Service) -> ServiceStatus {
    ServiceStatus {
        name: service.name.clone(),
        state: ServiceState::Absent,
        version: None,
        ready: 0,
        want: 0,
        restarts: 0,
        url: None,
        via: None,
        detail: None,
    }
}

fn why(instance: &InstanceStatus) -> String {
    let known = instance.reason.as_ref().or(instance.last_probe.as_ref());
    known.cloned().unwrap_or_else(|| "no probe was answered yet".to_owned())
}
