//! Which of the images that were built for a deployment can go. They are shared: a checkout's environments give the same
//! image the same name, and so may another checkout. One that somebody else still needs stays, and is theirs.

use anyhow::Result;
use base::proc::Proc;
use engine::backend::Survivor;
use engine::deployment::Scope;
use engine::home::Home;
use engine::ledger::{Entry, Ledger};
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use model::environment::Environment;
use model::name::SystemName;
use std::collections::BTreeSet;
use std::sync::Arc;
use tools::oci;
use tools::oci::Engine;

/// The kind that images have in the ledger. The ID of an entry is the reference, its identity holds that, too, and the
/// engine.
pub const IMAGE: &str = "image";

/// The kind that the ledger has what an engine keeps of builds under, so that the next one is faster. The ID of an entry is
/// the label of that.
pub const LAYERS: &str = "build cache";
const LAYERS_LABEL: &str = "dev.slipway.layers";

/// What is kept of the builds of a system carries this label.
pub fn layers_label(environment: &Environment, system: &SystemName) -> String {
    format!("{LAYERS_LABEL}={}.{system}", environment.deployment_id)
}

/// Those that are there, and that no container and no other environment of this checkout needs.
fn own(home: &Home, engine: &Engine, proc: &Proc, references: &[String]) -> Result<Vec<String>> {
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

/// What this deployment has built for a scope on this machine, by the ledger that is there.
///
/// # Errors
/// When that cannot be read.
pub fn references(home: &Home, scope: &Scope) -> Result<Vec<String>> {
    Ok(entries(home, scope, IMAGE)?.into_iter().map(|entry| entry.id).collect())
}

/// Those of one system.
///
/// # Errors
/// Those of [`references`].
pub fn references_of(home: &Home, system: &SystemName) -> Result<Vec<String>> {
    references(home, &Scope { systems: vec![system.clone()], everything: false })
}

fn entries(home: &Home, scope: &Scope, kind: &str) -> Result<Vec<Entry>> {
    let mut entries = Ledger::open(&home.ledger())?.entries().to_vec();
    entries.retain(|entry| entry.kind == kind && scope.covers(entry.system.as_deref()));
    Ok(entries)
}

/// The images of a scope that are still there and should not be, with what removes each. No engine is asked where none
/// was built.
///
/// # Errors
/// When the engine does not answer.
pub fn remaining(home: &Home, engine: &oci::Lazy, proc: &Proc, scope: &Scope) -> Result<Vec<Survivor>> {
    let (entries, layers) = (entries(home, scope, IMAGE)?, entries(home, scope, LAYERS)?);
    if entries.is_empty() && layers.is_empty() {
        return Ok(Vec::new());
    }
    let engine = engine.get(proc)?.engine;
    let references: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    let owner = |reference: &str| entries.iter().find(|entry| entry.id == reference)?.system.clone();
    let survivor = |reference: String| {
        let remove = engine.image_remove(&reference).to_string();
        Survivor::new(IMAGE, reference.clone(), owner(&reference).unwrap_or_default(), remove)
    };
    let mut survivors: Vec<Survivor> = own(home, &engine, proc, &references)?.into_iter().map(survivor).collect();
    for Entry { id: label, system, .. } in layers {
        if engine.has_layers(proc, &label)? {
            let remove = engine.layers_remove(&label).to_string();
            survivors.push(Survivor::new(LAYERS, label, system.unwrap_or_default(), remove));
        }
    }
    Ok(survivors)
}

/// Removes the images that were built for a system.
pub struct RemoveImages {
    pub home: Home,
    pub engine: Arc<oci::Lazy>,
    pub system: SystemName,
}

/// What of a system is there to be removed.
struct Own {
    engine: Engine,
    references: Vec<String>,
    /// Labels of what is kept of builds.
    layers: Vec<String>,
}

impl RemoveImages {
    /// Those that are there and that nobody else needs. No engine is asked where none was built.
    fn own(&self, cx: &StepCx<'_>) -> Result<Option<Own>> {
        let scope = Scope { systems: vec![self.system.clone()], everything: false };
        let (references, layers) = (references(&self.home, &scope)?, entries(&self.home, &scope, LAYERS)?);
        if references.is_empty() && layers.is_empty() {
            return Ok(None);
        }
        let engine = self.engine.get(cx.proc)?.engine;
        let references = own(&self.home, &engine, cx.proc, &references)?;
        let mut there = Vec::new();
        for entry in layers {
            // What is kept beneath an image that is still there cannot be removed by itself.
            if !references.is_empty() || engine.has_layers(cx.proc, &entry.id)? {
                there.push(entry.id);
            }
        }
        Ok((!references.is_empty() || !there.is_empty()).then_some(Own { engine, references, layers: there }))
    }
}

impl Work for RemoveImages {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.own(cx)?.is_none().then(|| "none is left that only this deployment uses".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let Some(Own { engine, references, layers }) = self.own(cx)? else { return Ok(Outcome::Done) };
        for reference in references {
            cx.status(format!("removing `{reference}`"));
            engine.remove_image(cx.proc, &reference)?;
        }
        for label in layers {
            cx.status("removing what is kept of builds");
            engine.remove_layers(cx.proc, &label)?;
        }
        Ok(Outcome::Done)
    }
}
