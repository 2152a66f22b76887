//! The edge of a system: the proxy that holds its public ports, and the names of internal services that can run two
//! versions at once, while one container follows another.

use super::fixed::Known;
use super::names::Names;
use super::{Containers, ground, launch, pull};
use crate::container::edge::{CONFIRMATIONS, Edge, Fronted, PING, ROUTES, confirmation, route_file};
use crate::container::{NAME, Place, Reach};
use crate::home;
use crate::key::Digest;
use crate::plan::runner::StepCx;
use crate::plan::{Holds, Outcome, Preview, Step, StepId, Work};
use crate::spec::container::{Cpu, Memory, NONROOT};
use crate::spec::name::{ServiceName, SystemName};
use crate::spec::system::{Probe, Service, System, TargetKind, Template};
use crate::supervisor::{self, Confirm, LaunchSpec, Route, State, Style};
use crate::target::supervised::Supervised;
use crate::target::supervised::recipe::Recipe;
use crate::target::supervised::runtime::Held;
use crate::tools::engine::{Found, Mount, RunSpec};
use anyhow::{Result, anyhow};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The short name of its image.
pub(super) const IMAGE: &str = "edge";

const MEMORY: Memory = Memory(128 << 20);
const CPU: Cpu = Cpu(1000);
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(15);

fn speaks_http(service: &Service) -> bool {
    matches!(service.ready, Probe::Http { .. })
}

fn is_needed_by_others(services: &[Service], service: &Service) -> bool {
    services.iter().any(|other| other.needs.contains(&service.name))
}

/// Whether a service is reached through its system's edge.
pub(super) fn is_fronted(system: &System, service: &Service) -> bool {
    fronts(&system.services, service)
}

fn fronts(services: &[Service], service: &Service) -> bool {
    speaks_http(service) && (service.public || service.is_own() && is_needed_by_others(services, service))
}

/// Whether two versions of a service may run side by side: one that keeps data of its own and is not made for that may
/// not, and what is reached directly by its name is found twice for a while.
pub(super) fn overlaps(service: &Service) -> bool {
    let stores = [&service.env, &service.files].into_iter().flat_map(|all| all.values()).chain(&service.args);
    let stores = stores.flat_map(Template::references).any(|r| *r == crate::spec::system::Reference::Data);
    service.is_own() || (service.public && speaks_http(service) && !stores)
}

/// Whether any of these services needs an edge.
pub(super) fn is_needed(services: &[Service]) -> bool {
    services.iter().any(|service| fronts(services, service))
}

fn edge_of(system: &System) -> Edge {
    let services: Vec<&Service> =
        system.services.iter().filter(|service| service.targets.contains(&TargetKind::Containers)).collect();
    let fronted = services.iter().filter(|service| is_fronted(system, service)).map(|service| Fronted {
        service: service.name.clone(),
        port: service.port,
        public: service.public,
        aliases: if is_needed_by_others(&system.services, service) {
            vec![service.name.to_string()]
        } else {
            Vec::new()
        },
    });
    Edge { fronted: fronted.collect() }
}

/// Its name under the supervisor.
pub(super) fn name(system: &SystemName) -> Result<ServiceName> {
    let name = format!("edge-{system}").parse();
    name.map_err(|_| anyhow!("the name of the system `{system}` leaves no room for that of its edge"))
}

fn folder(core: &Supervised, system: &SystemName) -> PathBuf {
    core.home().edges().join(system.as_str())
}

/// Everything on disk that belongs to the edge of a system.
pub(super) fn paths(core: &Supervised, system: &SystemName) -> Vec<PathBuf> {
    let log = name(system).map(|edge| core.home().log(&edge));
    let logs = log.into_iter().flat_map(|log| [log.with_extension("log.1"), log]);
    logs.chain([folder(core, system)]).collect()
}

fn routes(core: &Supervised, system: &SystemName) -> PathBuf {
    folder(core, system).join("routes")
}

/// How the edge of a service learns of a new version.
pub(super) fn route(core: &Supervised, system: &System, service: &Service, found: &Found) -> Option<Route> {
    let text = edge_of(system).route(&service.name)?;
    let edge = name(&system.name).ok()?;
    // A confirmation is asked for by the edge's address.
    let confirm = found.facts.reaches_containers();
    Some(Route {
        file: routes(core, &system.name).join(route_file(&service.name)),
        text,
        confirm: confirm.then(|| Confirm { edge, path: confirmation(&service.name) }),
    })
}

pub(super) fn step_id(system: &SystemName) -> StepId {
    StepId::new(format!("edge:{system}"))
}

/// The step that sees to the edge of a system; none where nothing needs one.
pub(super) fn step(
    containers: &Containers,
    core: &Arc<Supervised>,
    system: &System,
    recipes: &[Recipe],
    mut needs: Vec<StepId>,
    pulled: bool,
) -> Option<Step> {
    let started = |service: &&Service| recipes.iter().any(|recipe| recipe.service == service.name);
    let services: Vec<Service> = system.services.iter().filter(started).cloned().collect();
    if !is_needed(&services) {
        return None;
    }
    if pulled {
        needs.push(pull::step_id(IMAGE));
    }
    let public = system.services.iter().filter(|service| service.public);
    let names: Vec<String> = public.map(|service| format!("`{}`", service.name)).collect();
    let does = match names.as_slice() {
        [] => "for the names of internal services".to_owned(),
        names => format!("for the public ports of {}", names.join(", ")),
    };
    Some(Step {
        id: step_id(&system.name),
        title: format!("start the edge of `{}`", system.name),
        system: Some(system.name.to_string()),
        needs,
        holds: Holds::Nothing,
        preview: vec![Preview::Do(format!("under the supervisor: a proxy {does}"))],
        work: Box::new(EdgeWork {
            core: Arc::clone(core),
            names: containers.names.clone(),
            fixed: Arc::clone(&containers.fixed),
            system: system.clone(),
        }),
    })
}

struct EdgeWork {
    core: Arc<Supervised>,
    names: Names,
    fixed: Arc<Known>,
    system: System,
}

impl Work for EdgeWork {
    fn already(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let Some(spec) = self.spec(cx)? else { return Ok(None) };
        let status = self.core.supervised()?;
        let current = status.iter().find(|status| status.service == spec.service).and_then(|s| s.current.as_ref());
        let same = current.filter(|current| current.release == spec.release && current.state == State::Ready);
        Ok(same.map(|_| "it runs".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let spec = self
            .spec(cx)?
            .ok_or_else(|| anyhow!("the edge of `{}` has no image or no address yet", self.system.name))?;
        let system = &self.system.name;
        let id = format!("edge of {system}");
        self.core.enter_folder(&id, Some(system.as_str()), &folder(&self.core, system))?;
        std::fs::create_dir_all(routes(&self.core, system))?;
        self.open_routes()?;
        self.drop_old_routes()?;
        self.core.enter_log(&spec.service, system.as_str())?;
        let published = self.published()?;
        let all: Map<String, Value> =
            published.iter().map(|(name, address)| (name.to_string(), Value::from(address.to_string()))).collect();
        home::write_json(&self.core.home().published(system), &Value::Object(all))?;
        self.core.switch(&spec, cx)?;
        let shown: Vec<String> = published.iter().map(|(_, address)| address.to_string()).collect();
        Ok(if shown.is_empty() { Outcome::Done } else { Outcome::DoneWith(format!("on {}", shown.join(", "))) })
    }
}

impl EdgeWork {
    /// The public services that are started, and where each is published.
    fn published(&self) -> Result<Vec<(ServiceName, SocketAddr)>> {
        let addresses = self.core.addresses()?;
        let public = self.system.services.iter().filter(|service| service.public && speaks_http(service));
        Ok(public.filter_map(|service| Some((service.name.clone(), *addresses.get(&service.name)?))).collect())
    }

    /// The edge runs as a user of its own, who has to be able to read the routes. What is above the folder stays closed
    /// to all but its owner.
    fn open_routes(&self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = routes(&self.core, &self.system.name);
        Ok(std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?)
    }

    /// Routes that a killed supervisor has left lead to what is gone, and the numbers of its instances are given again:
    /// one of them could be taken for the confirmation of another.
    fn drop_old_routes(&self) -> Result<()> {
        let status = self.core.supervised()?;
        let runs = |name: &ServiceName| status.iter().any(|status| status.service == *name && status.current.is_some());
        for service in self.system.services.iter().filter(|service| !runs(&service.name)) {
            home::remove(&routes(&self.core, &self.system.name).join(route_file(&service.name)))?;
        }
        Ok(())
    }

    fn spec(&self, cx: &StepCx<'_>) -> Result<Option<LaunchSpec>> {
        let Some(pin) = self.core.deployment.spec.images.get(IMAGE) else {
            return Err(anyhow!("`deploy/images.toml` has no image `{IMAGE}`, which keeps public ports open"));
        };
        let Some(image) = pull::noted(self.core.home(), &pin.to_string())? else { return Ok(None) };
        let found = self.core.engine.get(cx.proc)?;
        let edge = edge_of(&self.system);
        let service = name(&self.system.name)?;
        let run = self.run(&found, &edge, &service, image)?;
        let args = found.engine.run(NAME, &run);
        Ok(Some(LaunchSpec {
            release: format!("{:.16}", Digest::of(format!("{args:?}"))),
            program: found.engine.program.clone(),
            args,
            dir: self.core.home().dir().to_owned(),
            env: launch::surroundings(&self.core),
            log: self.core.home().log(&service),
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, edge.admin_port())),
            style: Style::Container { place: self.place(&found, &edge, &service), overlaps: false, route: None },
            ready: Probe::Http { path: PING.to_owned() },
            live: Probe::Http { path: PING.to_owned() },
            ready_within: READY_WITHIN,
            stop_within: STOP_WITHIN,
            probe_every: LaunchSpec::PROBE_EVERY,
            promote_within: LaunchSpec::PROMOTE_WITHIN,
            service,
        }))
    }

    fn run(&self, found: &Found, edge: &Edge, service: &ServiceName, image: String) -> Result<RunSpec> {
        let system = &self.system.name;
        let published = self.published()?;
        let publish = published.iter().filter_map(|(name, address)| Some((*address, edge.public_port(name)?)));
        let publish: Vec<_> = publish.collect();
        let front = (ground::has_front(found.engine.kind) && !publish.is_empty()).then(|| self.names.front(system));
        let networks = front.into_iter().chain([self.names.network(system)]).collect();
        let fixed = self.fixed.of(&self.core, &self.names, &self.system)?;
        Ok(RunSpec {
            image,
            labels: self.names.service_labels(system, service),
            networks,
            fixed: fixed.edge.map(|at| (self.names.network(system), at)).into_iter().collect(),
            hosts: BTreeMap::new(),
            aliases: edge.fronted.iter().flat_map(|fronted| fronted.aliases.clone()).collect(),
            publish,
            env: Vec::new(),
            mounts: vec![Mount::Bind { source: routes(&self.core, system), at: ROUTES.to_owned() }],
            user: Some(NONROOT),
            writable: vec!["/tmp".to_owned()],
            memory: MEMORY,
            cpu: CPU,
            low_ports: edge.fronted.iter().any(|fronted| !fronted.aliases.is_empty() && fronted.port < 1024),
            args: edge.args(),
        })
    }

    fn place(&self, found: &Found, edge: &Edge, service: &ServiceName) -> Place {
        let health = edge.health();
        Place {
            engine: found.engine.kind,
            prefix: self.names.container(service),
            network: self.names.network(&self.system.name),
            port: edge.admin_port(),
            reach: if found.facts.reaches_containers() { Reach::Address } else { Reach::Exec(health) },
            relays: vec![CONFIRMATIONS.to_owned()],
        }
    }
}

/// Where a public service is published.
pub(super) fn published(core: &Supervised, service: &ServiceName) -> Option<SocketAddr> {
    core.deployment.find_service(service).filter(|service| service.public)?;
    core.addresses().ok()?.get(service).copied()
}

/// The ports that edges hold, those of a supervisor that was killed among them.
pub(super) fn held(core: &Supervised) -> Result<Held> {
    let orphans = supervisor::orphans(core.home().dir()).into_iter().map(|orphan| orphan.service);
    let running: BTreeSet<ServiceName> = core
        .supervised()?
        .into_iter()
        .filter_map(|status| status.current.map(|_| status.service))
        .chain(orphans)
        .collect();
    let mut held = Held::default();
    for system in &core.deployment.spec.systems {
        if !name(&system.name).is_ok_and(|edge| running.contains(&edge)) {
            continue;
        }
        let Some(Value::Object(published)) = home::read_json(&core.home().published(&system.name))? else { continue };
        let read = |(name, address): (&String, &Value)| Some((name.parse().ok()?, address.as_str()?.parse().ok()?));
        held.serving.extend(published.iter().filter_map(read));
    }
    Ok(held)
}
