//! The images that this machine has built for the deployment. What a registry was given is the registry's to clean up.

use crate::image::IMAGE;
use crate::ledger::Ledger;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Preview, Work};
use crate::spec::container::EngineKind;
use crate::spec::name::SystemName;
use crate::spec::system::{Source, System};
use crate::target::kubernetes::Kubernetes;
use crate::target::supervised::images;
use crate::target::{Scope, Survivor};
use crate::tools::engine::{self, Engine};
use anyhow::Result;
use std::sync::Arc;

pub(super) fn are_built(system: &System) -> bool {
    system.services.iter().any(|service| matches!(service.source, Source::Crate(_)))
}

pub(super) fn preview(core: &Kubernetes, system: &SystemName) -> Vec<Preview> {
    let engine = Engine::as_typed(core.deployment.environment.engine.unwrap_or(EngineKind::Docker));
    let references = references(core, |owner| owner == Some(system.as_str())).unwrap_or_default();
    if references.is_empty() {
        return vec![Preview::Do("nothing: none was built here".to_owned())];
    }
    references.iter().map(|reference| Preview::Run(engine.image_remove(reference))).collect()
}

pub(super) struct ImagesWork {
    pub(super) core: Arc<Kubernetes>,
    pub(super) system: SystemName,
}

impl ImagesWork {
    /// Those that are there, and that nobody else needs.
    fn own(&self, cx: &StepCx<'_>) -> Result<Vec<String>> {
        let references = references(&self.core, |owner| owner == Some(self.system.as_str()))?;
        if references.is_empty() {
            return Ok(Vec::new());
        }
        images::own(&self.core.deployment.home, &self.core.engine.get(cx.proc)?.engine, cx.proc, &references)
    }
}

impl Work for ImagesWork {
    fn already(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.own(cx)?.is_empty().then(|| "none is there that nobody else needs".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let engine = self.core.engine.get(cx.proc)?.engine;
        for reference in self.own(cx)? {
            cx.status(format!("removing `{reference}`"));
            engine::remove(cx.proc, &engine.image_remove(&reference))?;
        }
        Ok(Outcome::Done)
    }
}

/// What was built here, by this machine's copy of the ledger: that of the cluster has also what others have built.
fn references(core: &Kubernetes, wanted: impl Fn(Option<&str>) -> bool) -> Result<Vec<String>> {
    let ledger = Ledger::open(&core.deployment.home.ledger())?;
    let images = ledger.entries().iter().filter(|entry| entry.kind == IMAGE && wanted(entry.system.as_deref()));
    Ok(images.map(|entry| entry.id.clone()).collect())
}

/// The images of a scope that are still there and should not be.
pub(super) fn remaining(core: &Kubernetes, scope: &Scope) -> Result<Vec<Survivor>> {
    let home = &core.deployment.home;
    let entries = Ledger::open(&home.ledger())?;
    let in_scope = |owner: Option<&str>| match owner {
        Some(name) => scope.systems.iter().any(|system| system.as_str() == name),
        None => scope.everything,
    };
    if references(core, in_scope)?.is_empty() || !was_built_here(core) {
        return Ok(Vec::new());
    }
    let engine = core.engine.get(&core.proc)?.engine;
    images::remaining(home, &engine, &core.proc, entries.entries(), in_scope)
}

/// A machine that has never built anything need not have an engine.
fn was_built_here(core: &Kubernetes) -> bool {
    let services = core.deployment.spec.systems.iter().flat_map(|system| &system.services);
    services.into_iter().any(|service| core.deployment.home.images(&service.name).exists())
}
