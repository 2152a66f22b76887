//! The edge of a system: the proxy that holds its public ports, and the names of internal services that can run two
//! versions at once, while one container follows another.

use super::fixed::FixedAddresses;
use super::fronted::{edge_of, is_needed};
use super::names::Names;
use super::{Containers, launch, neighbor, published, pull};
use anyhow::{Result, anyhow};
use base::error::Fault;
use base::files;
use base::lasting;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use engine::reconcile::UnitId;
use keys::Digest;
use machine::supervised::recipe::Recipe;
use machine::supervised::{Supervised, addresses};
use model::container::{Cpu, Memory, NONROOT};
use model::name::{ServiceName, SystemName};
use model::system::{Probe, Service, System};
use shim::edge::{CONFIRMATIONS, Edge, PING, ROUTES, confirmation, route_file};
use shim::{Mount, Publish, Run, RunSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use supervisor::container::{NAME, Place, Reach};
use supervisor::{Confirm, LaunchSpec, LaunchStrategy, Route, State};
use tools::oci::Found;

/// The short name of its image.
pub(super) const IMAGE: &str = "edge";

const MEMORY: Memory = Memory(128 << 20);
const CPU: Cpu = Cpu(1000);
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(15);

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

/// What tells one edge from another. The hardware address follows from the address, and an edge that was started without
/// one is the same.
fn release(args: &[String]) -> String {
    let without = |arg: &String| arg.split_once(",mac=").map_or_else(|| arg.clone(), |(rest, _)| rest.to_owned());
    let args: Vec<String> = args.iter().map(without).collect();
    format!("{:.16}", Digest::of(lasting::text(&args)))
}

pub(super) fn step_id(system: &SystemName) -> StepId {
    Action::new("edge").of(&system)
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
    let all = core.addresses().unwrap_or_default();
    let names: Vec<String> = public(system).map(|service| shown(core, &service, all.get(&service.name))).collect();
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
            unpublished: None,
        }),
    })
}

/// "`web` on 127.0.0.1:81 (port 80 is held by …)"
fn shown(core: &Supervised, service: &Service, address: Option<&SocketAddr>) -> String {
    let place = address.map(|address| format!(" on {address}")).unwrap_or_default();
    let why = core.displacement(service).map(|why| format!(" ({why})")).unwrap_or_default();
    format!("`{}`{place}{why}", service.name)
}

/// What a system publishes, each port as a service of its own.
fn public(system: &System) -> impl Iterator<Item = Service> {
    system.services.iter().flat_map(addresses::each_port).filter(Service::holds_public_name)
}

struct EdgeWork {
    core: Arc<Supervised>,
    names: Names,
    fixed: Arc<FixedAddresses>,
    system: System,
    /// A service whose port has gone back to whom it was from.
    unpublished: Option<ServiceName>,
}

impl Work for EdgeWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let Some(spec) = self.spec(cx)? else { return Ok(None) };
        let status = self.core.supervised_of(std::slice::from_ref(&spec.service))?;
        let current = status.first().and_then(|status| status.current.as_ref());
        let same = current.filter(|current| current.release == spec.release && current.state == State::Ready);
        Ok(same.map(|_| "it runs".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let spec = self
            .spec(cx)?
            .ok_or_else(|| anyhow!("the edge of `{}` has no image or no address yet", self.system.name))?;
        let before = published::noted(&self.core, &self.system.name)?;
        self.prepare(&spec)?;
        let published = self.published()?;
        let stopped = self.make_room(&published, cx)?;
        if let Err(error) = self.core.switch(&spec, cx) {
            // The edge that was there before serves on where it was.
            if !before.is_empty() {
                published::note(&self.core, &self.system.name, &before)?;
            }
            return Err(self.start_again(stopped, Fault::of(&error), cx).into());
        }
        let shown: Vec<String> = published.iter().map(|(_, address)| address.to_string()).collect();
        Ok(if shown.is_empty() { Outcome::Done } else { Outcome::DoneWith(format!("on {}", shown.join(", "))) })
    }
}

impl EdgeWork {
    /// Makes what it reads and writes, and notes which ports it is to have.
    fn prepare(&self, spec: &LaunchSpec) -> Result<()> {
        let system = &self.system.name;
        let id = format!("edge of {system}");
        self.core.enter_folder(&id, Some(system.as_str()), &folder(&self.core, system))?;
        std::fs::create_dir_all(routes(&self.core, system))?;
        self.open_routes()?;
        self.drop_old_routes()?;
        self.core.enter_log(&spec.service, system.as_str())?;
        published::note(&self.core, system, &self.published()?.into_iter().collect())
    }

    /// The edges of others that ended for this one, which came to nothing, serve again; what became of that is said.
    fn start_again(&self, stopped: Vec<System>, fault: Fault, cx: &StepCx<'_>) -> Fault {
        let mut cause = fault.cause.clone();
        for system in stopped {
            let named = system.name.clone();
            let words = match self.of(system).run_again(cx) {
                Ok(()) => format!("\n  the edge of `{named}` serves again"),
                Err(error) => format!("\n  and the edge of `{named}` could not be started again: {error:#}"),
            };
            cause.push_str(&words);
        }
        Fault { cause, ..fault }
    }

    /// The edge of another system.
    fn of(&self, system: System) -> Self {
        let (core, names, fixed) = (Arc::clone(&self.core), self.names.clone(), Arc::clone(&self.fixed));
        Self { core, names, fixed, system, unpublished: None }
    }

    fn run_again(&self, cx: &StepCx<'_>) -> Result<()> {
        let spec = self.spec(cx)?.ok_or_else(|| anyhow!("its image is gone"))?;
        self.prepare(&spec)?;
        self.core.switch(&spec, cx)
    }

    /// The public services that are started, and where each is published.
    fn published(&self) -> Result<Vec<(ServiceName, SocketAddr)>> {
        let all = self.core.addresses()?;
        let public = public(&self.system).filter(|service| self.unpublished.as_ref() != Some(&service.name.owner()));
        Ok(public.filter_map(|service| Some((service.name.clone(), *all.get(&service.name)?))).collect())
    }

    /// Two edges cannot publish one port: that of a system which no file declares any more ends before this one starts.
    /// Those that ended.
    fn make_room(&self, published: &[(ServiceName, SocketAddr)], cx: &StepCx<'_>) -> Result<Vec<System>> {
        let mut stopped = Vec::new();
        let undeclared = |other: &System| {
            other.name != self.system.name && self.core.deployment.declares_system(&other.name) == Some(false)
        };
        for other in self.core.known_systems().into_iter().filter(undeclared) {
            let theirs = published::noted(&self.core, &other.name)?;
            if published.iter().any(|(_, address)| theirs.values().any(|held| held == address)) {
                cx.status(format!("stopping the edge of `{}`, which nothing declares any more", other.name));
                let edge = name(&other.name)?;
                if !self.core.supervised_of(std::slice::from_ref(&edge))?.is_empty() {
                    self.core.client()?.stop(&edge)?;
                    stopped.push(other);
                }
            }
        }
        Ok(stopped)
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
            files::remove(&routes(&self.core, &self.system.name).join(route_file(&service.name)))?;
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
        let run = self.run(&edge, &service, image)?;
        let args = neighbor::as_known(found.engine.run(NAME, &run));
        Ok(Some(LaunchSpec {
            release: release(&args),
            program: found.engine.program.clone(),
            args,
            dir: self.core.home().dir().to_owned(),
            env: launch::surroundings(&self.core),
            log: self.core.home().log(&service),
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, edge.admin_port())),
            style: LaunchStrategy::Container {
                place: self.place(&found, &edge, &service),
                overlaps: false,
                route: None,
            },
            ready: Probe::Http { path: PING.to_owned() },
            live: Probe::Http { path: PING.to_owned() },
            ready_within: READY_WITHIN,
            stop_within: STOP_WITHIN,
            probe_every: LaunchSpec::PROBE_EVERY,
            promote_within: LaunchSpec::PROMOTE_WITHIN,
            service,
        }))
    }

    fn run(&self, edge: &Edge, service: &ServiceName, image: String) -> Result<RunSpec> {
        let system = &self.system.name;
        let published = self.published()?;
        let publish = published
            .iter()
            .filter_map(|(name, at)| Some(Publish { at: *at, port: edge.public_port(name)?, udp: edge.is_udp(name) }));
        let publish: Vec<_> = publish.collect();
        let fixed = self.fixed.of(&self.core, &self.names, &self.system)?;
        let front = (fixed.is_closed && !publish.is_empty()).then(|| self.names.front(system));
        let networks = front.into_iter().chain([self.names.network(system)]).collect();
        Ok(RunSpec {
            image,
            labels: self.names.service_labels(system, service),
            networks,
            fixed: fixed.edge.map(|at| (self.names.network(system), at)).into_iter().collect(),
            hosts: BTreeMap::new(),
            aliases: edge.fronted.iter().flat_map(|fronted| fronted.aliases.clone()).collect(),
            publish,
            env: Vec::new(),
            proxied: false,
            mounts: vec![Mount::Bind { source: routes(&self.core, system), at: ROUTES.to_owned() }],
            user: Some(NONROOT),
            writable: vec!["/tmp".to_owned()],
            memory: MEMORY,
            cpu: CPU,
            low_ports: edge.fronted.iter().any(|fronted| !fronted.aliases.is_empty() && fronted.port < 1024),
            writable_root: false,
            capabilities: Vec::new(),
            entrypoint: Vec::new(),
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

/// Gives the ports back that the edge of a failed service's system took from the systems of those whose place it was to
/// take. Whatever else its own edge is in front of goes on.
pub(super) fn give_back(
    containers: &Containers,
    core: &Arc<Supervised>,
    unit: &UnitId,
    old: &[UnitId],
    cx: &StepCx<'_>,
) -> Result<()> {
    let others: BTreeSet<&SystemName> = old.iter().map(|old| &old.system).filter(|of| **of != unit.system).collect();
    let runs = |system: &SystemName| Ok::<_, anyhow::Error>(!core.supervised_of(&[name(system)?])?.is_empty());
    for other in others {
        if runs(other)? || !core.home().published(other).exists() {
            continue;
        }
        let own = EdgeWork {
            core: Arc::clone(core),
            names: containers.names.clone(),
            fixed: Arc::clone(&containers.fixed),
            system: core.system_of(&unit.service).unwrap_or_else(|| core.known_system(&unit.system)),
            unpublished: Some(unit.service.clone()),
        };
        cx.status(format!("starting the edge of `{other}` again"));
        core.client()?.stop(&name(&unit.system)?)?;
        own.of(core.known_system(other)).run_again(cx)?;
        let status = core.supervised()?;
        let serves =
            |service: &Service| service.name != unit.service && status.iter().any(|s| s.service == service.name);
        if own.system.services.iter().any(serves) {
            own.run_again(cx)?;
        }
    }
    Ok(())
}
