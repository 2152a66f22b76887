//! What a system has stored: its claims of volumes, and the volumes behind them.

use super::find::{self, Found};
use super::gate::{Gate, named};
use super::{Place, namespace};
use crate::{Kubernetes, handover};
use anyhow::Result;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use kube::object;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How the ledger calls volumes.
pub(in super::super) const VOLUME: &str = "volume";
/// How long the cluster's storage may take to remove a volume; a cloud detaches its disk first.
const WITHIN: Duration = Duration::from_secs(120);

pub(super) struct ClaimsWork {
    pub(super) core: Arc<Kubernetes>,
    pub(super) place: Place,
}

impl Work for ClaimsWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let nothing = find::claims(&self.core, &self.place.namespace)?.is_empty()
            && going_volumes(&self.core, &self.place)?.is_empty();
        Ok(nothing.then(|| "nothing is stored".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        remove(&self.core, &self.place, cx)
    }
}

/// Removes the claims and waits until the volumes behind them are gone, all but those that the cluster's storage is told
/// to retain.
pub(super) fn remove(core: &Kubernetes, place: &Place, cx: &StepCx<'_>) -> Result<Outcome> {
    let api = core.access.api()?;
    let claims = find::claims(core, &place.namespace)?;
    let before = volumes(core, place)?;
    // A run that is killed after this finds the volumes again, though their claims are gone.
    for volume in &before {
        let identity = json!({"uid": object::text(&volume.object, "/metadata/uid"), "namespace": place.namespace});
        let (kind, id, system) = (VOLUME.to_owned(), volume.name().to_owned(), Some(place.name.clone()));
        namespace::enter(core, Entry { kind, id, system, identity })?;
        handover::give_up(core, &volume.object)?;
    }
    if !claims.is_empty() {
        let services = named(claims.iter().map(|claim| find::service(claim).to_owned()));
        cx.status(format!("removing what {services} stored"));
    }
    let gate = Gate { api: &api, within: WITHIN };
    gate.remove(cx, &claims, || find::claims(core, &place.namespace))?;
    gate.until_gone(cx, || going_volumes(core, place))?;
    let kept = volumes(core, place)?;
    if kept.is_empty() {
        return Ok(Outcome::Done);
    }
    let names = named(kept.iter().map(Found::title));
    Ok(Outcome::DoneWith(format!("{names}: retained by its storage class")))
}

/// The volumes of a system's claims, or of those that it had.
pub(super) fn volumes(core: &Kubernetes, place: &Place) -> Result<Vec<Found>> {
    let claims = find::claims(core, &place.namespace)?;
    let entries = core.records.entries()?;
    let noted: Vec<String> = entries.iter().filter_map(uid).map(str::to_owned).collect();
    let mut found = find::volumes(core)?;
    found.retain(|volume| find::is_volume_of(volume, place, &claims, &noted));
    Ok(found)
}

/// The volumes in the ledger that are still there, each with the system that it was made for.
pub(super) fn noted_volumes(core: &Kubernetes) -> Result<Vec<(String, Found)>> {
    let entries = core.records.entries()?;
    let found = find::volumes(core)?;
    let system = |volume: &Found| {
        let own = Some(object::text(&volume.object, "/metadata/uid"));
        let entry = entries.iter().find(|entry| uid(entry) == own)?;
        Some(entry.system.clone().unwrap_or_default())
    };
    Ok(found.into_iter().filter_map(|volume| Some((system(&volume)?, volume))).collect())
}

/// The identity of a volume in the ledger.
fn uid(entry: &Entry) -> Option<&str> {
    entry.identity["uid"].as_str().filter(|_| entry.kind == VOLUME)
}

/// Those that go with their claims.
fn going_volumes(core: &Kubernetes, place: &Place) -> Result<Vec<Found>> {
    let mut found = volumes(core, place)?;
    let goes = |volume: &Found| object::text(&volume.object, "/spec/persistentVolumeReclaimPolicy") == "Delete";
    found.retain(|volume| goes(volume) || object::is_going(&volume.object));
    Ok(found)
}
