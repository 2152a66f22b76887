//! The images that were built for a deployment, and their end.

use super::Supervised;
use anyhow::Result;
use base::files;
use builds::cleanup::{self, RemoveImages};
use engine::home::Home;
use engine::plan::Preview;
use engine::teardown::Removal;
use model::container::EngineKind;
use model::name::SystemName;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use tools::oci::Engine;

fn engine_file(home: &Home) -> PathBuf {
    home.dir().join("engine.json")
}

/// The engine in which something was made for the deployment.
pub fn noted_engine(home: &Home) -> Result<Option<EngineKind>> {
    let note = files::read_json(&engine_file(home))?.unwrap_or_default();
    Ok(note["engine"].as_str().and_then(|name| name.parse().ok()))
}

pub fn note_engine(home: &Home, kind: EngineKind) -> Result<()> {
    files::write_json(&engine_file(home), &json!({"engine": kind.as_str()}))
}

/// What removes the images of a system; nothing where none were built.
pub(super) fn removal(core: &Supervised, system: &SystemName) -> Option<Removal> {
    let references = cleanup::references_of(core.home(), system).unwrap_or_default();
    let kind = noted_engine(core.home()).ok().flatten().or(core.deployment.environment.engine);
    let engine = Engine::as_typed(kind.unwrap_or(EngineKind::Docker));
    let preview = references.iter().map(|reference| Preview::Run(engine.image_remove(reference))).collect();
    let work = RemoveImages { home: core.home().clone(), engine: Arc::clone(&core.engine), system: system.clone() };
    let title = format!("remove the images of `{system}`");
    (!references.is_empty()).then(|| Removal::new(title, preview, work))
}
