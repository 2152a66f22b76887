//! The images that this machine has built for the deployment. What a registry was given is the registry's to clean up.

use crate::Kubernetes;
use anyhow::Result;
use builds::cleanup::{self, RemoveImages};
use engine::backend::Survivor;
use engine::deployment::Scope;
use engine::plan::Preview;
use engine::teardown::Removal;
use model::container::EngineKind;
use model::name::SystemName;
use model::system::Service;
use std::sync::Arc;
use tools::oci::Engine;

/// What removes those of a system; nothing where it has none that are built, by its file or as this machine has built some.
pub(super) fn removal(core: &Kubernetes, system: &SystemName) -> Option<Removal> {
    // This machine's copy of the ledger tells: that of the cluster has also what others have built.
    let references = cleanup::references_of(&core.deployment.home, system).unwrap_or_default();
    let declared = core.deployment.spec.systems.iter().filter(|known| known.name == *system);
    let is_built = declared.flat_map(|system| &system.services).any(Service::is_built);
    let engine = Engine::as_typed(core.deployment.environment.engine.unwrap_or(EngineKind::Docker));
    let mut preview: Vec<Preview> =
        references.iter().map(|reference| Preview::Run(engine.image_remove(reference))).collect();
    if references.is_empty() {
        preview.push(Preview::Do("nothing: none was built here".to_owned()));
    }
    let (home, engine) = (core.deployment.home.clone(), Arc::clone(&core.engine));
    let work = RemoveImages { home, engine, system: system.clone() };
    let title = format!("remove the images of `{system}` from this machine");
    (is_built || !references.is_empty()).then(|| Removal::new(title, preview, work))
}

/// The images of a scope that are still there and should not be.
pub(super) fn remaining(core: &Kubernetes, scope: &Scope) -> Result<Vec<Survivor>> {
    // A machine that has never built anything need not have an engine.
    let has = |folder: &str| core.deployment.home.dir().join(folder).is_dir();
    match has("images") || has("mirrored") {
        true => cleanup::remaining(&core.deployment.home, &core.engine, &core.proc, scope),
        false => Ok(Vec::new()),
    }
}
