//! Releases a system: Helm changes the objects, and then everything is watched until it serves. What fails goes back.

use super::auto_rollback;
use super::names::SERVICE;
use super::records::VerifiedRelease;
use super::release_context::{Candidate, DesiredRelease, ReleaseContext, ResolveMode};
use super::running::{self, Readiness, Record, Running};
use super::traffic::Probe;
use super::{arrival, drift, helm, jobs, recorded, rollout};
use anyhow::{Result, anyhow};
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use kube::object::label;
use model::name::ServiceName;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a release is to become.
pub(super) enum Goal {
    /// What the spec and the environment say.
    Desired,
    /// What was proven before.
    Verified(Box<VerifiedRelease>),
}

/// What a release has become, for the step that proves it.
#[derive(Clone, Default)]
pub(super) struct Released(Arc<Mutex<Option<Done>>>);

#[derive(Clone)]
pub(super) struct Done {
    pub(super) desired: DesiredRelease,
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
    pub(super) run: Arc<ReleaseContext>,
    pub(super) candidate: Candidate,
    pub(super) goal: Goal,
    /// Look for what was changed by hand, too.
    pub(super) verify: bool,
    pub(super) released: Released,
}

impl Work for ReleaseWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let Goal::Desired = self.goal else { return Ok(None) };
        let Some(desired) = self.run.desired(&self.candidate, ResolveMode::Supplied)? else { return Ok(None) };
        let desired = self.candidate.parting.lasting(&self.run, desired)?;
        let Some(standing) = standing(&self.run, &self.candidate, &desired)? else { return Ok(None) };
        if !jobs::due(&self.run.core, &self.candidate.system, &desired)?.is_empty() {
            return Ok(None);
        }
        if self.verify && self.drifted(standing.proven.as_ref())? {
            return Ok(None);
        }
        let revision = standing.revision;
        self.released.set(Done { desired, revision, before: revision, changed: false });
        Ok(Some(standing.to_string()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let desired = match &self.goal {
            Goal::Desired => wanted(&self.run, &self.candidate)?,
            Goal::Verified(proven) => self.run.again(&self.candidate, proven)?,
        };
        // What it does not have any more goes once it is proven.
        let desired = self.candidate.parting.beside(&self.run, desired)?;
        let records = helm::repair(&self.run, &self.candidate.system.name, cx)?;
        let before = records.last().map_or(0, |record| record.revision);
        let mut probe = Some(Probe::start(&self.run.core, cx, &self.uninterrupted(&desired)?));
        let make = || {
            let revision = self.change(&desired, records.last(), cx)?;
            probe.take().map_or(Ok(()), |probe| probe.finish(cx).map(drop))?;
            Ok(revision)
        };
        let restore = || auto_rollback::restore(&self.run, &self.candidate, &desired.stamp, before, cx);
        let made = engine::release::or_restore(cx, make, |fault| fault, restore);
        // What was lost until the old version was back belongs to the record; the failure is known already.
        let _ = probe.filter(|_| !cx.interrupts.stopping()).map(|probe| probe.finish(cx));
        let revision = made?;
        self.released.set(Done { desired, revision, before, changed: true });
        Ok(Outcome::DoneWith(format!("revision {revision} of the release")))
    }
}

impl ReleaseWork {
    /// The public services that no request is to be lost of: not those that store something in a volume, now or before,
    /// which only one at a time can have, nor those that need one of these while it is replaced.
    fn uninterrupted(&self, desired: &DesiredRelease) -> Result<Vec<ServiceName>> {
        if self.candidate.is_interrupted {
            return Ok(Vec::new());
        }
        let released = recorded::released(&self.run.core, &self.candidate.system.name)?;
        let stored = |service: &ServiceName| released.get(service).is_some_and(|values| values["storage"].is_object());
        let stores = |service: &ServiceName| desired.values["services"][service.as_str()]["storage"].is_object();
        let has_volume = |service: &ServiceName| stores(service) || stored(service);
        let changes =
            |service: &ServiceName| released.get(service) != Some(&desired.values["services"][service.as_str()]);
        let mut interrupted = BTreeSet::new();
        // Each comes after those that it needs.
        for service in desired.wanted.parts.iter().map(|part| &part.service) {
            let waits = service.needs.iter().any(|need| interrupted.contains(need));
            if waits || (has_volume(&service.name) && changes(&service.name)) {
                interrupted.insert(&service.name);
            }
        }
        let public = desired.wanted.public().into_iter();
        Ok(public.filter(|service| !has_volume(service) && !interrupted.contains(service)).collect())
    }

    /// Makes the release what it is to be and waits until it serves. Helm's number of it.
    fn change(&self, desired: &DesiredRelease, newest: Option<&Record>, cx: &StepCx<'_>) -> Result<u64> {
        arrival::beside_others(&self.run.core, &desired.wanted)?;
        match &self.goal {
            Goal::Verified(proven) if desired.stamp.is_of(proven) => {
                auto_rollback::reinstate(&self.run, desired, proven, cx)?;
            }
            Goal::Verified(_) => self.bring_about(desired, newest, cx)?,
            Goal::Desired => {
                jobs::before(&self.run, &self.candidate, desired, cx)?;
                let newest = running::records(&self.run.core, &self.candidate.system.name)?.pop();
                self.bring_about(desired, newest.as_ref(), cx)?;
            }
        }
        rollout::watch(&self.run.core, cx, &desired.wanted)?;
        arrival::wait(&self.run.core, cx, &desired.wanted)?;
        if let Goal::Desired = self.goal {
            jobs::after(&self.run, &self.candidate, desired, cx)?;
        }
        auto_rollback::newest(&self.run, &self.candidate.system.name)
    }

    /// Has Helm make the release, unless it made exactly this one already. What was changed by hand is put back in any
    /// case, since Helm leaves what a hand has added, and it would be taken for proven.
    fn bring_about(&self, desired: &DesiredRelease, newest: Option<&Record>, cx: &StepCx<'_>) -> Result<()> {
        self.restore(newest, cx)?;
        let made = newest.is_some_and(|newest| newest.is_deployed() && desired.stamp.is_on(newest));
        let namespace = &desired.wanted.namespace;
        let gone = || -> Result<bool> {
            let running = Running::look(&self.run.core)?;
            Ok(running.worst(namespace, &self.candidate.services()) == Readiness::Gone)
        };
        if made && !gone()? { Ok(()) } else { helm::upgrade(&self.run, desired, cx) }
    }

    /// Puts back what was changed by hand since the release was proven. What a killed run has left in the middle of a
    /// change is Helm's to put right.
    fn restore(&self, newest: Option<&Record>, cx: &StepCx<'_>) -> Result<()> {
        let (core, system) = (&self.run.core, &self.candidate.system.name);
        let proven = core.records.history(system)?.pop();
        let of = |record: &Record| proven.filter(|proven| proven.helm_revision == record.revision);
        let Some(mut proven) = newest.filter(|record| record.is_deployed()).and_then(of) else { return Ok(()) };
        // What has handed over what it stored was stopped by us.
        let stopped = &self.candidate.parting.stopped;
        let runs = |found: &Value| !stopped.iter().any(|service| label(found, SERVICE) == service.as_str());
        proven.objects.retain(runs);
        let mut there = drift::capture(core, system)?;
        there.retain(runs);
        if !drift::differences(&proven.objects, &there).is_empty() {
            drift::restore(core, &proven, &there)?.into_iter().for_each(|word| cx.news(word));
        }
        Ok(())
    }

    /// Whether something was changed by hand since a release was proven.
    fn drifted(&self, proven: Option<&VerifiedRelease>) -> Result<bool> {
        let Some(proven) = proven else { return Ok(false) };
        let there = drift::capture(&self.run.core, &self.candidate.system.name)?;
        Ok(!drift::differences(&proven.objects, &there).is_empty())
    }
}

/// What a release is to be, once all that it is made from is there.
///
/// # Errors
/// When something of it is not known still.
pub(super) fn wanted(run: &ReleaseContext, candidate: &Candidate) -> Result<DesiredRelease> {
    let desired = run.desired(candidate, ResolveMode::Made)?;
    desired
        .ok_or_else(|| anyhow!("what `{}` runs is not known, though all steps before are done", candidate.system.name))
}

/// A release that is as it is wanted and ready.
pub(super) struct Stands {
    /// Helm's number of it.
    revision: u64,
    /// Unless a run was killed before it could prove it.
    proven: Option<VerifiedRelease>,
}

impl fmt::Display for Stands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proven {
            Some(proven) => f.write_str(&said(proven)),
            None => write!(f, "revision {} of the release is current", self.revision),
        }
    }
}

/// Whether the release of a system is what is wanted, as Helm has deployed it last, and ready.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn standing(
    run: &ReleaseContext,
    candidate: &Candidate,
    desired: &DesiredRelease,
) -> Result<Option<Stands>> {
    let running = run.running()?;
    let namespace = &desired.wanted.namespace;
    let newest = running.newest(namespace, &candidate.system.name);
    let made = newest.filter(|record| record.is_deployed() && desired.stamp.is_on(record));
    let Some(Record { revision, .. }) = made else { return Ok(None) };
    let is_ready = running.worst(namespace, &candidate.services()) == Readiness::Ready;
    let mut incomplete = running.without_secret(&desired.wanted).chain(running.without_files(&desired.wanted));
    if !is_ready || incomplete.next().is_some() {
        return Ok(None);
    }
    let proven = run.core.records.history(&candidate.system.name)?.pop();
    let proven = proven.filter(|proven| desired.stamp.is_of(proven) && proven.helm_revision == *revision);
    Ok(Some(Stands { revision: *revision, proven }))
}

/// The reason to give when there is nothing to do.
pub(super) fn said(proven: &VerifiedRelease) -> String {
    format!("revision {} was proven at {}", proven.number, proven.at)
}
