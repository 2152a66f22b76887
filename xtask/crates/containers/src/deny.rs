//! Proves that a service cannot be reached from where it must not be, with a program that tries: a container of one of
//! this repository's own images, or else of the edge's, in another network. The same program has to get through from
//! inside, or its failure would prove nothing.

mod program;
use self::program::Program;
use super::{Containers, current_container, edge, pull};
use anyhow::{Context, Result, anyhow};
use engine::smoke::Outcome;
use machine::supervised::Supervised;
use model::container::EngineKind;
use model::name::ServiceName;
use model::smoke::{DeniedPath, Origin};
use model::system::System;
use shim::{Run, RunSpec};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tools::oci;
use tools::oci::{Container, Engine};

/// How long a try may take: it gives up by itself much earlier.
const WITHIN: Duration = Duration::from_secs(30);

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
    system: System,
    target: Container,
    address: SocketAddr,
    program: Program,
    /// Where it is tried from.
    networks: Vec<String>,
}

impl<'a> Attempt<'a> {
    /// Or why it cannot be tried.
    fn new(containers: &'a Containers, core: &'a Supervised, denied: &DeniedPath) -> Result<Result<Self, String>> {
        let declared = core.deployment.find_service(&denied.to).zip(core.system_of(&denied.to));
        let (service, system) = declared.ok_or_else(|| anyhow!("there is no service `{}`", denied.to))?;
        let port = service.port.ok_or_else(|| anyhow!("`{}` has no `port`", denied.to))?;
        let Some(name) = current_container(core, &containers.names, &denied.to)? else {
            return Ok(Err(format!("`{}` does not run here", denied.to)));
        };
        let engine = core.found_engine()?.engine;
        let target = engine.container(&core.proc, &name)?.ok_or_else(|| anyhow!("the container `{name}` is gone"))?;
        let own: IpAddr = *target
            .addresses
            .get(&containers.names.network(&system.name))
            .ok_or_else(|| anyhow!("`{name}` has no address in its network"))?;
        let Some(program) = program(containers, core, &engine, &system)? else {
            let reason = "there is no program to try it with: neither a service of this repository runs, nor an edge";
            return Ok(Err(reason.to_owned()));
        };
        let networks = match &denied.from {
            Origin::Service(other) if system.services.iter().any(|service| service.name == *other) => {
                return Ok(Err(format!("`{other}` and `{}` share the network of their system", denied.to)));
            }
            Origin::Service(other) => network_of(containers, core, other).into_iter().collect(),
            Origin::Outside => vec![default_network(engine.kind)],
            Origin::OtherServices => other_networks(containers, core, &engine, &system)?,
        };
        let address = SocketAddr::new(own, port);
        Ok(Ok(Self { containers, core, engine, system, target, address, program, networks }))
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
        let number = base::random::hex::<6>()?;
        let name = format!("{}--{service}-{number}", self.containers.names.network(&self.system.name));
        let labels = self.containers.names.labels(&self.system.name);
        let mut spec = RunSpec::bare(String::new(), network, labels);
        self.program.clone().fill(self.address, &mut spec);
        let line = self.engine.command().args(self.engine.run(&name, &spec));
        let answer = self.core.proc.ask(&line, WITHIN);
        oci::remove(&self.core.proc, &self.engine.container_remove(&name))?;
        let answer = answer?.with_context(|| format!("`{line}` did not end within {} s", WITHIN.as_secs()))?;
        let words = format!("{}{}", answer.stdout, answer.stderr).trim().to_owned();
        match self.program.reached(answer.success, &answer.status, &words) {
            Some(reached) => Ok((reached, words)),
            None => Err(anyhow!("`{line}` ended with {}: {words}", answer.status)),
        }
    }
}

/// That of a service of this repository that runs: the system's own first, so that what is tried is its network. Else
/// that of the edge, once an edge was needed.
fn program(containers: &Containers, core: &Supervised, engine: &Engine, system: &System) -> Result<Option<Program>> {
    let others = core.deployment.spec.systems.iter().filter(|other| other.name != system.name);
    let services = std::iter::once(system).chain(others).flat_map(|system| &system.services);
    for service in services.filter(|service| service.is_own()) {
        let Some(name) = current_container(core, &containers.names, &service.name)? else { continue };
        if let Some(container) = engine.container(&core.proc, &name)? {
            return Ok(Some(Program::Own(container.image)));
        }
    }
    let Some(pin) = core.deployment.spec.images.get(edge::IMAGE) else { return Ok(None) };
    let Some(noted) = pull::noted(core.home(), &pin.to_string())? else { return Ok(None) };
    Ok(engine.image(&core.proc, &noted)?.map(|image| Program::Edge(image.id)))
}

/// Where containers are that nobody has put anywhere.
fn default_network(kind: EngineKind) -> String {
    match kind {
        EngineKind::Docker => "bridge".to_owned(),
        EngineKind::Podman => "podman".to_owned(),
    }
}

fn network_of(containers: &Containers, core: &Supervised, service: &ServiceName) -> Option<String> {
    core.system_of(service).map(|system| containers.names.network(&system.name))
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
