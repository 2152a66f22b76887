//! Proves a system against its smoke contract. What passes becomes a revision to go back to; when a change does not
//! pass, the last proven revision is started again.

use super::back::Changes;
use super::recipe::Recipe;
use super::{Supervised, back, revision};
use crate::error::Fault;
use crate::lease::timestamp;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::spec::system::System;
use crate::target::proof;
use crate::ui::counted;
use anyhow::Result;
use std::sync::Arc;
use std::time::SystemTime;

pub(super) struct ProveWork {
    pub(super) core: Arc<Supervised>,
    pub(super) system: System,
    /// What runs once every start has succeeded.
    pub(super) recipes: Vec<Recipe>,
    /// What this run has started.
    pub(super) changes: Changes,
    /// Run the contract even when it has passed for exactly this before.
    pub(super) verify: bool,
}

impl Work for ProveWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let path = self.core.home().releases(&self.system.name);
        let newest = revision::history(&path)?.pop();
        let again = self.verify || self.changes.any();
        let proven = newest.filter(|newest| !again && newest.recipes == self.recipes);
        Ok(proven.map(|proven| format!("revision {} was proven at {}", proven.number, proven.at)))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        match proof::check(&*self.core, &self.core.deployment.environment, &self.system, cx) {
            Ok(passed) => {
                let number = self.record()?;
                Ok(Outcome::DoneWith(format!("{} passed, revision {number}", counted(passed, "check", "checks"))))
            }
            Err(error) if cx.interrupts.stopping() => Err(error),
            Err(error) => Err(self.go_back(Fault::of(&error), cx).into()),
        }
    }
}

impl ProveWork {
    fn record(&self) -> Result<u64> {
        let path = self.core.home().releases(&self.system.name);
        let (number, kept) = revision::record(&path, self.recipes.clone(), timestamp(SystemTime::now()))?;
        for recipe in &self.recipes {
            self.core.runtime.prune(&self.core, &recipe.service, &kept);
        }
        Ok(number)
    }

    /// Starts the last proven revision again where it differs from what failed.
    fn go_back(&self, fault: Fault, cx: &StepCx<'_>) -> Fault {
        let changed = |proven: &Recipe| !self.recipes.contains(proven);
        back::tell(fault, back::go_back(&self.core, &self.system.name, changed, cx))
    }
}
