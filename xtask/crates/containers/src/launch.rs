//! How a recipe becomes a container, and how a service in one is reached.

use super::fixed::Fixed;
use super::names::Names;
use super::prerequisites::is_closed;
use super::{Containers, current_container, edge, fronted, neighbor, published};
use anyhow::Result;
use base::ctx::Vars;
use base::http::Endpoint;
use base::proc::CommandLine;
use images::auth::docker_no_proxy;
use keys::Digest;
use machine::supervised::addresses::{public_url, reachable};
use machine::supervised::recipe::{Image, Program, Recipe, keep_data};
use machine::supervised::start::Secrets;
use machine::supervised::{Supervised, assets};
use model::asset::{Asset, Mode};
use model::container::EngineKind;
use model::environment::is_secret;
use model::job::Job;
use model::name::ServiceName;
use model::reach::shown;
use model::system::{Reference, Service, System};
use model::volume::{self, Volume, Volumes};
use shim::{Mount, PROXIES, Run, RunSpec};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use supervisor::container::{NAME, Place, Reach};
use supervisor::{LaunchSpec, LaunchStrategy};
use tools::oci::Found;

/// How images of this repository tell whether they are well.
const OWN_HEALTH: [&str; 2] = ["/service", "healthcheck"];

/// The recipe with everything filled in; `None` while its image is not there.
pub(super) fn spec(
    containers: &Containers,
    core: &Supervised,
    recipe: &Recipe,
    secrets: Secrets,
) -> Result<Option<LaunchSpec>> {
    spec_of(containers, core, recipe, secrets, None)
}

/// The same for a job of a service: others do not come to it by the names and the address of that.
pub(super) fn job(
    containers: &Containers,
    core: &Supervised,
    job: &Job,
    recipe: &Recipe,
    secrets: Secrets,
) -> Result<Option<LaunchSpec>> {
    spec_of(containers, core, recipe, secrets, Some(job))
}

fn spec_of(
    containers: &Containers,
    core: &Supervised,
    recipe: &Recipe,
    secrets: Secrets,
    job: Option<&Job>,
) -> Result<Option<LaunchSpec>> {
    let Program::Image(image) = &recipe.program else { return Ok(None) };
    let known = core.service(&recipe.service).zip(core.system_of(&recipe.service));
    let Some((service, system)) = known else { return Ok(None) };
    let system = &system;
    // A job may well call its own service.
    let called = job.iter().flat_map(|job| job.needs.iter().chain([&job.of]));
    let needs = service.needs.iter().chain(called).cloned().collect();
    let service = &Service { needs, ..service.clone() };
    let Some(id) = containers.image_id(core, &recipe.service, image)? else { return Ok(None) };
    let Some(filled) = core.fill(recipe, secrets)? else { return Ok(None) };
    let found = core.found_engine()?;
    let fixed = containers.fixed.of(core, &containers.names, system)?;
    let part = Part { core, names: &containers.names, found: &found, system, service, image, fixed };
    let release = match job {
        Some(_) => id.clone(),
        None => Digest::of(format!("{}\n{id}{}", filled.release(recipe), aliases(system, service))).to_string(),
    };
    let variables = part.variables(filled.env);
    let mut run = part.run(recipe, &variables, &filled.args, id);
    let mut place = part.place();
    if let Some(job) = job {
        run.aliases.clear();
        run.fixed.clear();
        run.labels = containers.names.job_labels(&system.name, &job.name);
        place.prefix = containers.names.job(&system.name, &job.name);
    }
    let own = surroundings(core);
    let given =
        variables.into_iter().filter(|(name, value)| !part.is_told(recipe, &own, name, value)).collect::<Vec<_>>();
    let env = own.into_iter().chain(given).collect();
    Ok(Some(LaunchSpec {
        service: recipe.service.clone(),
        release: format!("{release:.16}"),
        program: found.engine.program.clone(),
        args: neighbor::as_known(found.engine.run(NAME, &run)),
        dir: core.home().dir().to_owned(),
        env,
        log: core.home().log(&recipe.service),
        listen: image.port.map_or(supervisor::NOWHERE, |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        style: LaunchStrategy::Container {
            place,
            overlaps: fronted::overlaps(system, service),
            route: edge::route(core, system, service, &found),
        },
        ready: recipe.ready.clone(),
        live: recipe.live.clone(),
        ready_within: recipe.ready_within,
        stop_within: recipe.stop_within,
        probe_every: LaunchSpec::PROBE_EVERY,
        promote_within: LaunchSpec::PROMOTE_WITHIN,
    }))
}

/// A service on its way into a container.
struct Part<'a> {
    core: &'a Supervised,
    names: &'a Names,
    found: &'a Found,
    system: &'a System,
    service: &'a Service,
    image: &'a Image,
    fixed: Fixed,
}

impl Part<'_> {
    fn variables(&self, mut variables: BTreeMap<String, String>) -> BTreeMap<String, String> {
        if let Some(port) = self.image.port {
            variables.entry("PORT".to_owned()).or_insert_with(|| port.to_string());
            variables.entry("LISTEN_ADDRESS".to_owned()).or_insert_with(|| Ipv4Addr::UNSPECIFIED.to_string());
        }
        let docker = self.found.engine.kind == EngineKind::Docker;
        let configured = docker.then(|| docker_no_proxy(&self.core.vars)).flatten();
        without_proxy(&mut variables, configured, self.system);
        variables
    }

    fn run(&self, recipe: &Recipe, variables: &BTreeMap<String, String>, args: &[String], id: String) -> RunSpec {
        let container = &self.image.container;
        // Behind an edge the names are the edge's, which knows the version that is to serve.
        let own_names = (!fronted::is_fronted(self.system, self.service)).then(|| self.service.names());
        let own = surroundings(self.core);
        RunSpec {
            image: id,
            labels: self.names.service_labels(&self.system.name, &self.service.name),
            networks: self.networks(),
            fixed: self
                .fixed
                .of(&self.service.name)
                .map(|at| (self.names.network(&self.system.name), at))
                .into_iter()
                .collect(),
            hosts: self.fixed.hosts(self.system, self.service),
            aliases: own_names.into_iter().flatten().map(ToString::to_string).collect(),
            publish: Vec::new(),
            env: variables.iter().map(|(name, value)| self.variable(recipe, &own, name, value)).collect(),
            proxied: true,
            mounts: self.mounts(recipe),
            user: container.user,
            writable: container.writable.clone(),
            memory: container.memory,
            cpu: container.cpu,
            low_ports: container.low_ports,
            writable_root: container.allow.as_ref().is_some_and(|allow| allow.writable_root),
            capabilities: container.allow.iter().flat_map(|allow| allow.capabilities.clone()).collect(),
            entrypoint: container.entrypoint.clone(),
            args: container.command.iter().chain(args).cloned().collect(),
        }
    }

    /// Names beyond its system are asked of where it can get out; those that it needs in it, it is told.
    fn networks(&self) -> Vec<String> {
        let system = &self.system.name;
        let out = (self.fixed.is_closed && self.image.reaches).then(|| self.names.out(system));
        out.into_iter().chain([self.names.network(system)]).collect()
    }

    /// A service's variable for the engine's client, which has the values of most in its own environment. What it goes by
    /// itself, such as `HOME`, it keeps, and is told the service's.
    fn variable(&self, recipe: &Recipe, own: &BTreeMap<String, String>, name: &str, value: &str) -> String {
        if self.is_told(recipe, own, name, value) { format!("{name}={value}") } else { name.to_owned() }
    }

    /// Whether a client would go by it. No argument shows a secret.
    fn is_told(&self, recipe: &Recipe, own: &BTreeMap<String, String>, name: &str, value: &str) -> bool {
        let begins = |beginning: &&str| name.starts_with(*beginning);
        let is_known = CLIENT.contains(&name) || CLIENT_BEGINNINGS.iter().any(begins) || own.contains_key(name);
        is_known && !is_secret(name, value) && !self.core.is_filled_with_secret(recipe, name)
    }

    fn mounts(&self, recipe: &Recipe) -> Vec<Mount> {
        let home = self.core.home();
        let mount = |(name, asset): (&String, &Asset)| Mount::Bind {
            source: assets::path(home, &recipe.service, name, asset),
            at: asset.in_container(name),
        };
        let mut mounts: Vec<Mount> = recipe.files.iter().map(mount).collect();
        for (volume, Volume { at, .. }) in volume::all(&self.image.container, data(recipe, self.service)) {
            let name = self.names.volume(self.core, &recipe.service, &volume);
            // What the image has in its place may be anybody's there; what `data` has always been stays so.
            let owned = self.image.container.volumes.contains_key(&volume);
            mounts.push(Mount::Volume { name, at, owned });
        }
        mounts
    }

    fn place(&self) -> Place {
        let reach = if self.found.facts.reaches_containers() {
            Reach::Address
        } else if self.service.is_own() {
            Reach::Exec(OWN_HEALTH.map(str::to_owned).into())
        } else {
            Reach::Exec(self.image.container.health.clone())
        };
        Place {
            engine: self.found.engine.kind,
            prefix: self.names.container(&self.service.name),
            network: self.names.network(&self.system.name),
            port: self.image.port.unwrap_or_default(),
            reach,
            relays: Vec::new(),
        }
    }
}

/// Where there are proxies, they are for what is outside: the services of a system ask each other without.
fn without_proxy(variables: &mut BTreeMap<String, String>, configured: Option<String>, system: &System) {
    let is_proxy = |name: &String| PROXIES.contains(&name.to_uppercase().as_str());
    if configured.is_none() && !variables.keys().any(is_proxy) {
        return;
    }
    let near = ["localhost", "127.0.0.1", "::1"].into_iter();
    let near: Vec<&str> =
        near.chain(system.services.iter().flat_map(Service::names).map(ServiceName::as_str)).collect();
    for name in ["NO_PROXY", "no_proxy"] {
        let own = variables.remove(name).or_else(|| configured.clone()).filter(|own| !own.is_empty());
        let all = own.iter().map(String::as_str).chain(near.iter().copied()).collect::<Vec<_>>().join(",");
        variables.insert(name.to_owned(), all);
    }
}

/// The further names that a container has and is told, which its arguments alone have.
fn aliases(system: &System, service: &Service) -> String {
    let own = |other: &&Service| other.name == service.name && !fronted::is_fronted(system, other);
    let known = system.services.iter().filter(|other| own(other) || service.needs.contains(&other.name));
    known.flat_map(|known| known.aliases.iter().map(|alias| format!("\n{alias} {}", known.name))).collect()
}

/// Where `${data}` is, for a version of a service that uses it.
fn data<'s>(recipe: &Recipe, service: &'s Service) -> Option<&'s str> {
    keep_data(recipe.templates()).then(|| service.data())
}

/// What of a version of a service outlives it.
pub(super) fn volumes(core: &Supervised, recipe: &Recipe) -> Volumes {
    let Program::Image(image) = &recipe.program else { return Volumes::new() };
    volume::all(&image.container, core.service(&recipe.service).and_then(|service| data(recipe, service)))
}

/// What the engine's client has of this machine's environment: that of every service, and what it finds its engine by.
pub(super) fn surroundings(core: &Supervised) -> BTreeMap<String, String> {
    let mut env = core.surroundings();
    env.extend(client_variables(&core.vars));
    env
}

/// Variables that engines' clients go by. An engine at `ssh://…` is reached with the user's agent.
const CLIENT: [&str; 7] = [
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "NETAVARK_FW",
];
/// What the names of more of them begin with.
const CLIENT_BEGINNINGS: [&str; 5] = ["DOCKER_", "CONTAINER_", "CONTAINERS_", "PODMAN_", "STORAGE_"];

fn client_variables(vars: &Vars) -> impl Iterator<Item = (String, String)> {
    let named = CLIENT.into_iter().filter_map(|name| Some((name.to_owned(), vars.get(name)?.to_owned())));
    let prefixed = CLIENT_BEGINNINGS.iter().flat_map(|beginning| vars.starting_with(beginning));
    named.collect::<Vec<_>>().into_iter().chain(prefixed.collect::<Vec<_>>())
}

pub(super) fn refer(core: &Supervised, service: &Service, reference: &Reference) -> Option<String> {
    match reference {
        Reference::Address => Some(Ipv4Addr::UNSPECIFIED.to_string()),
        Reference::Host => Some(service.name.to_string()),
        Reference::Port => service.port.map(|port| port.to_string()),
        Reference::FurtherPort(name) => service.ports.get(name).map(|further| further.port.to_string()),
        Reference::PublicUrl if service.public => {
            published::of(core, &service.name).map(|address| public_url(address, service))
        }
        Reference::PublicUrl => service.internal_url(),
        Reference::Data => Some(service.data().to_owned()),
        Reference::Commit | Reference::File(_) | Reference::Secret(_) | Reference::Provided { .. } => None,
    }
}

/// A container's user is not who owns the file, and the folder that it is in is only its owner's to enter.
pub(super) fn mode_of(asset: &Asset, executable: bool) -> Mode {
    asset.mode_of(executable).for_others()
}

pub(super) fn preview(containers: &Containers, core: &Supervised, recipe: &Recipe) -> String {
    let line = || {
        let Program::Image(image) = &recipe.program else { return None };
        let (service, system) = core.service(&recipe.service).zip(core.system_of(&recipe.service))?;
        let system = &system;
        let found = core.found_engine().ok()?;
        let known = containers.image_id(core, &recipe.service, image).ok().flatten();
        let id = known.unwrap_or_else(|| format!("<digest of {}>", recipe.service));
        let fixed = Fixed::unknown(is_closed(&found, None));
        let part = Part { core, names: &containers.names, found: &found, system, service, image, fixed };
        let variables = recipe.env.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        let shown: Vec<String> = recipe.args.iter().map(ToString::to_string).collect();
        let name = format!("{}-<number>", containers.names.container(&recipe.service));
        let args = found.engine.run(&name, &part.run(recipe, &part.variables(variables), &shown, id));
        Some(CommandLine::new(found.engine.kind.as_str()).args(args).to_string())
    };
    let line = line().unwrap_or_else(|| recipe.version());
    let allowed = allowed(core, recipe).map(|allowed| format!("\n{allowed}")).unwrap_or_default();
    format!("under the supervisor: {line}{allowed}")
}

/// How a version with further ports takes the place of the one that runs, where that is not without a gap.
pub(super) fn takeover(core: &Supervised, recipe: &Recipe) -> Option<String> {
    let (service, system) = core.service(&recipe.service).zip(core.system_of(&recipe.service))?;
    let stops = !recipe.ports.is_empty() && !fronted::overlaps(&system, service);
    stops.then(|| "a version stops before the next one starts: its further ports are reached directly".to_owned())
}

/// What it may do that others may not, and why; and what it may reach.
pub(super) fn allowed(core: &Supervised, recipe: &Recipe) -> Option<String> {
    let service = core.service(&recipe.service)?;
    let allowed = service.container.allow.as_ref().map(|allow| format!("it may {allow}"));
    let all: Vec<String> = allowed.into_iter().chain(reaching(core, service)).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// An engine lets a container out or not: it knows no addresses and ports beyond.
fn reaching(core: &Supervised, service: &Service) -> Option<String> {
    let reaches = Some(&service.reaches).filter(|reaches| !reaches.is_empty())?;
    let kind = core.found_engine().map_or("the engine", |found| found.engine.kind.as_str());
    Some(format!("it reaches {}, and all else out of its system, which {kind} cannot part from that", shown(reaches)))
}

/// Where a smoke contract reaches a service: where it is published, or in its network.
pub(super) fn endpoint(containers: &Containers, core: &Supervised, service: &ServiceName) -> Result<Endpoint, String> {
    let failed = |error: anyhow::Error| format!("{error:#}");
    if let Some(address) = published::of(core, service) {
        return Ok(reachable(address).into());
    }
    let declared = core.service(service).zip(core.system_of(service));
    let Some((declared, system)) = declared else { return Err(format!("there is no service `{service}`")) };
    let found = core.found_engine().map_err(failed)?;
    if !found.facts.reaches_containers() {
        return Err(format!("`{service}` is internal, and containers of this engine have no address on this machine"));
    }
    let name = current_container(core, &containers.names, service).map_err(failed)?;
    let name = name.ok_or_else(|| format!("`{service}` does not run"))?;
    let container = found.engine.container(&core.proc, &name).map_err(failed)?;
    let network = containers.names.network(&system.name);
    let address = container.and_then(|container| container.addresses.get(&network).copied());
    let address = address.ok_or_else(|| format!("`{service}` has no address in its network"))?;
    let port = declared.port.ok_or_else(|| format!("`{service}` has no `port`"))?;
    Ok(SocketAddr::new(address, port).into())
}
