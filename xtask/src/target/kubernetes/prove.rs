//! Proves a release against the smoke contract of its system. What passes is recorded as one to go back to; a change
//! that does not pass is taken back.

use super::aim::{Candidate, Run};
use super::records::Proven;
use super::release::{Done, Released, said};
use super::{back, dossier, drift, ground};
use crate::error::Fault;
use crate::lease::timestamp;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::target::proof;
use crate::ui::counted;
use anyhow::Result;
use std::sync::Arc;
use std::time::SystemTime;

pub(super) struct ProveWork {
    pub(super) run: Arc<Run>,
    pub(super) candidate: Candidate,
    pub(super) released: Released,
    /// Run the contract even when it has passed for exactly this before.
    pub(super) verify: bool,
}

impl Work for ProveWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let done = self.released.get()?;
        let newest = self.run.core.records.history(&self.candidate.system.name)?.pop();
        let again = self.verify || done.changed;
        let same = |newest: &Proven| done.aim.stamp.is_of(newest) && newest.helm_revision == done.revision;
        Ok(newest.filter(|newest| !again && same(newest)).map(|newest| said(&newest)))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let core = &self.run.core;
        let system = &self.candidate.system;
        let done = self.released.get()?;
        match proof::check(&**core, &core.deployment.environment, system, cx) {
            Ok(passed) => {
                let number = self.record(done, cx)?;
                Ok(Outcome::DoneWith(format!("{} passed, revision {number}", counted(passed, "check", "checks"))))
            }
            Err(error) if cx.interrupts.stopping() => Err(error),
            Err(error) => {
                let fault = dossier::gather_for(core, cx, &system.name, Fault::of(&error));
                Err(back::after(fault, &self.run, &self.candidate, &done.aim.stamp, done.before, cx).into())
            }
        }
    }
}

impl ProveWork {
    fn record(&self, done: Done, cx: &StepCx<'_>) -> Result<u64> {
        let core = &self.run.core;
        let system = &self.candidate.system.name;
        let proven = Proven {
            number: 0,
            at: timestamp(SystemTime::now()),
            stamp: done.aim.stamp.to_string(),
            helm_revision: done.revision,
            values: done.aim.values,
            versions: done.aim.versions,
            objects: drift::capture(core, system)?,
        };
        let number = core.records.prove(system, proven)?;
        if let Err(error) = ground::prune_secrets(core, system) {
            // The release is as it should be; another time takes them.
            cx.news(format!("Secrets that nothing refers to any more were left: {error:#}"));
        }
        Ok(number)
    }
}
