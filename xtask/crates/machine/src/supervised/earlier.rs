//! The revision that `rollback` goes back to.

use super::addresses::Addresses;
use super::recipe::Recipe;
use super::revision::{self, Revision};
use super::{Supervised, start};
use anyhow::Result;
use base::error::Fault;
use model::system::System;
use std::sync::{Arc, PoisonError};
use supervisor::ServiceStatus;

impl Supervised {
    /// The newest proven revision that is not what runs now.
    pub(super) fn earlier(&self, system: &System) -> Result<Revision> {
        let history = revision::history(&self.home().releases(&system.name))?;
        let status = self.supervised()?;
        let recorded = self.read_recorded()?;
        let held = self.runtime.held(self)?.serving;
        // What runs may be at other addresses than this run would give it.
        let earlier = self.with_addresses(&held, || {
            for revision in history.into_iter().rev() {
                // One that had fewer services is not what runs, though all that it had runs.
                if Self::besides(system, &revision.recipes, &recorded).next().is_some()
                    || !self.is_running(&revision.recipes, &status)?
                {
                    return Ok(Some(revision));
                }
            }
            Ok(None)
        });
        earlier?.ok_or_else(|| {
            let cause = format!("`{}` has no earlier revision that was proven healthy", system.name);
            Fault::failed("no-revision", cause)
                .hint(format!("`{}` shows what runs", self.deployment.environment.command("status")))
                .into()
        })
    }

    /// Whether exactly these recipes run. One whose service nothing is known of any more does not.
    fn is_running(&self, recipes: &[Recipe], status: &[ServiceStatus]) -> Result<bool> {
        for recipe in recipes {
            let current = status.iter().find(|status| status.service == recipe.service);
            let Some(current) = current.and_then(|status| status.current.as_ref()) else { return Ok(false) };
            if self.service(&recipe.service).is_none() {
                return Ok(false);
            }
            let spec = self.runtime.launch_spec(self, recipe, start::Secrets::Known)?;
            if spec.is_none_or(|spec| spec.release != current.release) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks at something as if services were to listen there, whatever this run would have of them.
    pub(super) fn with_addresses<T>(&self, there: &Addresses, look: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut all = (*self.addresses()?).clone();
        all.extend(there.iter().map(|(service, address)| (service.clone(), *address)));
        let replace = |by| std::mem::replace(&mut *self.addresses.lock().unwrap_or_else(PoisonError::into_inner), by);
        let before = replace(Some(Arc::new(all)));
        let seen = look();
        replace(before);
        seen
    }
}
