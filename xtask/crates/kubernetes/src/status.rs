//! What runs in the cluster at this moment: told by the objects that are there, whoever has made them so.

use super::names::{INSTANCE, SERVICE, VERSION};
use super::{Kubernetes, balancers, exposure, jobs, pods, recalled, recorded};
use anyhow::{Result, anyhow};
use engine::backend::{ServiceState, ServiceStatus, SystemStatus};
use engine::job::JobStatus;
use kube::object;
use kube::path::Kind;
use kube::{Api, path};
use model::name::{ServiceName, SystemName};
use model::system::Service;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn status(core: &Kubernetes) -> Result<Vec<SystemStatus>> {
    // Without a cluster nothing runs, and nobody can be asked.
    let found = if core.platform.is_there()? { Found::read(core)? } else { Found::default() };
    let mut systems: BTreeMap<SystemName, Vec<Service>> = BTreeMap::new();
    for system in core.deployment.systems() {
        systems.insert(system.name.clone(), system.services.clone());
    }
    // Whatever the files say.
    for system in core.records.systems()?.into_iter().filter(|system| core.deployment.scope.has(system)) {
        let released = recorded::released(core, &system)?;
        let services = systems.entry(system).or_default();
        let is_known = |name: &ServiceName| services.iter().any(|service| service.name == *name);
        let undeclared: Vec<Service> = released
            .iter()
            .filter(|(name, _)| !is_known(name))
            .map(|(name, values)| recalled::service(name, values))
            .collect();
        services.extend(undeclared);
    }
    let declared = |name: &SystemName| core.deployment.declares_system(name) == Some(true);
    let all = systems.iter().filter(|(name, services)| declared(name) || !services.is_empty());
    let of_system = |(name, services): (&SystemName, &Vec<Service>)| SystemStatus {
        name: name.clone(),
        services: services.iter().map(|service| found.service(core, name, service)).collect(),
        jobs: declared_jobs(core, name),
    };
    Ok(all.map(of_system).collect())
}

fn declared_jobs(core: &Kubernetes, name: &SystemName) -> Vec<JobStatus> {
    let system = core.deployment.spec.systems.iter().find(|system| system.name == *name);
    system.map(|system| jobs::status(core, system)).unwrap_or_default()
}

/// Everything of the deployment that tells how it is.
#[derive(Default)]
struct Found {
    workloads: Vec<Value>,
    pods: Vec<Value>,
    ingresses: Vec<Value>,
    /// The load balancers of public further ports.
    balancers: Vec<Value>,
    via: Option<SocketAddr>,
}

impl Found {
    fn read(core: &Kubernetes) -> Result<Self> {
        let api = core.access.api()?;
        let selector = core.names.selector();
        let without_trials = format!("{selector},!{}", pods::TRIAL);
        let ask = |kind: Kind, selector: &str| list(&api, kind, selector);
        std::thread::scope(|scope| {
            let deployments = scope.spawn(|| ask(path::DEPLOYMENT, &selector));
            let sets = scope.spawn(|| ask(path::STATEFUL_SET, &selector));
            let ingresses = scope.spawn(|| ask(path::INGRESS, &selector));
            let services = scope.spawn(|| ask(path::SERVICE, &selector));
            // Where there is no ingress nothing is reached through it.
            let via = scope.spawn(|| exposure::via(core).ok().flatten());
            let pods = ask(path::POD, &without_trials)?;
            let [deployments, sets, ingresses, services] = [deployments, sets, ingresses, services]
                .map(|asked| asked.join().unwrap_or_else(|_| Err(anyhow!("a question to the cluster panicked"))));
            let workloads = deployments?.into_iter().chain(sets?).collect();
            let balancers = services?.into_iter().filter(balancers::is_balancer).collect();
            Ok(Self { workloads, pods, ingresses: ingresses?, balancers, via: via.join().ok().flatten() })
        })
    }

    fn service(&self, core: &Kubernetes, system: &SystemName, service: &Service) -> ServiceStatus {
        let is_its = |object: &&Value| {
            object::label(object, SERVICE) == service.name.as_str()
                && object::label(object, INSTANCE) == system.as_str()
        };
        let Some(workload) = self.workloads.iter().find(is_its) else { return ServiceStatus::absent(&service.name) };
        let pods: Vec<&Value> = self.pods.iter().filter(is_its).collect();
        let count = |pointer: &str| u32::try_from(object::number(workload, pointer)).unwrap_or(u32::MAX);
        let (ready, want) = (count("/status/readyReplicas"), count("/spec/replicas"));
        let trouble = pods.iter().filter(|pod| !object::is_going(pod)).find_map(|pod| {
            let words = pods::trouble(pod)?;
            Some((pods::is_broken(pod), format!("{}: {words}", object::name(pod))))
        });
        let state = match (ready, want) {
            _ if object::is_going(workload) || want == 0 => ServiceState::Stopped,
            (ready, want) if ready >= want => ServiceState::Running,
            (0, _) if trouble.as_ref().is_some_and(|(broken, _)| *broken) => ServiceState::Failed,
            _ => ServiceState::Starting,
        };
        let ingress = self.ingresses.iter().find(is_its).filter(|_| service.public);
        let (url, via) = ingress.map(|ingress| self.way(core, service, ingress)).unwrap_or_default();
        let version = Some(object::label(workload, VERSION)).filter(|version| !version.is_empty());
        let short = (state == ServiceState::Starting).then(|| format!("{ready} of {want} are ready"));
        ServiceStatus {
            name: service.name.clone(),
            state,
            version: version.map(str::to_owned),
            ready,
            want,
            restarts: pods.iter().map(|pod| pods::restarts(pod)).sum(),
            url,
            via,
            port_note: None,
            ports: balancers::ports(service, self.balancers.iter().find(is_its)),
            detail: trouble.map(|(_, words)| words).or(short),
        }
    }

    /// What a person opens, and what is connected to where that name does not resolve from here.
    fn way(&self, core: &Kubernetes, service: &Service, ingress: &Value) -> (Option<String>, Option<String>) {
        let Some(provider) = core.platform.ingress_provider() else {
            return (self.url(service, ingress), self.via.map(|via| via.to_string()));
        };
        let via = provider.endpoint(core, &service.name).ok().and_then(|endpoint| endpoint.via);
        let opened = provider.url(core, &service.name);
        (opened, via.map(|via| via.to_string()))
    }

    fn url(&self, service: &Service, ingress: &Value) -> Option<String> {
        let host = object::text(ingress, "/spec/rules/0/host");
        if host.is_empty() {
            return None;
        }
        let port = self.via.map(|via| via.port()).filter(|port| *port != 80);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("http://{host}{port}{}", service.public_name.first_path()))
    }
}

fn list(api: &Api, kind: Kind, selector: &str) -> Result<Vec<Value>> {
    let listed = api.list(&kind.everywhere(), selector);
    Ok(listed.map_err(|refusal| kube::fault("look at what runs", &refusal))?)
}
