//! Proves that a service cannot be reached from where it must not be, with a program that tries: a container of one of
//! this repository's own images, in another network. The same program has to get through from inside, or its failure
//! would prove nothing.

use super::{Containers, current_container, system_of};
use crate::smoke::Outcome;
use crate::spec::container::{Cpu, EngineKind, Memory};
use crate::spec::name::ServiceName;
use crate::spec::smoke::{DeniedPath, Origin};
use crate::spec::system::System;
use crate::target::supervised::Supervised;
use crate::tools::engine::{self, Container, Engine, RunSpec};
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a try may take: it gives up by itself much earlier.
const WITHIN: Duration = Duration::from_secs(30);
const MEMORY: Memory = Memory(32 << 20);
const CPU: Cpu = Cpu(500);

pub(super) fn deny(containers: &Containers, core: &Supervised, denied: &DeniedPath) -> Outcome {
    match Attempt::new(containers, core, denied) {
        Ok(Ok(attempt)) => attempt.judge(denied).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}"))),
        Ok(Err(reason)) => Outcome::Skipped(reason),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// Everything that a try takes.
struct Attempt<'a> {
    containers: &'a Containers,
    core: &'a Supervised,
    engine: Engine,
    system: &'a System,
    target: Container,
    address: SocketAddr,
    /// An image of this repository, whose program can try.
    image: String,
    /// Where it is tried from.
    networks: Vec<String>,
}

impl<'a> Attempt<'a> {
    /// Or why it cannot be tried.
    fn new(containers: &'a Containers, core: &'a Supervised, denied: &DeniedPath) -> Result<Result<Self, String>> {
        let declared = core.deployment.find_service(&denied.to).zip(system_of(core, &denied.to));
        let (service, system) = declared.ok_or_else(|| anyhow!("there is no service `{}`", denied.to))?;
        let Some(name) = current_container(core, &containers.names, &denied.to)? else {
            return Ok(Err(format!("`{}` does not run here", denied.to)));
        };
        let engine = core.found_engine()?.engine;
        let target = engine.container(&core.proc, &name)?.ok_or_else(|| anyhow!("the container `{name}` is gone"))?;
        let own: IpAddr = *target
            .addresses
            .get(&containers.names.network(&system.name))
            .ok_or_else(|| anyhow!("`{name}` has no address in its network"))?;
        let Some(image) = trying_image(containers, core, &engine, system)? else {
            return Ok(Err("no image of this repository runs, with which it could be tried".to_owned()));
        };
        let networks = match &denied.from {
            Origin::Service(other) if system.services.iter().any(|service| service.name == *other) => {
                return Ok(Err(format!("`{other}` and `{}` share the network of their system", denied.to)));
            }
            Origin::Service(other) => network_of(containers, core, other).into_iter().collect(),
            Origin::Outside => vec![default_network(engine.kind)],
            Origin::OtherServices => other_networks(containers, core, &engine, system)?,
        };
        let address = SocketAddr::new(own, service.port);
        Ok(Ok(Self { containers, core, engine, system, target, address, image, networks }))
    }

    fn judge(&self, denied: &DeniedPath) -> Result<Outcome> {
        if let Some(published) = self.target.published.values().flatten().next() {
            return Ok(Outcome::Failed(format!("`{}` is published on {published}", denied.to)));
        }
        let inside = self.containers.names.network(&self.system.name);
        let (reached, words) = self.attempt(&inside)?;
        if !reached {
            let why = format!("`{}` could not be reached from its own network either: {words}", denied.to);
            return Ok(Outcome::Failed(why));
        }
        for network in &self.networks {
            let (reached, words) = self.attempt(network)?;
            if reached {
                return Ok(Outcome::Failed(format!("from the network `{network}`: {words}; expected no connection")));
            }
        }
        Ok(Outcome::Passed)
    }

    /// Whether a connection came about, and the program's words.
    fn attempt(&self, network: &str) -> Result<(bool, String)> {
        let service = "attempt";
        let mut bytes = [0; 6];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
        let number: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}--{service}-{number}", self.containers.names.network(&self.system.name));
        let spec = RunSpec {
            image: self.image.clone(),
            labels: self.containers.names.labels(&self.system.name),
            networks: vec![network.to_owned()],
            fixed: BTreeMap::new(),
            aliases: Vec::new(),
            hosts: BTreeMap::new(),
            publish: Vec::new(),
            env: Vec::new(),
            mounts: Vec::new(),
            user: None,
            writable: Vec::new(),
            memory: MEMORY,
            cpu: CPU,
            low_ports: false,
            args: vec!["reach".to_owned(), self.address.to_string()],
        };
        let line = self.engine.command().args(self.engine.run(&name, &spec));
        let answer = self.core.proc.ask(&line, WITHIN);
        engine::remove(&self.core.proc, &self.engine.container_remove(&name))?;
        let answer = answer?.with_context(|| format!("`{line}` did not end within {} s", WITHIN.as_secs()))?;
        let words = format!("{}{}", answer.stdout, answer.stderr).trim().to_owned();
        // Any other end is that of an engine that could not run it.
        if !answer.success && !answer.status.ends_with(": 1") {
            return Err(anyhow!("`{line}` ended with {}: {words}", answer.status));
        }
        Ok((answer.success, words))
    }
}

/// The image of a service of this repository that runs: the system's own first, so that what is tried is its network.
fn trying_image(
    containers: &Containers,
    core: &Supervised,
    engine: &Engine,
    system: &System,
) -> Result<Option<String>> {
    let others = core.deployment.spec.systems.iter().filter(|other| other.name != system.name);
    let services = std::iter::once(system).chain(others).flat_map(|system| &system.services);
    for service in services.filter(|service| service.is_own()) {
        let Some(name) = current_container(core, &containers.names, &service.name)? else { continue };
        if let Some(container) = engine.container(&core.proc, &name)? {
            return Ok(Some(container.image));
        }
    }
    Ok(None)
}

/// Where containers are that nobody has put anywhere.
fn default_network(kind: EngineKind) -> String {
    match kind {
        EngineKind::Docker => "bridge".to_owned(),
        EngineKind::Podman => "podman".to_owned(),
    }
}

fn network_of(containers: &Containers, core: &Supervised, service: &ServiceName) -> Option<String> {
    system_of(core, service).map(|system| containers.names.network(&system.name))
}

/// The networks of the deployment's other systems, as far as they are there; without any the engine's own.
fn other_networks(containers: &Containers, core: &Supervised, engine: &Engine, system: &System) -> Result<Vec<String>> {
    let mut networks = Vec::new();
    for other in core.deployment.spec.systems.iter().filter(|other| other.name != system.name) {
        let name = containers.names.network(&other.name);
        networks.extend(engine.network(&core.proc, &name)?.map(|network| network.name));
    }
    if networks.is_empty() {
        networks.push(default_network(engine.kind));
    }
    // One of them stands for all: each is apart from the system's in the same way.
    networks.truncate(1);
    Ok(networks)
}
