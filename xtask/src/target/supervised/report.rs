//! Answers: what runs, and what a deploy would change.

use super::runtime::{Planned, Provided};
use super::{Supervised, start};
use crate::spec::name::ServiceName;
use crate::spec::system::{Probe, Service};
use crate::supervisor::{self, InstanceStatus, ServiceStatus as Watched, State};
use crate::target::{ServiceState, ServiceStatus, SystemChanges, SystemStatus};
use anyhow::Result;
use std::net::SocketAddr;

impl Supervised {
    pub(super) fn report_status(&self) -> Result<Vec<SystemStatus>> {
        let supervised = self.supervised()?;
        let orphans = supervisor::orphans(self.home().dir());
        let of_service = |service: &Service| {
            let found = supervised.iter().find(|status| status.service == service.name);
            match orphans.iter().find(|orphan| orphan.service == service.name) {
                Some(orphan) if found.is_none() => orphaned(service, orphan),
                _ => self.service_status(service, found),
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
                let spec = self.runtime.launch_spec(self, &recipe, start::Secrets::Known).ok().flatten();
                (spec.map(|spec| spec.release), recipe.version())
            })
            .collect();
        move |release| known.iter().find(|(known, _)| known.as_deref() == Some(release)).map(|(_, v)| v.clone())
    }

    pub(super) fn find_changes(&self, provided: Provided) -> Result<Vec<SystemChanges>> {
        let supervised = self.supervised()?;
        let mut changes = Vec::new();
        for (system, planned) in &provided.systems {
            let change = |planned| self.change(planned, &supervised).transpose();
            let services = planned.iter().filter_map(change).collect::<Result<_>>()?;
            changes.push(SystemChanges { name: system.name.clone(), skipped: None, services });
        }
        let skipped = provided.skipped.into_iter();
        changes.extend(skipped.map(|skipped| SystemChanges {
            name: skipped.name,
            skipped: Some(skipped.reason),
            services: Vec::new(),
        }));
        changes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(changes)
    }

    /// Why a deploy would start a service; `None` when it runs as it should.
    fn change(&self, planned: &Planned, supervised: &[Watched]) -> Result<Option<(ServiceName, Vec<String>)>> {
        let service = &planned.service.name;
        let because = |reasons: Vec<String>| Ok(Some((service.clone(), reasons)));
        let status = supervised.iter().find(|status| status.service == *service);
        let Some(current) = status.and_then(|status| status.current.as_ref()) else {
            return because(vec!["it does not run".to_owned()]);
        };
        let spec = self.runtime.launch_spec(self, &planned.recipe, start::Secrets::Known)?;
        if spec.as_ref().is_some_and(|spec| spec.listen != current.listen) {
            return because(vec![format!("it moves away from {}", current.listen)]);
        }
        if spec.is_some_and(|spec| spec.release == current.release) {
            return match current.state {
                State::Ready => Ok(None),
                other => because(vec![format!("it is {}: {}", other.as_str(), why(current))]),
            };
        }
        let running = self.version(service)(&current.release);
        let sources = running.map(|version| self.runtime.changes_since(self, service, &version)).unwrap_or_default();
        because(if sources.is_empty() { vec!["its configuration changed".to_owned()] } else { sources })
    }

    fn service_status(&self, service: &Service, found: Option<&Watched>) -> ServiceStatus {
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
        let via = self.runtime.reached(self, &service.name, instance.listen);
        let http = matches!(service.ready, Probe::Http { .. });
        let version = self.version(&service.name)(&instance.release);
        ServiceStatus {
            name: service.name.clone(),
            state,
            version: Some(version.unwrap_or_else(|| instance.release.clone())),
            ready: u32::from(state == ServiceState::Running),
            want: 1,
            restarts: instance.restarts,
            url: via.filter(|_| service.public && http).map(|via| format!("http://localhost:{}/", via.port())),
            via: via.as_ref().map(SocketAddr::to_string),
            detail: (state != ServiceState::Running).then(|| why(instance)),
        }
    }
}

/// What a killed supervisor has left: it may well serve, but nobody watches it.
fn orphaned(service: &Service, orphan: &supervisor::Orphan) -> ServiceStatus {
    let pid = orphan.process.pid;
    let detail = format!("its supervisor is gone, process {pid} runs unwatched; `cargo xtask deploy` mends that");
    ServiceStatus { state: ServiceState::Failed, want: 1, detail: Some(detail), ..ServiceStatus::absent(&service.name) }
}

fn why(instance: &InstanceStatus) -> String {
    let known = instance.reason.as_ref().or(instance.last_probe.as_ref());
    known.cloned().unwrap_or_else(|| "no probe was answered yet".to_owned())
}
