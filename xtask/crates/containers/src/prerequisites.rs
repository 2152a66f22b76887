//! What every start of a system needs: its networks, the volumes of its services, and no container that an earlier run
//! has left.

use super::names::{Names, SYSTEM, volume_entries, volume_id};
use super::{Containers, edge, launch};
use anyhow::Result;
use base::error::Fault;
use base::proc::{CommandLine, Proc};
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use engine::reconcile::UnitId;
use machine::supervised::Supervised;
use machine::supervised::images::{note_engine, noted_engine};
use machine::supervised::publisher::HOME;
use machine::supervised::recipe::{Program, Recipe};
use machine::supervised::steps::{PORTS, SUPERVISOR};
use machine::supervised::teardown::data_of;
use model::container::EngineKind;
use model::name::ServiceName;
use model::system::System;
use model::version::Version;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tools::oci;
use tools::oci::{Container, Engine, Found, Labels, Named};

/// The kinds of what is made here, in the ledger and in receipts.
pub(super) const NETWORK: &str = "network";
pub(super) const VOLUME: &str = "volume";

/// From here on docker takes several networks for a container.
const SEVERAL_NETWORKS: Version = Version::new(25, 0, 0);

/// For how long a network is tried to be made while interfaces of the machine go.
const INTERFACES_SETTLE: Duration = Duration::from_secs(10);

/// Whether there is no way out of the network of a system, nor into it: what is published comes in through a network of its
/// own, and what may get out has another. podman's networks are within reach of others unless they are internal. docker's
/// are not; one that is there stays what it is for as long as containers are in it.
pub(super) fn is_closed(found: &Found, there: Option<&Named>) -> bool {
    match found.engine.kind {
        EngineKind::Podman => true,
        EngineKind::Docker => there.map_or(found.facts.version >= SEVERAL_NETWORKS, |network| network.internal),
    }
}

/// What was made in one engine is not there in the other, and would be left behind.
pub(super) fn check_engine(core: &Supervised) -> Result<()> {
    let noted = noted_engine(core.home())?;
    match (core.deployment.environment.engine, noted) {
        (Some(wanted), Some(noted)) if wanted != noted => {
            let cause = format!("this deployment runs in {noted}, and the environment names {wanted}");
            let teardown = core.deployment.environment.command("teardown");
            let hint = format!("remove what runs first: `{teardown} --set engine={noted}`");
            Err(Fault::could_not_run("engine-changed", cause).hint(hint).into())
        }
        _ => Ok(()),
    }
}

pub(super) fn steps(
    containers: &Containers,
    core: &Arc<Supervised>,
    system: &System,
    recipes: &[Recipe],
    pulled: bool,
) -> Vec<Step> {
    let of = |recipe: &Recipe| {
        let service = recipe.service.clone();
        launch::volumes(core, recipe).into_keys().map(move |volume| (service.clone(), volume)).collect::<Vec<_>>()
    };
    let volumes = recipes.iter().flat_map(of).collect();
    let work = NetworkWork {
        core: Arc::clone(core),
        names: containers.names.clone(),
        system: system.clone(),
        services: recipes.iter().map(|recipe| recipe.service.clone()).collect(),
        volumes,
        reaches: recipes.iter().any(|recipe| matches!(&recipe.program, Program::Image(image) if image.reaches)),
    };
    let id = Action::new("network").of(&system.name);
    let needs = [PORTS, SUPERVISOR].map(StepId::new);
    let preview = work.preview();
    let network = Step {
        id: id.clone(),
        title: format!("make the network of `{}`", system.name),
        system: Some(system.name.to_string()),
        needs: needs.to_vec(),
        holds: Holds::Nothing,
        preview,
        work: Box::new(work),
    };
    let edge = edge::step(containers, core, system, recipes, needs.into_iter().chain([id]).collect(), pulled);
    std::iter::once(network).chain(edge).collect()
}

struct NetworkWork {
    core: Arc<Supervised>,
    names: Names,
    system: System,
    /// All that are started, and the volumes of those that store something.
    services: Vec<ServiceName>,
    volumes: Vec<(ServiceName, String)>,
    /// Whether one of them may leave the network.
    reaches: bool,
}

impl NetworkWork {
    /// By name, and whether it is internal.
    fn networks(&self, found: &Found) -> Result<Vec<(String, bool)>> {
        let network = self.names.network(&self.system.name);
        let there = match found.engine.kind {
            EngineKind::Podman => None,
            EngineKind::Docker => found.engine.network(&self.core.proc, &network)?,
        };
        if !is_closed(found, there.as_ref()) {
            return Ok(vec![(network, false)]);
        }
        let out = self.reaches.then(|| self.names.out(&self.system.name));
        let open = std::iter::once(self.names.front(&self.system.name)).chain(out).map(|name| (name, false));
        Ok(std::iter::once((network, true)).chain(open).collect())
    }

    /// Whether the way out that is wanted was made before.
    fn has_way_out(&self) -> bool {
        let out = self.names.out(&self.system.name);
        !self.reaches || self.core.ledger().entries().iter().any(|entry| entry.kind == NETWORK && entry.id == out)
    }

    fn preview(&self) -> Vec<Preview> {
        let Ok(found) = self.core.found_engine() else {
            return vec![Preview::Do(format!("network `{}`", self.names.network(&self.system.name)))];
        };
        let labels = self.names.labels(&self.system.name);
        let engine = Engine::as_typed(found.engine.kind);
        let networks = self.networks(&found).unwrap_or_default();
        let networks = networks.iter().map(|(name, internal)| engine.network_create(name, &labels, *internal));
        let volume = |(service, volume): &(ServiceName, String)| {
            engine.volume_create(&self.names.volume(&self.core, service, volume), &self.volume_labels(service))
        };
        networks.chain(self.volumes.iter().map(volume)).map(Preview::Run).collect()
    }

    fn volume_labels(&self, service: &ServiceName) -> Labels {
        self.names.service_labels(&self.system.name, service)
    }
}

impl Work for NetworkWork {
    /// Where all services run, what they need is there, and no engine has to be asked.
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let status = self.core.supervised_of(&self.services)?;
        let runs = |name: &ServiceName| status.iter().any(|status| status.service == *name && status.current.is_some());
        if self.services.iter().all(runs) && self.has_way_out() {
            return Ok(Some("all services run in it".to_owned()));
        }
        // What another run has made is entered by this one, too.
        if noted_engine(self.core.home())?.is_none() {
            return Ok(None);
        }
        let found = self.core.engine.get(cx.proc)?;
        let engine = &found.engine;
        for (name, _) in self.networks(&found)? {
            match engine.network(cx.proc, &name)? {
                Some(network) => self.check_owner(NETWORK, &network)?,
                None => return Ok(None),
            }
        }
        for (service, volume) in self.volumes.iter().filter(|(service, _)| !self.core.inherits(service)) {
            match engine.volume(cx.proc, &self.names.volume(&self.core, service, volume))? {
                Some(volume) => self.check_owner(VOLUME, &volume)?,
                None => return Ok(None),
            }
        }
        let stale = self.stale(engine, cx.proc)?;
        Ok(stale.is_empty().then(|| "it is there".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let found = self.core.engine.get(cx.proc)?;
        let engine = &found.engine;
        let system = self.system.name.as_str();
        let stale = self.stale(engine, cx.proc)?;
        for name in &stale {
            cx.status(format!("removing `{name}`, which an earlier run has left"));
            oci::remove(cx.proc, &engine.container_remove(name))?;
        }
        for (name, internal) in self.networks(&found)? {
            self.enter(NETWORK, &name, &name, system)?;
            match engine.network(cx.proc, &name)? {
                Some(network) => self.check_owner(NETWORK, &network)?,
                None => {
                    make_network(cx, &engine.network_create(&name, &self.names.labels(&self.system.name), internal))?;
                }
            }
        }
        for (service, volume) in &self.volumes {
            // One that gets what another has stored is given that when it starts.
            if self.core.inherits(service) {
                continue;
            }
            let name = self.names.volume(&self.core, service, volume);
            self.enter(VOLUME, &volume_id(service, volume), &name, system)?;
            match engine.volume(cx.proc, &name)? {
                Some(volume) => self.check_owner(VOLUME, &volume)?,
                None => cx.run(&engine.volume_create(&name, &self.volume_labels(service)))?,
            }
        }
        note_engine(self.core.home(), &found)?;
        Ok(Outcome::Done)
    }
}

impl NetworkWork {
    fn enter(&self, kind: &str, id: &str, name: &str, system: &str) -> Result<()> {
        self.core.enter(Entry {
            kind: kind.to_owned(),
            id: id.to_owned(),
            system: Some(system.to_owned()),
            identity: json!({"name": name}),
        })
    }

    /// Something of this name may be another checkout's, whose deployment has the same name, or anybody's.
    fn check_owner(&self, kind: &str, thing: &Named) -> Result<()> {
        if self.names.owns(&thing.labels) {
            return Ok(());
        }
        let owner = match thing.labels.get(HOME) {
            Some(home) => format!("the deployment whose state is in `{home}`"),
            None => "somebody else".to_owned(),
        };
        let cause = format!("the {kind} `{}` was made by {owner}", thing.name);
        let deploy = self.core.deployment.environment.command("deploy");
        Err(Fault::failed("name-taken", cause)
            .hint(format!("give this deployment a name of its own: `{deploy} --set deployment_id=NAME`"))
            .into())
    }

    /// Containers of the system that no supervisor looks after, and those of other systems that hold a port which this
    /// one is to have: a supervisor was killed together with everything it had started, or before it had written it down.
    fn stale(&self, engine: &Engine, proc: &Proc) -> Result<Vec<String>> {
        let ours = of_deployment(engine, proc, &self.names)?;
        let addresses = self.core.addresses()?;
        let wanted = self.services.iter().filter_map(|service| addresses.get(service)).map(SocketAddr::port);
        let wanted: BTreeSet<u16> = wanted.collect();
        let holds =
            |container: &Container| container.published.values().flatten().any(|at| wanted.contains(&at.port()));
        // Asked afterwards, so that whatever the supervisor has started is known to be its.
        let live = live(&self.core, &self.names)?;
        let jobs = self.core.running_jobs(&self.system.name);
        let jobs: Vec<String> = jobs.iter().map(|job| self.names.job_run(&self.system.name, job)).collect();
        let stale = |container: &Container| !live.contains_key(&container.name) && !jobs.contains(&container.name);
        let ours = ours.into_iter().filter(|container| is_of(container, &self.system) || holds(container));
        Ok(ours.filter(stale).map(|container| container.name).collect())
    }
}

/// podman looks for a free range of addresses at all interfaces of the machine, and makes nothing when one of them goes
/// meanwhile, as when another container ends.
fn make_network(cx: &StepCx<'_>, create: &CommandLine) -> Result<()> {
    let make = || {
        let finished = cx.try_run(create, &|_, _| {})?;
        if oci::says_interface_gone(&finished.stderr) {
            return Ok(None);
        }
        Ok(Some(finished.check(create)?))
    };
    let expired = || {
        let cause = format!("`{create}` did not succeed: network interfaces of this machine come and go all the time");
        Fault::failed("engine", cause)
    };
    cx.wait_for(INTERFACES_SETTLE, make, expired)
}

/// Enters what one service has stored as another's: an engine cannot rename a volume, so it keeps the name that it has.
pub(super) fn hand_over(core: &Supervised, from: &ServiceName, to: &UnitId) -> Result<()> {
    for (volume, name) in volume_entries(core, from) {
        core.enter(Entry {
            kind: VOLUME.to_owned(),
            id: volume_id(&to.service, &volume),
            system: Some(to.system.to_string()),
            identity: json!({"name": name}),
        })?;
    }
    core.ledger().strike(|entry| entry.kind == VOLUME && data_of(&entry.id) == Some(from.as_str()))
}

/// The containers that the supervisor has at this moment, and whose they are.
fn live(core: &Supervised, names: &Names) -> Result<BTreeMap<String, ServiceName>> {
    let mut live = BTreeMap::new();
    for status in core.supervised()? {
        for instance in status.current.iter().chain(&status.candidate) {
            live.insert(names.instance(&status.service, instance.instance), status.service.clone());
        }
    }
    Ok(live)
}

/// All containers of this deployment.
fn of_deployment(engine: &Engine, proc: &Proc, names: &Names) -> Result<Vec<Container>> {
    let listed = oci::lines(&proc.read(&engine.containers_with_label(names.label()))?);
    let found = engine.containers(proc, &listed)?;
    Ok(found.into_iter().filter(|container| names.owns(&container.labels)).collect())
}

fn is_of(container: &Container, system: &System) -> bool {
    container.labels.get(SYSTEM).is_some_and(|name| name == system.name.as_str())
}

/// The names of all containers that carry the labels of a system of this deployment.
pub(super) fn of_system(engine: &Engine, proc: &Proc, names: &Names, system: &System) -> Result<Vec<String>> {
    let ours = of_deployment(engine, proc, names)?;
    Ok(ours.into_iter().filter(|container| is_of(container, system)).map(|container| container.name).collect())
}
