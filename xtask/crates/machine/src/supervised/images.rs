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
use tools::oci::{Engine, Found, Noted};

fn engine_file(home: &Home) -> PathBuf {
    home.dir().join("engine.json")
}

/// The engine in which something was made for the deployment.
pub fn noted_engine(home: &Home) -> Result<Option<EngineKind>> {
    Ok(noted(home)?.0)
}

/// The same, and which of that kind it is; nothing where an earlier version has noted it, or an engine does not tell.
pub(super) fn noted(home: &Home) -> Result<(Option<EngineKind>, Option<Noted>)> {
    let file = engine_file(home);
    let note = files::read_json(&file)?.unwrap_or_default();
    let identity = note["identity"].as_str().filter(|identity| !identity.is_empty());
    let kind = note["engine"].as_str().and_then(|name| name.parse().ok());
    Ok((kind, identity.map(|identity| Noted { identity: identity.to_owned(), file })))
}

pub fn note_engine(home: &Home, found: &Found) -> Result<()> {
    let (kind, identity) = (found.engine.kind.as_str(), &found.facts.identity);
    files::write_json(&engine_file(home), &json!({"engine": kind, "identity": identity}))
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
