//! What is found of a deployment whose folder was lost, where its name is given: by the labels of what it made.

use super::Containers;
use super::names::{Names, SERVICE, SYSTEM};
use anyhow::Result;
use base::error::Fault;
use base::proc::Proc;
use machine::supervised::Supervised;
use machine::supervised::runtime::Lost;
use tools::oci;
use tools::oci::{Engine, Labels, Named};

/// Its systems, with the services of each that have stored something. Nothing where the folder is there.
///
/// # Errors
/// When the deployment of that name is one of another checkout, or the engine does not answer.
pub(super) fn find(containers: &Containers, core: &Supervised) -> Result<Lost> {
    let names = &containers.names;
    let mut lost = Lost::new();
    // Without any engine there is nothing to be found.
    let Some(engine) = names.is_lost().then(|| core.found_engine().ok()).flatten().map(|found| found.engine) else {
        return Ok(lost);
    };
    let listed = oci::lines(&core.proc.read(&engine.containers_with_label(names.label()))?);
    let others = engine.containers(&core.proc, &listed)?.into_iter().map(|container| container.labels);
    let others = others.chain(networks(&engine, &core.proc, names)?.into_iter().map(|network| network.labels));
    for labels in others.collect::<Vec<_>>() {
        check(names, &labels)?;
        if let Some(system) = system(&labels) {
            lost.entry(system).or_default();
        }
    }
    for Named { labels, .. } in volumes(&engine, &core.proc, names)? {
        check(names, &labels)?;
        if let (Some(system), Some(Ok(service))) = (system(&labels), labels.get(SERVICE).map(|name| name.parse())) {
            lost.entry(system).or_default().insert(service);
        }
    }
    Ok(lost)
}

fn system(labels: &Labels) -> Option<model::name::SystemName> {
    labels.get(SYSTEM)?.parse().ok()
}

fn check(names: &Names, labels: &Labels) -> Result<()> {
    let Some(home) = names.elsewhere(labels) else { return Ok(()) };
    let cause = format!("`{}` is not lost: it is the deployment whose state is in `{home}`", names.label().1);
    Err(Fault::could_not_run("deployment-elsewhere", cause).hint("tear it down in that checkout").into())
}

fn networks(engine: &Engine, proc: &Proc, names: &Names) -> Result<Vec<Named>> {
    let listed = oci::lines(&proc.read(&engine.networks_with_label(names.label()))?);
    listed.iter().filter_map(|name| engine.network(proc, name).transpose()).collect()
}

/// All volumes with the deployment's name in their labels.
pub(super) fn volumes(engine: &Engine, proc: &Proc, names: &Names) -> Result<Vec<Named>> {
    let listed = oci::lines(&proc.read(&engine.volumes_with_label(names.label()))?);
    listed.iter().filter_map(|name| engine.volume(proc, name).transpose()).collect()
}
