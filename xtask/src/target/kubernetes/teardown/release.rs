//! A system's release, and whatever else of it is in its namespace: Helm removes what is in the release, then goes what
//! no release owns, such as Secrets and the pods that a killed run has left.

use super::Place;
use super::find::{self, Found};
use super::gate::Gate;
use crate::kube;
use crate::kube::path::CLAIM;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::target::kubernetes::{Kubernetes, dossier};
use crate::tools::helm::{self, Release};
use anyhow::Result;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long pods may take to end, with all the time they are given to serve what they have begun.
const WITHIN: Duration = Duration::from_secs(180);

pub(super) struct UninstallWork {
    pub(super) core: Arc<Kubernetes>,
    pub(super) place: Place,
}

impl Work for UninstallWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(left(&self.core, &self.place)?.is_empty().then(|| "nothing of it is there".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
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

/// Removes all that [`left`] finds, and waits until it is gone.
pub(super) fn remove(core: &Kubernetes, place: &Place, cx: &StepCx<'_>) -> Result<()> {
    let found = left(core, place)?;
    let releases: BTreeSet<&str> = found.iter().filter_map(Found::recorded).collect();
    for release in releases {
        cx.status(format!("uninstalling `{release}`"));
        uninstall(core, Release { name: release, namespace: &place.namespace }, cx)?;
    }
    let api = core.access.api()?;
    // What owns something is asked to go, and takes that along.
    for found in left(core, place)?.iter().filter(|found| !found.is_owned()) {
        let refused = |refusal| kube::fault(&format!("remove `{}`", found.title()), &refusal);
        api.delete(&found.path(), false).map_err(refused)?;
    }
    let gate = Gate { api: &api, environment: &core.deployment.environment, within: WITHIN };
    gate.until_gone(cx, || left(core, place))
}

fn uninstall(core: &Kubernetes, release: Release<'_>, cx: &StepCx<'_>) -> Result<()> {
    let finished = cx.try_run(&helm::uninstall(core.access.helm()?, release), &|_, _| {})?;
    if finished.success {
        return Ok(());
    }
    // A Helm that was killed says nothing.
    let words = if finished.stderr.trim().is_empty() { &finished.status } else { &finished.stderr };
    Err(dossier::refusal(words).fault().into())
}
