//! A system's release, and whatever else of it is in its namespace: Helm removes what is in the release, then goes what
//! no release owns, such as Secrets and the pods that a killed run has left.

use super::Place;
use super::find::{self, Found};
use super::gate::Gate;
use crate::names::{MANAGED_BY, OURS};
use crate::{Kubernetes, diagnostics};
use anyhow::Result;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use kube::object;
use kube::path::{CLAIM, CONFIG_MAP, DEPLOYMENT, INGRESS, SECRET, STATEFUL_SET};
use model::name::{ServiceName, SystemName};
use remote_tools::helm;
use remote_tools::helm::Release;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long pods may take to end, with all the time they are given to serve what they have begun, and clouds to remove
/// the load balancers of Services.
const WITHIN: Duration = Duration::from_secs(300);

pub(super) struct UninstallWork {
    pub(super) core: Arc<Kubernetes>,
    pub(super) place: Place,
}

impl Work for UninstallWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(left(&self.core, &self.place)?.is_empty().then(|| "nothing of it is there".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        remove(&self.core, &self.place, cx)?;
        Ok(Outcome::Done)
    }
}

/// What of the deployment is in the namespace, but for what is stored.
fn left(core: &Kubernetes, place: &Place) -> Result<Vec<Found>> {
    let mut found = find::labelled(core, Some(&place.namespace))?;
    found.retain(|found| found.kind != CLAIM);
    Ok(found)
}

/// Whether something is there of these services of a system, but for what they stored, the Secrets and the files,
/// which revisions that can be gone back to may need.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(in super::super) fn is_left(
    core: &Kubernetes,
    system: &SystemName,
    services: &BTreeSet<ServiceName>,
) -> Result<bool> {
    Ok(!left_of(core, system, services)?.is_empty())
}

fn left_of(core: &Kubernetes, system: &SystemName, services: &BTreeSet<ServiceName>) -> Result<Vec<Found>> {
    let mut found = find::labelled(core, Some(&core.names.namespace(system)))?;
    let is_of = |found: &Found| services.iter().any(|service| service.as_str() == find::service(found));
    let is_kept = |found: &Found| {
        let ours = object::label(&found.object, MANAGED_BY) == OURS;
        [CLAIM, SECRET].contains(&found.kind) || found.kind == CONFIG_MAP && ours
    };
    found.retain(|found| !is_kept(found) && !found.is_owned() && is_of(found));
    // What makes them seen goes last, so that a run that is killed meanwhile leaves nothing that no other looks for.
    found.sort_by_key(|found| [INGRESS, DEPLOYMENT, STATEFUL_SET].iter().position(|kind| *kind == found.kind));
    Ok(found)
}

/// Removes that, and waits until it is gone.
///
/// # Errors
/// When the cluster refuses, or something of it stays.
pub(in super::super) fn remove_left_of(
    core: &Kubernetes,
    system: &SystemName,
    services: &BTreeSet<ServiceName>,
    cx: &StepCx<'_>,
) -> Result<()> {
    let look = || left_of(core, system, services);
    let api = core.access.api()?;
    Gate { api: &api, within: WITHIN }.remove(cx, &look()?, look)
}

/// Removes all that [`left`] finds, and waits until it is gone.
pub(super) fn remove(core: &Kubernetes, place: &Place, cx: &StepCx<'_>) -> Result<()> {
    if let Some(provider) = core.platform.ingress_provider() {
        provider.close(core, cx, &place.namespace, None)?;
    }
    let found = left(core, place)?;
    let releases: BTreeSet<&str> = found.iter().filter_map(Found::recorded).collect();
    for release in releases {
        cx.status(format!("uninstalling `{release}`"));
        uninstall(core, Release { name: release, namespace: &place.namespace }, cx)?;
    }
    let look = || left(core, place);
    let found = look()?;
    // What owns something is asked to go, and takes that along.
    let owners = found.iter().filter(|found| !found.is_owned());
    let api = core.access.api()?;
    Gate { api: &api, within: WITHIN }.remove(cx, owners, look)
}

fn uninstall(core: &Kubernetes, release: Release<'_>, cx: &StepCx<'_>) -> Result<()> {
    let finished = cx.try_run(&helm::uninstall(core.access.helm()?, release), &|_, _| {})?;
    if finished.success {
        return Ok(());
    }
    // A Helm that was killed says nothing.
    let words = if finished.stderr.trim().is_empty() { &finished.status } else { &finished.stderr };
    Err(diagnostics::refusal(words).fault().into())
}
