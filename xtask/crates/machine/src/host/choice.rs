//! Which of the services that are optional on a machine a deployment has, and with that where its systems keep what they
//! store. It is decided once, when a system is deployed first, and kept until somebody asks for another: a program that
//! appears on PATH or leaves it moves nothing.

use crate::supervised::{Supervised, revision, teardown};
use anyhow::Result;
use base::files;
use engine::home::Home;
use model::name::{ServiceName, SystemName};
use model::system::{Presence, Service, System};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// By the optional services' names, whether a deployment has them.
pub(super) type Choice = BTreeMap<ServiceName, bool>;

/// What was decided for the systems of this run.
#[derive(Default)]
pub(super) struct Choices(Mutex<BTreeMap<SystemName, Choice>>);

impl Choices {
    pub(super) fn decide(&self, system: &SystemName, choice: Choice) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(system.clone(), choice);
    }

    /// Writes down what a system is started with for the first time. Where something else is recorded, that stands until
    /// the new one is proven.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn begin(&self, home: &Home, system: &SystemName) -> Result<()> {
        self.record(home, system, false)
    }

    /// Writes down what a system was proven with.
    ///
    /// # Errors
    /// Those of [`Choices::begin`].
    pub(super) fn settle(&self, home: &Home, system: &SystemName) -> Result<()> {
        self.record(home, system, true)
    }

    fn record(&self, home: &Home, system: &SystemName, replace: bool) -> Result<()> {
        // Held while the file is written, which those of all systems share.
        let decided = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(choice) = decided.get(system).filter(|choice| !choice.is_empty()) else { return Ok(()) };
        let mut all = all(home)?;
        let before = all.clone();
        for (service, present) in choice {
            if replace || !all.contains_key(service.as_str()) {
                all.insert(service.to_string(), json!(present));
            }
        }
        if all == before { Ok(()) } else { files::write_json(&home.presence(), &Value::Object(all)) }
    }
}

fn all(home: &Home) -> Result<Map<String, Value>> {
    match files::read_json(&home.presence())? {
        Some(Value::Object(all)) => Ok(all),
        _ => Ok(Map::new()),
    }
}

/// What was decided for a system earlier; of a deployment that was made before this was recorded, what it has.
///
/// # Errors
/// When what is recorded cannot be read.
pub(super) fn recorded(core: &Supervised, system: &System) -> Result<Choice> {
    let optional: Vec<&Service> = optional(system).collect();
    if optional.is_empty() || !core.home().exists() {
        return Ok(Choice::new());
    }
    let all = all(core.home())?;
    // One that has a new name is what it was.
    let decided = |service: &Service| names(service).find_map(|name| all.get(name.as_str())?.as_bool());
    let known = |service: &&Service| Some((service.name.clone(), decided(service)?));
    let recorded: Choice = optional.iter().filter_map(known).collect();
    if !recorded.is_empty() {
        return Ok(recorded);
    }
    let Some(has) = earlier(core, system)? else { return Ok(Choice::new()) };
    let had = |service: &Service| names(service).any(|name| has.contains(name));
    Ok(optional.into_iter().map(|service| (service.name.clone(), had(service))).collect())
}

pub(super) fn optional(system: &System) -> impl Iterator<Item = &Service> {
    system.services.iter().filter(|service| service.presence == Presence::WhenAvailable)
}

/// Its own name first, then those that it had.
fn names(service: &Service) -> impl Iterator<Item = &ServiceName> {
    std::iter::once(&service.name).chain(&service.was)
}

/// The services that a system was proven with, runs with or has stored something with; `None` where it was never
/// deployed.
fn earlier(core: &Supervised, system: &System) -> Result<Option<Vec<ServiceName>>> {
    if let Some(newest) = revision::history(&core.home().releases(&system.name))?.pop() {
        return Ok(Some(newest.recipes.into_iter().map(|recipe| recipe.service).collect()));
    }
    let names: Vec<ServiceName> = system.services.iter().map(|service| service.name.clone()).collect();
    let running: Vec<ServiceName> = core.supervised_of(&names)?.into_iter().map(|status| status.service).collect();
    if !running.is_empty() {
        return Ok(Some(running));
    }
    let stored = |service: &ServiceName| {
        let data = core.home().data(service);
        data.is_dir() && !teardown::paths::is_empty(&data)
    };
    let stored: Vec<ServiceName> = names.into_iter().filter(stored).collect();
    Ok((!stored.is_empty()).then_some(stored))
}
