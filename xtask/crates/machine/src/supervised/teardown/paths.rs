//! What is on disk of a deployment, and its removal.

use crate::supervised::{Supervised, assets, facts};
use anyhow::Result;
use base::files;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Preview, Work};
use engine::teardown::Removal;
use model::name::{ServiceName, SystemName};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What removes these, as far as they are there.
pub(super) fn removal(core: &Supervised, title: String, paths: Vec<PathBuf>) -> Removal {
    Removal::new(title, preview(&core.deployment.root, &paths), RemoveWork { paths })
}

struct RemoveWork {
    paths: Vec<PathBuf>,
}

impl Work for RemoveWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.paths.iter().all(|path| !path.exists()).then(|| "nothing is there".to_owned()))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        for path in &self.paths {
            files::remove(path)?;
        }
        Ok(Outcome::Done)
    }
}

fn preview(root: &Path, paths: &[PathBuf]) -> Vec<Preview> {
    let inside = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let there = paths.iter().filter(|path| path.exists());
    let preview: Vec<_> = there.map(|path| Preview::Do(format!("remove `{}`", inside(path)))).collect();
    if preview.is_empty() { vec![Preview::Do("nothing: nothing is there".to_owned())] } else { preview }
}

/// Everything on disk that belongs to a system.
pub(super) fn of_system(
    core: &Supervised,
    system: &SystemName,
    services: &[ServiceName],
    keep_data: bool,
) -> Vec<PathBuf> {
    let home = core.home();
    let mut paths = Vec::new();
    paths.extend(of_services(core, services));
    for service in services {
        paths.push(facts::path(home, service));
        if !keep_data || is_empty(&home.data(service)) {
            paths.push(home.data(service));
        }
    }
    paths.push(home.releases(system));
    paths
}

/// What services have on disk beside what they stored.
pub(in crate::supervised) fn of_services(core: &Supervised, services: &[ServiceName]) -> Vec<PathBuf> {
    let home = core.home();
    let of_service = |service: &ServiceName| {
        let log = home.log(service);
        let made = [home.files(service), home.copies(service), home.artifacts(service), home.images(service)];
        [log.with_extension("log.1"), log].into_iter().chain(made)
    };
    services.iter().flat_map(of_service).collect()
}

/// Whether a service has stored nothing there.
pub(crate) fn is_empty(folder: &Path) -> bool {
    assets::holds_no_data(folder)
}

/// The path in a ledger entry.
pub(super) fn of_entry(root: &Path, identity: &Value) -> Option<PathBuf> {
    identity["path"].as_str().map(|path| root.join(path))
}
