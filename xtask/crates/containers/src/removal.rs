//! Back to nothing in the engine: what is left of a system's containers, its networks, and what it stored.

use super::names::{Names, SERVICE, SYSTEM};
use super::prerequisites;
use super::{Containers, edge, lost};
use anyhow::Result;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Preview, Work};
use engine::reconcile::UnitId;
use engine::teardown::Removal;
use machine::supervised::Supervised;
use machine::supervised::images::noted_engine;
use model::system::System;
use std::sync::Arc;
use supervisor::{Client, Connection};
use tools::oci;
use tools::oci::Engine;

/// What removes all that a system has in the engine.
pub(super) fn of_system(containers: &Containers, core: &Arc<Supervised>, system: &System, keep_data: bool) -> Removal {
    let work =
        RemoveWork { core: Arc::clone(core), names: containers.names.clone(), system: system.clone(), keep_data };
    Removal::new(format!("remove what `{}` has in the engine", system.name), work.preview(), work)
}

/// Removes the containers of a service that has stopped, in a system of which others go on.
pub(super) fn of_unit(containers: &Containers, core: &Supervised, unit: &UnitId, cx: &StepCx<'_>) -> Result<()> {
    if noted_engine(core.home())?.is_none() {
        return Ok(());
    }
    let engine = core.engine.get(cx.proc)?.engine;
    let names = &containers.names;
    let listed = oci::lines(&cx.proc.read(&engine.containers_with_label(names.label()))?);
    let is = |labels: &oci::Labels, key: &str, value: &str| labels.get(key).is_some_and(|known| known == value);
    for container in engine.containers(cx.proc, &listed)? {
        let labels = &container.labels;
        let of_unit = is(labels, SYSTEM, unit.system.as_str()) && is(labels, SERVICE, unit.service.as_str());
        if of_unit && names.owns(labels) {
            cx.status(format!("removing the container `{}`", container.name));
            oci::remove(cx.proc, &engine.container_remove(&container.name))?;
        }
    }
    Ok(())
}

struct RemoveWork {
    core: Arc<Supervised>,
    names: Names,
    system: System,
    keep_data: bool,
}

impl RemoveWork {
    fn preview(&self) -> Vec<Preview> {
        let Ok(Some(kind)) = noted_engine(self.core.home()) else {
            return vec![Preview::Do("what carries the deployment's labels".to_owned())];
        };
        let engine = Engine::as_typed(kind);
        let networks = self.networks();
        let networks = networks.iter().map(|name| engine.network_remove(name));
        let volumes = self.volumes().into_iter().map(|name| engine.volume_remove(&name));
        networks.chain(volumes).map(Preview::Run).collect()
    }

    fn networks(&self) -> [String; 3] {
        let (names, system) = (&self.names, &self.system.name);
        [names.network(system), names.front(system), names.out(system)]
    }

    fn volumes(&self) -> Vec<String> {
        let services = self.core.services_made_for(&self.system).into_iter().filter(|_| !self.keep_data);
        services.flat_map(|service| self.names.volumes(&self.core, &service)).collect()
    }

    /// What is there of these and was made by this deployment.
    fn found(&self, engine: &Engine, cx: &StepCx<'_>) -> Result<Found> {
        let ours = |labels: &oci::Labels| self.names.owns(labels);
        let mut found = Found {
            containers: prerequisites::of_system(engine, cx.proc, &self.names, &self.system)?,
            ..Found::default()
        };
        for name in self.networks() {
            found.networks.extend(engine.network(cx.proc, &name)?.filter(|n| ours(&n.labels)).map(|n| n.name));
        }
        if self.names.is_lost() && !self.keep_data {
            let of_system = |labels: &oci::Labels| labels.get(SYSTEM).is_some_and(|s| s == self.system.name.as_str());
            let all = lost::volumes(engine, cx.proc, &self.names)?.into_iter();
            found.volumes.extend(all.filter(|v| ours(&v.labels) && of_system(&v.labels)).map(|v| v.name));
            return Ok(found);
        }
        for name in self.volumes() {
            found.volumes.extend(engine.volume(cx.proc, &name)?.filter(|v| ours(&v.labels)).map(|v| v.name));
        }
        Ok(found)
    }
}

#[derive(Default)]
struct Found {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
}

impl Work for RemoveWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        // Without its state a deployment is found by its labels, as long as an engine answers.
        if noted_engine(self.core.home())?.is_none() && self.core.found_engine().is_err() {
            return Ok(Some("nothing was made in an engine".to_owned()));
        }
        let edge = edge::name(&self.system.name)?;
        let runs = !self.core.supervised_of(&[edge])?.is_empty();
        let found = self.found(&self.core.engine.get(cx.proc)?.engine, cx)?;
        let nothing = found.containers.is_empty() && found.networks.is_empty() && found.volumes.is_empty();
        Ok((nothing && !runs).then(|| "nothing is there".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        if let Connection::Live(client) = Client::connect(self.core.home().dir()) {
            cx.status("stopping the edge");
            client.stop(&edge::name(&self.system.name)?)?;
        }
        let engine = self.core.engine.get(cx.proc)?.engine;
        let found = self.found(&engine, cx)?;
        for container in &found.containers {
            cx.status(format!("removing the container `{container}`"));
            oci::remove(cx.proc, &engine.container_remove(container))?;
        }
        for network in &found.networks {
            cx.status(format!("removing the network `{network}`"));
            oci::remove(cx.proc, &engine.network_remove(network))?;
        }
        for volume in &found.volumes {
            cx.status(format!("removing the volume `{volume}`"));
            oci::remove(cx.proc, &engine.volume_remove(volume))?;
        }
        Ok(Outcome::Done)
    }
}
