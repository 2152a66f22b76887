//! Proves a system against its smoke contract. What passes becomes a revision to go back to; when a change does not
//! pass, the last proven revision is started again.

use super::addresses::Addresses;
use super::auto_rollback::{self, Changes};
use super::recipe::Recipe;
use super::{Supervised, assets, revision};
use anyhow::Result;
use engine::backend::Target;
use engine::lease::timestamp;
use engine::plan::runner::StepCx;
use engine::release::{Applied, Restored, Verified};
use model::system::System;
use std::sync::Arc;
use std::time::SystemTime;
use supervisor::ServiceStatus;

pub(super) struct AppliedSystem {
    pub(super) core: Arc<Supervised>,
    pub(super) system: System,
    /// What runs once every start has succeeded.
    pub(super) recipes: Vec<Recipe>,
    /// What this run has started.
    pub(super) changes: Changes,
    /// Run the contract even when it has passed for exactly this before.
    pub(super) verify: bool,
}

impl AppliedSystem {
    /// Where the services are open to this machine.
    fn places(&self) -> Result<Addresses> {
        let services: Vec<_> = self.recipes.iter().map(|recipe| recipe.service.clone()).collect();
        let place = |status: ServiceStatus| {
            let listen = status.current?.listen;
            Some((status.service.clone(), self.core.runtime.opened(&self.core, &status.service, listen)?))
        };
        Ok(self.core.supervised_of(&services)?.into_iter().filter_map(place).collect())
    }
}

impl Applied for AppliedSystem {
    fn target(&self) -> &dyn Target {
        &*self.core
    }

    fn system(&self) -> &System {
        &self.system
    }

    fn verified(&self) -> Result<Option<Verified>> {
        let newest = revision::history(&self.core.home().releases(&self.system.name))?.pop();
        let again = self.verify || self.changes.any();
        let Some(same) = newest.filter(|newest| !again && newest.recipes == self.recipes) else { return Ok(None) };
        // Nobody has asked the same at another address.
        let is_there = same.places.is_none_or(|places| self.places().is_ok_and(|now| now == places));
        Ok(is_there.then_some(Verified { number: same.number, at: same.at }))
    }

    fn record(&self, _: &StepCx<'_>) -> Result<u64> {
        let path = self.core.home().releases(&self.system.name);
        let (recipes, now) = (self.recipes.clone(), timestamp(SystemTime::now()));
        let (number, kept) = revision::record(&path, recipes, self.places()?, now)?;
        self.core.runtime.proven(&self.core, &self.system.name)?;
        let services = self.system.services.iter().map(|service| &service.name);
        let places = kept.iter().flat_map(|revision| &revision.recipes).flat_map(|recipe| recipe.secrets.values());
        self.core.secrets.forget_given(&self.system.name, services, &places.map(String::as_str).collect())?;
        for recipe in &self.recipes {
            self.core.runtime.prune(&self.core, &recipe.service, &kept);
            assets::prune(self.core.home(), &recipe.service, &kept);
        }
        Ok(number)
    }

    /// Starts the last proven revision again where it differs from what failed.
    fn restore(&self, cx: &StepCx<'_>) -> Result<Restored> {
        let units = auto_rollback::revert(&self.core, &self.system.name, &self.changes.failed(), cx)?;
        let changed = |proven: &Recipe| {
            !self.recipes.contains(proven) && !units.iter().any(|unit| unit.service == proven.service)
        };
        let revision = auto_rollback::restore(&self.core, &self.system.name, changed, cx)?;
        Ok(auto_rollback::restored(&units, revision))
    }
}
