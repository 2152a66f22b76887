//! What of a deployment can still be found in the engine, whether the ledger knows of it or not.

use super::Containers;
use super::names::{SERVICE, SYSTEM};
use crate::spec::name::ServiceName;
use crate::target::supervised::Supervised;
use crate::target::supervised::images::noted_engine;
use crate::target::{Remains, Scope, Survivor};
use crate::tools::engine::{self, Engine, Labels};
use anyhow::Result;

/// Whether a service has a volume. What is in it only the engine's machine could tell.
pub(super) fn has_volume(containers: &Containers, core: &Supervised, service: &ServiceName) -> bool {
    if !matches!(noted_engine(core.home()), Ok(Some(_))) {
        return false;
    }
    let engine = || core.found_engine().ok().map(|found| found.engine);
    let volume = || engine()?.volume(&core.proc, &containers.names.volume(service)).ok()?;
    volume().is_some()
}

/// Adds what carries the deployment's labels. An engine that was never used is not asked, unless it is at hand: without
/// its state a deployment is found by its labels.
pub(super) fn find(
    containers: &Containers,
    core: &Supervised,
    scope: &Scope,
    keep_data: bool,
    remains: &mut Remains,
) -> Result<()> {
    let noted = noted_engine(core.home())?;
    let engine = match core.found_engine() {
        Ok(found) => found.engine,
        Err(_) if noted.is_none() => return Ok(()),
        Err(error) => return Err(error),
    };
    let search = Search { containers, core, scope, engine: &engine };
    for container in search.containers()? {
        remains.survivors.push(container);
    }
    let networks = core.proc.read(&engine.networks_with_label(containers.names.label()))?;
    for name in engine::lines(&networks) {
        let Some(network) = engine.network(&core.proc, &name)? else { continue };
        remains.survivors.extend(search.found(
            "network",
            &name,
            &network.labels,
            engine.network_remove(&name).to_string(),
        ));
    }
    let volumes = core.proc.read(&engine.volumes_with_label(containers.names.label()))?;
    for name in engine::lines(&volumes) {
        let Some(volume) = engine.volume(&core.proc, &name)? else { continue };
        let found = search.found("volume", &name, &volume.labels, engine.volume_remove(&name).to_string());
        if keep_data { remains.kept.extend(found) } else { remains.survivors.extend(found) }
    }
    Ok(())
}

struct Search<'a> {
    containers: &'a Containers,
    core: &'a Supervised,
    scope: &'a Scope,
    engine: &'a Engine,
}

impl Search<'_> {
    fn containers(&self) -> Result<Vec<Survivor>> {
        let listed = self.core.proc.read(&self.engine.containers_with_label(self.containers.names.label()))?;
        let containers = self.engine.containers(&self.core.proc, &engine::lines(&listed))?;
        let survivor = |container: engine::Container| {
            let remove = self.engine.container_remove(&container.name).to_string();
            self.found("container", &container.name, &container.labels, remove)
        };
        Ok(containers.into_iter().filter_map(survivor).collect())
    }

    /// A thing of this scope. One of another checkout, whose deployment has the same name, is not ours.
    fn found(&self, kind: &str, id: &str, labels: &Labels, remove: String) -> Option<Survivor> {
        let system = labels.get(SYSTEM).map(String::as_str).unwrap_or_default();
        let in_scope = self.scope.everything || self.scope.systems.iter().any(|known| known.as_str() == system);
        let ours = self.containers.names.owns(labels);
        let owner = labels.get(SERVICE).map_or(system, String::as_str).to_owned();
        (in_scope && ours).then(|| Survivor {
            kind: kind.to_owned(),
            id: id.to_owned(),
            owner,
            monthly_usd: None,
            remove,
        })
    }
}
