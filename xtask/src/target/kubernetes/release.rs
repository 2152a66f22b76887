//! Releases a system: Helm changes the objects, and then everything is watched until it serves. What fails goes back.

use super::aim::{Aim, Candidate, Known, Run};
use super::back::{self, Before};
use super::records::Proven;
use super::running::Standing;
use super::traffic::Probe;
use super::{drift, helm, rollout};
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use anyhow::{Result, anyhow};
use std::sync::{Arc, Mutex, PoisonError};

/// What a release is to become.
pub(super) enum Goal {
    /// What the spec and the environment say.
    Wanted,
    /// What was proven before.
    Proven(Box<Proven>),
}

/// What a release has become, for the step that proves it.
#[derive(Clone, Default)]
pub(super) struct Released(Arc<Mutex<Option<Done>>>);

#[derive(Clone)]
pub(super) struct Done {
    pub(super) aim: Aim,
    /// Helm's number of it.
    pub(super) revision: u64,
    pub(super) before: Before,
    /// Something was done for it in this run.
    pub(super) changed: bool,
}

impl Released {
    fn set(&self, done: Done) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    }

    /// # Errors
    /// When nothing was released.
    pub(super) fn get(&self) -> Result<Done> {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        done.ok_or_else(|| anyhow!("nothing was released that could be proven"))
    }
}

pub(super) struct ReleaseWork {
    pub(super) run: Arc<Run>,
    pub(super) candidate: Candidate,
    pub(super) goal: Goal,
    /// Look for what was changed by hand, too.
    pub(super) verify: bool,
    pub(super) released: Released,
}

impl Work for ReleaseWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let Goal::Wanted = self.goal else { return Ok(None) };
        let Some(aim) = self.run.aim(&self.candidate, Known::Supplied)? else { return Ok(None) };
        let Some(proven) = standing(&self.run, &self.candidate, &aim)? else { return Ok(None) };
        if self.verify && !self.drifted(&proven)?.is_empty() {
            return Ok(None);
        }
        let revision = proven.helm_revision;
        let before = Before { newest: revision, deployed: Some(revision) };
        self.released.set(Done { aim, revision, before, changed: false });
        Ok(Some(said(&proven)))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let records = helm::repair(&self.run, &self.candidate.system.name, cx)?;
        let before = Before::of(&records);
        let probe = Probe::start(&self.run.core, cx, &self.candidate.public());
        let mut probe = Some(probe);
        let outcome = self.change(before, cx).and_then(|done| {
            probe.take().map_or(Ok(()), |probe| probe.finish(cx).map(drop))?;
            Ok(done)
        });
        match outcome {
            Ok(done) => {
                let word = format!("revision {} of the release", done.revision);
                self.released.set(done);
                Ok(Outcome::DoneWith(word))
            }
            Err(error) if cx.interrupts.stopping() => Err(error),
            Err(error) => {
                let fault = back::after(Fault::of(&error), &self.run, &self.candidate, before, cx);
                // What was lost until the old version was back belongs to the record; the failure is known already.
                let _ = probe.map(|probe| probe.finish(cx));
                Err(fault.into())
            }
        }
    }
}

impl ReleaseWork {
    /// Makes the release what it is to be and waits until it serves.
    fn change(&self, before: Before, cx: &StepCx<'_>) -> Result<Done> {
        let system = &self.candidate.system.name;
        let aim = match &self.goal {
            Goal::Wanted => self.wanted()?,
            Goal::Proven(proven) => self.run.again(&self.candidate, proven)?,
        };
        match &self.goal {
            Goal::Wanted => self.bring_about(&aim, before, cx)?,
            Goal::Proven(proven) => drop(back::reinstate(&self.run, &aim, proven, cx)?),
        }
        rollout::watch(&self.run.core, cx, &aim.wanted)?;
        let revision = Before::look(&self.run, system)?.newest;
        Ok(Done { aim, revision, before, changed: true })
    }

    fn wanted(&self) -> Result<Aim> {
        let aim = self.run.aim(&self.candidate, Known::Made)?;
        aim.ok_or_else(|| {
            anyhow!("what `{}` runs is not known, though all steps before are done", self.candidate.system.name)
        })
    }

    /// Has Helm make the release, unless it made exactly this one already and some of it was lost or changed by hand.
    fn bring_about(&self, aim: &Aim, before: Before, cx: &StepCx<'_>) -> Result<()> {
        let newest = self.run.core.records.history(&aim.wanted.system)?.pop();
        let Some(proven) = newest else { return helm::upgrade(&self.run, aim, cx) };
        if self.verify {
            let there = drift::capture(&self.run.core, &aim.wanted.system)?;
            if !drift::differences(&proven.objects, &there).is_empty() {
                for word in drift::restore(&self.run.core, &proven, &there)? {
                    cx.news(word);
                }
            }
        }
        let same = aim.stamp.is_of(&proven) && before.is(proven.helm_revision);
        let gone = || -> Result<bool> {
            let worst = self.run.running()?.worst(&aim.wanted.namespace, &self.candidate.services());
            Ok(worst == Standing::Gone)
        };
        if same && (self.verify || !gone()?) { Ok(()) } else { helm::upgrade(&self.run, aim, cx) }
    }

    /// What was changed by hand since a release was proven.
    fn drifted(&self, proven: &Proven) -> Result<Vec<drift::Difference>> {
        let there = drift::capture(&self.run.core, &self.candidate.system.name)?;
        Ok(drift::differences(&proven.objects, &there))
    }
}

/// The newest proven release of a system, if it is what is wanted, it is what Helm deployed last, and it is ready.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn standing(run: &Run, candidate: &Candidate, aim: &Aim) -> Result<Option<Proven>> {
    let proven = run.core.records.history(&candidate.system.name)?.pop();
    let Some(proven) = proven.filter(|proven| aim.stamp.is_of(proven)) else { return Ok(None) };
    let running = run.running()?;
    let namespace = &aim.wanted.namespace;
    let newest = running.newest(namespace, &candidate.system.name);
    let deployed = newest.is_some_and(|record| record.is_deployed() && record.revision == proven.helm_revision);
    let ready = running.worst(namespace, &candidate.services()) == Standing::Ready;
    Ok((deployed && ready).then_some(proven))
}

/// The reason to give when there is nothing to do.
pub(super) fn said(proven: &Proven) -> String {
    format!("revision {} was proven at {}", proven.number, proven.at)
}
