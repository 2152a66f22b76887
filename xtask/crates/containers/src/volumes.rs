//! The volumes of a service that is about to start, should they not all be there: one that takes what another has stored may
//! have more of them, and so may a new version of one that runs.

use super::launch;
use super::names::{Names, volume_id};
use super::prerequisites::VOLUME;
use anyhow::Result;
use engine::ledger::Entry;
use machine::supervised::Supervised;
use machine::supervised::recipe::Recipe;
use model::name::SystemName;
use serde_json::json;

/// Makes those that are not there.
///
/// # Errors
/// When the engine refuses.
pub(super) fn provide(core: &Supervised, names: &Names, recipe: &Recipe, system: &SystemName) -> Result<()> {
    let service = &recipe.service;
    for volume in launch::volumes(core, recipe).into_keys() {
        let name = names.volume(core, service, &volume);
        let (kind, id, system_name) = (VOLUME.to_owned(), volume_id(service, &volume), Some(system.to_string()));
        core.enter(Entry { kind, id, system: system_name, identity: json!({"name": name}) })?;
        let engine = core.engine.get(&core.proc)?.engine;
        if engine.volume(&core.proc, &name)?.is_none() {
            core.proc.read(&engine.volume_create(&name, &names.service_labels(system, service)))?;
        }
    }
    Ok(())
}
