//! The way back: when a part of a system fails, what the run has changed of it returns to the last proven revision, so
//! that versions that were never proven together do not stay together.

use super::recipe::Recipe;
use super::succession::{self, Succession};
use super::{Supervised, revision, start};
use anyhow::{Context, Result};
use engine::plan::runner::StepCx;
use engine::reconcile::UnitId;
use engine::release::Restored;
use model::name::SystemName;
use std::sync::{Arc, Mutex, PoisonError};

/// What a run has changed of one system so far. Clones share one record.
#[derive(Clone, Default)]
pub(super) struct Changes {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    switched: Vec<Switched>,
    failed: bool,
}

/// A service that a run has started, and in whose place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Switched {
    pub(super) recipe: Recipe,
    pub(super) succession: Succession,
}

impl Changes {
    /// Notes what a service was switched to. `false` when another part of the system has failed meanwhile: then it is
    /// for the caller to go back.
    pub(super) fn switched(&self, switched: &Switched) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.failed {
            state.switched.push(switched.clone());
        }
        !state.failed
    }

    /// Whether something was started by this run.
    pub(super) fn any(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).switched.is_empty()
    }

    /// Notes that a part has failed. What was switched until now is the caller's to take back.
    pub(super) fn failed(&self) -> Vec<Switched> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed = true;
        std::mem::take(&mut state.switched)
    }
}

/// Puts back what these took the place of. The units that serve again.
///
/// # Errors
/// When one of them does not start.
pub(super) fn revert(
    core: &Arc<Supervised>,
    system: &SystemName,
    switched: &[Switched],
    cx: &StepCx<'_>,
) -> Result<Vec<UnitId>> {
    let mut again = Vec::new();
    for Switched { recipe, succession } in switched.iter().rev().filter(|switched| !switched.succession.is_none()) {
        again.extend(succession.revert(core, &UnitId::new(system, &recipe.service), cx)?);
    }
    Ok(again)
}

/// Starts the last proven version of a system's services again where it is `wanted`. The revision's number if there was
/// such a service.
///
/// # Errors
/// When the revisions cannot be read or one of the services does not start.
pub(super) fn restore(
    core: &Arc<Supervised>,
    system: &SystemName,
    wanted: impl Fn(&Recipe) -> bool,
    cx: &StepCx<'_>,
) -> Result<Option<u64>> {
    let attempt = || -> Result<Option<u64>> {
        let Some(proven) = revision::history(&core.home().releases(system))?.pop() else { return Ok(None) };
        let mut number = None;
        for recipe in proven.recipes.iter().filter(|recipe| wanted(recipe)) {
            start::launch(core, recipe, system, cx)?;
            number = Some(proven.number);
        }
        Ok(number)
    };
    attempt().with_context(|| format!("roll back to the last proven revision of `{system}`"))
}

/// Whether the proven version of a service is another than what it was switched to.
pub(super) fn differs(proven: &Recipe, switched: &[Switched]) -> bool {
    switched.iter().map(|switched| &switched.recipe).any(|recipe| recipe.service == proven.service && recipe != proven)
}

/// What serves again, in words.
pub(super) fn restored(units: &[UnitId], revision: Option<u64>) -> Restored {
    match (units, revision) {
        ([], None) => None,
        ([], Some(number)) => Some(format!("revision {number} serves again")),
        ([_], _) => Some(format!("{} serves again", succession::names(units))),
        _ => Some(format!("{} serve again", succession::names(units))),
    }
}
