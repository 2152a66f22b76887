//! What of a deployment can still be found in the engine, whether the ledger knows of it or not.

use super::Containers;
use super::names::SYSTEM;
use anyhow::Result;
use engine::backend::{Remains, Survivor};
use engine::deployment::Scope;
use machine::supervised::Supervised;
use machine::supervised::images::noted_engine;
use machine::supervised::records::stored_in;
use machine::supervised::removal;
use model::name::ServiceName;
use tools::oci;
use tools::oci::{Engine, Labels, Named};

/// Whether a service has a volume. What is in it only the engine's machine could tell.
pub(super) fn has_volume(containers: &Containers, core: &Supervised, service: &ServiceName) -> bool {
    if !matches!(noted_engine(core.home()), Ok(Some(_))) {
        return false;
    }
    let Ok(found) = core.found_engine() else { return false };
    let is_there = |name: &String| matches!(found.engine.volume(&core.proc, name), Ok(Some(_)));
    containers.names.volumes(core, service).iter().any(is_there)
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
    for name in oci::lines(&networks) {
        let Some(network) = engine.network(&core.proc, &name)? else { continue };
        remains.survivors.extend(search.found(
            "network",
            &name,
            &network.labels,
            engine.network_remove(&name).to_string(),
        ));
    }
    let volumes = core.proc.read(&engine.volumes_with_label(containers.names.label()))?;
    for name in oci::lines(&volumes) {
        let Some(volume) = engine.volume(&core.proc, &name)? else { continue };
        let found = search.found("volume", &name, &volume.labels, engine.volume_remove(&name).to_string());
        if keep_data {
            let sized =
                |kept: Survivor| Survivor { id: format!("{}{}", kept.id, removal::size(size(&volume))), ..kept };
            remains.kept.extend(found.map(sized));
        } else {
            remains.survivors.extend(found);
        }
    }
    Ok(())
}

/// How much is in a volume, where its files can be read on this machine.
pub(super) fn size(volume: &Named) -> Option<u64> {
    stored_in(volume.mountpoint.as_deref()?)?.size
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
        let containers = self.engine.containers(&self.core.proc, &oci::lines(&listed))?;
        let survivor = |container: oci::Container| {
            let remove = self.engine.container_remove(&container.name).to_string();
            self.found("container", &container.name, &container.labels, remove)
        };
        Ok(containers.into_iter().filter_map(survivor).collect())
    }

    /// A thing of this scope. One of another checkout, whose deployment has the same name, is not ours.
    fn found(&self, kind: &str, id: &str, labels: &Labels, remove: String) -> Option<Survivor> {
        let system = labels.get(SYSTEM).map(String::as_str).unwrap_or_default();
        let in_scope = self.scope.covers(Some(system));
        let ours = self.containers.names.owns(labels);
        (in_scope && ours).then(|| Survivor::new(kind, id.to_owned(), system.to_owned(), remove))
    }
}
