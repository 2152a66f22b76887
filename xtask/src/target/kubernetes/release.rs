//! Releases a system: Helm changes the objects, and then everything is watched until it serves. What fails goes back.

use super::aim::{Aim, Candidate, Known, Run};
use super::back;
use super::records::Proven;
use super::running::{Record, Running, Standing};
use super::traffic::Probe;
use super::{arrival, drift, helm, rollout};
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use anyhow::{Result, anyhow};
use std::fmt;
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
    /// The number of its newest record before this run.
    pub(super) before: u64,
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
        let Some(standing) = standing(&self.run, &self.candidate, &aim)? else { return Ok(None) };
        if self.verify && self.drifted(standing.proven.as_ref())? {
            return Ok(None);
        }
        let revision = standing.revision;
        self.released.set(Done { aim, revision, before: revision, changed: false });
        Ok(Some(standing.to_string()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let aim = match &self.goal {
            Goal::Wanted => self.wanted()?,
            Goal::Proven(proven) => self.run.again(&self.candidate, proven)?,
        };
        let records = helm::repair(&self.run, &self.candidate.system.name, cx)?;
        let before = records.last().map_or(0, |record| record.revision);
        let mut probe = Some(Probe::start(&self.run.core, cx, &aim.wanted.public()));
        let outcome = self.change(&aim, records.last(), cx).and_then(|revision| {
            probe.take().map_or(Ok(()), |probe| probe.finish(cx).map(drop))?;
            Ok(revision)
        });
        match outcome {
            Ok(revision) => {
                self.released.set(Done { aim, revision, before, changed: true });
                Ok(Outcome::DoneWith(format!("revision {revision} of the release")))
            }
            Err(error) if cx.interrupts.stopping() => Err(error),
            Err(error) => {
                let fault = Fault::of(&error);
                let fault = back::after(fault, &self.run, &self.candidate, &aim.stamp, before, cx);
                // What was lost until the old version was back belongs to the record; the failure is known already.
                let _ = probe.map(|probe| probe.finish(cx));
                Err(fault.into())
            }
        }
    }
}

impl ReleaseWork {
    /// Makes the release what it is to be and waits until it serves. Helm's number of it.
    fn change(&self, aim: &Aim, newest: Option<&Record>, cx: &StepCx<'_>) -> Result<u64> {
        match &self.goal {
            Goal::Wanted => self.bring_about(aim, newest, cx)?,
            Goal::Proven(proven) => drop(back::reinstate(&self.run, aim, proven, cx)?),
        }
        rollout::watch(&self.run.core, cx, &aim.wanted)?;
        arrival::wait(&self.run.core, cx, &aim.wanted.public())?;
        back::newest(&self.run, &self.candidate.system.name)
    }

    fn wanted(&self) -> Result<Aim> {
        let aim = self.run.aim(&self.candidate, Known::Made)?;
        aim.ok_or_else(|| {
            anyhow!("what `{}` runs is not known, though all steps before are done", self.candidate.system.name)
        })
    }

    /// Has Helm make the release, unless it made exactly this one already. What was changed by hand is put back in any
    /// case, since Helm leaves what a hand has added, and it would be taken for proven.
    fn bring_about(&self, aim: &Aim, newest: Option<&Record>, cx: &StepCx<'_>) -> Result<()> {
        self.restore(newest, cx)?;
        let made = newest.is_some_and(|newest| newest.is_deployed() && aim.stamp.is_on(newest));
        let namespace = &aim.wanted.namespace;
        let gone = || -> Result<bool> {
            let running = Running::look(&self.run.core)?;
            Ok(running.worst(namespace, &self.candidate.services()) == Standing::Gone)
        };
        if made && !gone()? { Ok(()) } else { helm::upgrade(&self.run, aim, cx) }
    }

    /// Puts back what was changed by hand since the release was proven. What a killed run has left in the middle of a
    /// change is Helm's to put right.
    fn restore(&self, newest: Option<&Record>, cx: &StepCx<'_>) -> Result<()> {
        let (core, system) = (&self.run.core, &self.candidate.system.name);
        let proven = core.records.history(system)?.pop();
        let of = |record: &Record| proven.filter(|proven| proven.helm_revision == record.revision);
        let Some(proven) = newest.filter(|record| record.is_deployed()).and_then(of) else { return Ok(()) };
        let there = drift::capture(core, system)?;
        if !drift::differences(&proven.objects, &there).is_empty() {
            drift::restore(core, &proven, &there)?.into_iter().for_each(|word| cx.news(word));
        }
        Ok(())
    }

    /// Whether something was changed by hand since a release was proven.
    fn drifted(&self, proven: Option<&Proven>) -> Result<bool> {
        let Some(proven) = proven else { return Ok(false) };
        let there = drift::capture(&self.run.core, &self.candidate.system.name)?;
        Ok(!drift::differences(&proven.objects, &there).is_empty())
    }
}

/// A release that is as it is wanted and ready.
pub(super) struct Stands {
    /// Helm's number of it.
    revision: u64,
    /// Unless a run was killed before it could prove it.
    proven: Option<Proven>,
}

impl fmt::Display for Stands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proven {
            Some(proven) => f.write_str(&said(proven)),
            None => write!(f, "revision {} of the release is this", self.revision),
        }
    }
}

/// Whether the release of a system is what is wanted, as Helm has deployed it last, and ready.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn standing(run: &Run, candidate: &Candidate, aim: &Aim) -> Result<Option<Stands>> {
    let running = run.running()?;
    let namespace = &aim.wanted.namespace;
    let newest = running.newest(namespace, &candidate.system.name);
    let made = newest.filter(|record| record.is_deployed() && aim.stamp.is_on(record));
    let Some(Record { revision, .. }) = made else { return Ok(None) };
    let is_ready = running.worst(namespace, &candidate.services()) == Standing::Ready;
    if !is_ready || running.without_secret(&aim.wanted).next().is_some() {
        return Ok(None);
    }
    let proven = run.core.records.history(&candidate.system.name)?.pop();
    let proven = proven.filter(|proven| aim.stamp.is_of(proven) && proven.helm_revision == *revision);
    Ok(Some(Stands { revision: *revision, proven }))
}

/// The reason to give when there is nothing to do.
pub(super) fn said(proven: &Proven) -> String {
    format!("revision {} was proven at {}", proven.number, proven.at)
}
