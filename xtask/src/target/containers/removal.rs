//! Back to nothing in the engine: what is left of a system's containers, its networks, and what it stored.

use super::ground::of_system;
use super::names::Names;
use super::{Containers, edge};
use crate::plan::runner::StepCx;
use crate::plan::{Holds, Outcome, Preview, Step, StepId, Work};
use crate::spec::system::System;
use crate::supervisor::{Client, Connection};
use crate::target::supervised::Supervised;
use crate::target::supervised::images::noted_engine;
use crate::tools::engine::{self, Engine};
use anyhow::Result;
use std::sync::Arc;

/// The step that removes what a system has in the engine.
pub(super) fn of_system_step(
    containers: &Containers,
    core: &Arc<Supervised>,
    system: &System,
    needs: StepId,
    keep_data: bool,
) -> Step {
    let work =
        RemoveWork { core: Arc::clone(core), names: containers.names.clone(), system: system.clone(), keep_data };
    let preview = work.preview();
    Step {
        id: StepId::new(format!("network:{}", system.name)),
        title: format!("remove what `{}` has in the engine", system.name),
        system: Some(system.name.to_string()),
        needs: vec![needs],
        holds: Holds::Nothing,
        preview,
        work: Box::new(work),
    }
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

    fn networks(&self) -> [String; 2] {
        [self.names.network(&self.system.name), self.names.front(&self.system.name)]
    }

    fn volumes(&self) -> Vec<String> {
        let services = self.system.services.iter().filter(|_| !self.keep_data);
        services.map(|service| self.names.volume(&service.name)).collect()
    }

    /// What is there of these and was made by this deployment.
    fn found(&self, engine: &Engine, cx: &StepCx<'_>) -> Result<Found> {
        let ours = |labels: &engine::Labels| self.names.owns(labels);
        let mut found =
            Found { containers: of_system(engine, cx.proc, &self.names, &self.system)?, ..Found::default() };
        for name in self.networks() {
            found.networks.extend(engine.network(cx.proc, &name)?.filter(|n| ours(&n.labels)).map(|n| n.name));
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
    fn already(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        // Without its state a deployment is found by its labels, as long as an engine answers.
        if noted_engine(self.core.home())?.is_none() && self.core.found_engine().is_err() {
            return Ok(Some("nothing was made in an engine".to_owned()));
        }
        let edge = edge::name(&self.system.name)?;
        let runs = self.core.supervised()?.iter().any(|status| status.service == edge);
        let found = self.found(&self.core.engine.get(cx.proc)?.engine, cx)?;
        let nothing = found.containers.is_empty() && found.networks.is_empty() && found.volumes.is_empty();
        Ok((nothing && !runs).then(|| "nothing is there".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        if let Connection::Live(client) = Client::connect(self.core.home().dir()) {
            cx.status("stopping the edge");
            client.stop(&edge::name(&self.system.name)?)?;
        }
        let engine = self.core.engine.get(cx.proc)?.engine;
        let found = self.found(&engine, cx)?;
        for container in &found.containers {
            cx.status(format!("removing the container `{container}`"));
            engine::remove(cx.proc, &engine.container_remove(container))?;
        }
        for network in &found.networks {
            cx.status(format!("removing the network `{network}`"));
            engine::remove(cx.proc, &engine.network_remove(network))?;
        }
        for volume in &found.volumes {
            cx.status(format!("removing the volume `{volume}`"));
            engine::remove(cx.proc, &engine.volume_remove(volume))?;
        }
        Ok(Outcome::Done)
    }
}
