//! A namespace that was made here. One in which somebody else has put something stays, and is theirs from then on.

use super::find::{self, Found};
use super::gate::{Gate, named};
use super::unmanaged::unmanaged;
use crate::Kubernetes;
use crate::names::{DEPLOYMENT, MANAGED_BY, SYSTEM};
use crate::namespaces;
use crate::namespaces::Ownership;
use anyhow::Result;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use kube::object;
use kube::path::{LEASE, NAMESPACE};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// In the ledger's identity of a namespace that was left to others: the UID that it has.
const LEFT: &str = "left";
/// How long the cluster may take to empty one.
const WITHIN: Duration = Duration::from_secs(180);

pub(super) struct NamespaceWork {
    pub(super) core: Arc<Kubernetes>,
    pub(super) namespace: String,
    pub(super) keep_data: bool,
}

impl Work for NamespaceWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let Some(found) = get(&self.core, &self.namespace)? else { return Ok(Some("it is not there".to_owned())) };
        if !is_ours(&self.core, &found)? {
            return Ok(Some("it was there before, and stays".to_owned()));
        }
        let keeps = self.keep_data && holds_data(&self.core, &self.namespace)?;
        Ok(keeps.then(|| "it stays with what is stored".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        remove(&self.core, &self.namespace, cx)
    }
}

/// Whether something is stored that a deploy could find again. The home of the deployment has what that is worth nothing
/// without.
pub(super) fn holds_data(core: &Kubernetes, namespace: &str) -> Result<bool> {
    if namespace != core.names.home {
        return Ok(!find::claims(core, namespace)?.is_empty());
    }
    let claims = core.access.api()?.list_metadata(&kube::path::CLAIM.everywhere(), &core.names.selector());
    let claims = claims.map_err(|refusal| kube::fault("look for what is stored", &refusal))?;
    Ok(!claims.is_empty())
}

pub(super) fn get(core: &Kubernetes, namespace: &str) -> Result<Option<Found>> {
    let found = core.access.api()?.get(&NAMESPACE.named(namespace));
    let found = found.map_err(|refusal| kube::fault(&format!("look for namespace `{namespace}`"), &refusal))?;
    Ok(found.map(|object| Found { kind: NAMESPACE, object }))
}

/// Whether it was made here, by its label or by the ledger, also while it is on its way out.
pub(super) fn is_ours(core: &Kubernetes, found: &Found) -> Result<bool> {
    let mut staying = found.object.clone();
    if let Some(metadata) = staying["metadata"].as_object_mut() {
        metadata.remove("deletionTimestamp");
    }
    Ok(matches!(Ownership::of(Some(staying), &core.names, &core.records.entries()?), Ownership::Ours(_)))
}

/// The namespaces that were made here and left to others, as long as they are there.
pub(super) fn left(core: &Kubernetes) -> Result<Vec<Found>> {
    let mut left = Vec::new();
    for entry in core.records.entries()?.iter().filter(|entry| entry.kind == namespaces::NAMESPACE) {
        let Some(uid) = entry.identity[LEFT].as_str() else { continue };
        left.extend(get(core, &entry.id)?.filter(|found| object::text(&found.object, "/metadata/uid") == uid));
    }
    Ok(left)
}

/// Leaves a namespace to those who use it, too: what in it is the deployment's goes, the label does, and the ledger knows
/// it as somebody else's.
fn leave(core: &Kubernetes, found: &Found) -> Result<()> {
    let (api, namespace) = (core.access.api()?, found.name());
    let refused = |refusal| kube::fault(&format!("leave namespace `{namespace}` to others"), &refusal);
    let entries = core.records.entries()?;
    let before = entries.iter().find(|entry| entry.kind == namespaces::NAMESPACE && entry.id == namespace);
    let uid = object::text(&found.object, "/metadata/uid");
    let identity = json!({"name": namespace, "uid": null, LEFT: uid});
    let system = before.and_then(|entry| entry.system.clone());
    let entry = Entry { kind: namespaces::NAMESPACE.to_owned(), id: namespace.to_owned(), system, identity };
    enter(core, entry)?;
    let leases = api.list_metadata(&LEASE.within(namespace), &core.names.selector()).map_err(refused)?;
    let leases = leases.into_iter().map(|object| Found { kind: LEASE, object });
    for found in find::labelled(core, Some(namespace))?.into_iter().chain(leases) {
        api.delete(&found.path(), false).map_err(refused)?;
    }
    let labels = json!({"metadata": {"labels": {DEPLOYMENT: null, MANAGED_BY: null, SYSTEM: null}}});
    api.merge(&NAMESPACE.named(namespace), &labels).map_err(refused)?;
    Ok(())
}

/// Enters something into the ledger, or into this machine's copy when that of the cluster is gone already.
pub(super) fn enter(core: &Kubernetes, entry: Entry) -> Result<()> {
    match get(core, &core.names.home)? {
        Some(home) if !object::is_going(&home.object) => core.records.enter(entry),
        _ => core.records.enter_here(entry),
    }
}

/// Removes the namespace and waits until it is gone, or leaves it to those who use it, too.
pub(super) fn remove(core: &Kubernetes, namespace: &str, cx: &StepCx<'_>) -> Result<Outcome> {
    let Some(found) = get(core, namespace)? else { return Ok(Outcome::Done) };
    let api = core.access.api()?;
    let refused = |refusal| kube::fault(&format!("remove namespace `{namespace}`"), &refusal);
    if !object::is_going(&found.object) {
        cx.status(format!("looking at what else is in namespace `{namespace}`"));
        let unmanaged = unmanaged(&api, namespace, &core.names.id)?;
        if !unmanaged.is_empty() {
            leave(core, &found)?;
            let names = named(unmanaged.into_iter());
            return Ok(Outcome::DoneWith(format!("it stays for {names}, which someone else created")));
        }
        api.delete(&NAMESPACE.named(namespace), true).map_err(refused)?;
    }
    let uid = object::text(&found.object, "/metadata/uid");
    let gate = Gate { api: &api, within: WITHIN };
    gate.until_gone(cx, || {
        let now = get(core, namespace)?;
        Ok(now.filter(|now| object::text(&now.object, "/metadata/uid") == uid).into_iter().collect())
    })?;
    Ok(Outcome::Done)
}
