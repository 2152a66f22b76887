//! The way back: when a part of a system fails, what the run has changed of it returns to the last proven revision, so
//! that versions that were never proven together do not stay together.

use super::recipe::Recipe;
use super::{Supervised, revision, start};
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::spec::name::SystemName;
use anyhow::{Context, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// What a run has changed of one system so far. Clones share one record.
#[derive(Clone, Default)]
pub(super) struct Changes {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    switched: Vec<Recipe>,
    failed: bool,
}

impl Changes {
    /// Notes what a service was switched to. `false` when another part of the system has failed meanwhile: then it is
    /// for the caller to go back.
    pub(super) fn switched(&self, recipe: &Recipe) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.failed {
            state.switched.push(recipe.clone());
        }
        !state.failed
    }

    /// Whether something was started by this run.
    pub(super) fn any(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).switched.is_empty()
    }

    /// Notes that a part has failed. What was switched until now is the caller's to take back.
    pub(super) fn failed(&self) -> Vec<Recipe> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed = true;
        std::mem::take(&mut state.switched)
    }
}

/// Starts the last proven version of a system's services again where it is `wanted`. The revision's number if there was
/// such a service.
///
/// # Errors
/// When the revisions cannot be read or one of the services does not start.
pub(super) fn go_back(
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
    attempt().with_context(|| format!("go back to the last proven revision of `{system}`"))
}

/// Whether the proven version of a service is another than what it was switched to.
pub(super) fn differs(proven: &Recipe, switched: &[Recipe]) -> bool {
    switched.iter().any(|recipe| recipe.service == proven.service && recipe != proven)
}

/// The failure, and behind it what came of going back.
pub(super) fn tell(fault: Fault, outcome: Result<Option<u64>>) -> Fault {
    let came = match outcome {
        Ok(Some(number)) => format!("revision {number} serves again"),
        Ok(None) => return fault,
        Err(error) => format!("and it could not {error:#}"),
    };
    Fault { cause: format!("{}\n  {came}", fault.cause), ..fault }
}
