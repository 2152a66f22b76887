//! Proves a release against the smoke contract of its system. What passes is recorded as one to go back to; a change
//! that does not pass is taken back.

use super::records::VerifiedRelease;
use super::release::Released;
use super::release_context::{Candidate, ReleaseContext};
use super::release_spec::WorkloadSpec;
use super::{arrival, auto_rollback, diagnostics, drift, handover, prerequisites};
use anyhow::Result;
use base::error::Fault;
use engine::backend::Target;
use engine::lease::timestamp;
use engine::plan::runner::StepCx;
use engine::release::{Applied, Restored, Verified};
use model::system::System;
use std::sync::Arc;
use std::time::SystemTime;

pub(super) struct AppliedRelease {
    pub(super) run: Arc<ReleaseContext>,
    pub(super) candidate: Candidate,
    pub(super) released: Released,
    /// Run the contract even when it has passed for exactly this before.
    pub(super) verify: bool,
}

impl Applied for AppliedRelease {
    fn target(&self) -> &dyn Target {
        &*self.run.core
    }

    fn system(&self) -> &System {
        &self.candidate.system
    }

    fn verified(&self) -> Result<Option<Verified>> {
        let done = self.released.get()?;
        let newest = self.run.core.records.history(&self.candidate.system.name)?.pop();
        let again = self.verify || done.changed;
        let same = |newest: &VerifiedRelease| done.desired.stamp.is_of(newest) && newest.helm_revision == done.revision;
        let newest = newest.filter(|newest| !again && same(newest));
        Ok(newest.map(|newest| Verified { number: newest.number, at: newest.at }))
    }

    fn arrive(&self, cx: &StepCx<'_>) -> Result<()> {
        let done = self.released.get()?;
        if done.changed { Ok(()) } else { arrival::wait(&self.run.core, cx, &done.desired.wanted) }
    }

    fn record(&self, cx: &StepCx<'_>) -> Result<u64> {
        let done = self.released.get()?;
        let core = &self.run.core;
        let system = &self.candidate.system.name;
        let proven = VerifiedRelease {
            number: 0,
            at: timestamp(SystemTime::now()),
            stamp: done.desired.stamp.to_string(),
            helm_revision: done.revision,
            values: done.desired.values,
            versions: done.desired.versions,
            objects: drift::capture(core, system)?,
        };
        let number = core.records.prove(system, proven)?;
        let place = |part: &WorkloadSpec| Some((part.service.name.clone(), part.state.clone()?));
        core.records.note_state(system, &self.candidate.parts.iter().filter_map(place).collect())?;
        let jobs: Vec<_> = self.system().jobs.iter().map(|job| job.name.clone()).collect();
        core.records.keep_jobs(system, &jobs)?;
        handover::settle(core, system)?;
        if let Err(error) = prerequisites::prune(core, system) {
            // The release is as it should be; another time takes them.
            cx.news(format!("Secrets and files that nothing refers to any more were left: {error:#}"));
        }
        Ok(number)
    }

    fn explain(&self, fault: Fault, cx: &StepCx<'_>) -> Fault {
        diagnostics::gather_for(&self.run.core, cx, &self.candidate.system.name, fault)
    }

    fn restore(&self, cx: &StepCx<'_>) -> Result<Restored> {
        let done = self.released.get()?;
        auto_rollback::restore(&self.run, &self.candidate, &done.desired.stamp, done.before, cx)
    }
}
