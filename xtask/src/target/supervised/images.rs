//! The images that were built for a deployment, and their end. They are shared: a checkout's environments give the same
//! image the same name, and so may another checkout. One that somebody else still needs stays, and is theirs.

use super::{Scope, Supervised};
use crate::home::{self, Home};
use crate::image::IMAGE;
use crate::ledger::{Entry, Ledger};
use crate::plan::runner::StepCx;
use crate::plan::{Holds, Outcome, Preview, Step, StepId, Work};
use crate::proc::Proc;
use crate::spec::container::EngineKind;
use crate::spec::system::System;
use crate::target::Survivor;
use crate::tools::engine::{self, Engine};
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

fn engine_file(home: &Home) -> PathBuf {
    home.dir().join("engine.json")
}

/// The engine in which something was made for the deployment.
pub(in crate::target) fn noted_engine(home: &Home) -> Result<Option<EngineKind>> {
    let note = home::read_json(&engine_file(home))?.unwrap_or_default();
    Ok(note["engine"].as_str().and_then(|name| name.parse().ok()))
}

pub(in crate::target) fn note_engine(home: &Home, kind: EngineKind) -> Result<()> {
    home::write_json(&engine_file(home), &json!({"engine": kind.as_str()}))
}

/// The step that removes the images of a system; none where none were built.
pub(super) fn removal(core: &Arc<Supervised>, system: &System, needs: Vec<StepId>) -> Option<Step> {
    let references = core.images_of(|owner| owner == Some(system.name.as_str()));
    if references.is_empty() {
        return None;
    }
    let kind = noted_engine(core.home()).ok().flatten().or(core.deployment.environment.engine);
    let kind = kind.unwrap_or(EngineKind::Docker);
    let engine = Engine::as_typed(kind);
    let preview = references.iter().map(|reference| Preview::Run(engine.image_remove(reference))).collect();
    Some(Step {
        id: StepId::new(format!("images:{}", system.name)),
        title: format!("remove the images of `{}`", system.name),
        system: Some(system.name.to_string()),
        needs,
        holds: Holds::Nothing,
        preview,
        work: Box::new(RemoveWork { core: Arc::clone(core), references }),
    })
}

struct RemoveWork {
    core: Arc<Supervised>,
    references: Vec<String>,
}

impl Work for RemoveWork {
    fn already(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let engine = self.core.engine.get(cx.proc)?.engine;
        let ours = own(self.core.home(), &engine, cx.proc, &self.references)?;
        Ok(ours.is_empty().then(|| "nothing is there that nobody else needs".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let engine = self.core.engine.get(cx.proc)?.engine;
        for reference in own(self.core.home(), &engine, cx.proc, &self.references)? {
            cx.status(format!("removing `{reference}`"));
            engine::remove(cx.proc, &engine.image_remove(&reference))?;
        }
        Ok(Outcome::Done)
    }
}

impl Supervised {
    /// The references of the images in the ledger that were built for systems that are `wanted`.
    fn images_of(&self, wanted: impl Fn(Option<&str>) -> bool) -> Vec<String> {
        let ledger = self.ledger();
        let images = ledger.entries().iter().filter(|entry| entry.kind == IMAGE && wanted(entry.system.as_deref()));
        images.map(|entry| entry.id.clone()).collect()
    }

    /// The images of a scope that are still there and should not be.
    pub(super) fn remaining_images(&self, scope: &Scope) -> Result<Vec<Survivor>> {
        let in_scope = |owner: Option<&str>| match owner {
            Some(name) => scope.systems.iter().any(|system| system.as_str() == name),
            None => scope.everything,
        };
        if self.images_of(in_scope).is_empty() {
            return Ok(Vec::new());
        }
        let engine = self.found_engine()?.engine;
        remaining(self.home(), &engine, &self.proc, self.ledger().entries(), in_scope)
    }
}

/// Those that are there, and that no container and no other environment of this checkout needs.
pub(in crate::target) fn own(home: &Home, engine: &Engine, proc: &Proc, references: &[String]) -> Result<Vec<String>> {
    let shared = images_of_others(home);
    let mut own = Vec::new();
    for reference in references.iter().filter(|reference| !shared.contains(*reference)) {
        let Some(image) = engine.image(proc, reference)? else { continue };
        // Under another name it stays anyway, and this name is of no use to whoever runs it.
        let is_used = image.tags.len() < 2 && !proc.read(&engine.containers_of_image(&image.id))?.trim().is_empty();
        if !is_used {
            own.push(reference.clone());
        }
    }
    Ok(own)
}

fn images_of_others(home: &Home) -> BTreeSet<String> {
    let beside = home.dir().parent().map(std::fs::read_dir);
    let folders = beside.into_iter().flatten().flatten().flatten().map(|entry| entry.path());
    let others = folders.filter(|folder| folder != home.dir());
    let entries = others.filter_map(|folder| Ledger::open(&folder.join("ledger.json")).ok());
    let images = entries.flat_map(|ledger| ledger.entries().to_vec()).filter(|entry| entry.kind == IMAGE);
    images.map(|entry: Entry| entry.id).collect()
}

/// The images among these entries that are still there and should not be, with what removes each.
pub(in crate::target) fn remaining(
    home: &Home,
    engine: &Engine,
    proc: &Proc,
    entries: &[Entry],
    in_scope: impl Fn(Option<&str>) -> bool,
) -> Result<Vec<Survivor>> {
    let images = || entries.iter().filter(|entry| entry.kind == IMAGE && in_scope(entry.system.as_deref()));
    let references: Vec<String> = images().map(|entry| entry.id.clone()).collect();
    let owner = |reference: &str| images().find(|entry| entry.id == reference).and_then(|entry| entry.system.clone());
    let survivor = |reference: String| Survivor {
        kind: IMAGE.to_owned(),
        owner: owner(&reference).unwrap_or_default(),
        monthly_usd: None,
        remove: engine.image_remove(&reference).to_string(),
        id: reference,
    };
    Ok(own(home, engine, proc, &references)?.into_iter().map(survivor).collect())
}
