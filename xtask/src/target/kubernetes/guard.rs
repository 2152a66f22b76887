//! The deployment's home namespace with the lease in it: nobody deploys from another machine at the same time. And the
//! cluster's identity: what a context names must be what was deployed to before.

mod lease;

use self::lease::{Lease, Seat};
use super::Kubernetes;
use super::namespaces::{self, GONE_WITHIN, Standing};
use crate::ctx::Ctx;
use crate::error::{Exit, Fault};
use crate::home;
use crate::journal::Journal;
use crate::key::Digest;
use crate::kube::{self, path};
use crate::lease::Claim;
use crate::signal::Interrupts;
use crate::target::Guard;
use crate::target::supervised::secrets::generate;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a namespace is looked at that is on its way out.
const LOOK: Duration = Duration::from_millis(250);

/// Takes the lease in the deployment's home namespace, which it makes.
///
/// # Errors
/// When a live owner holds it, or the cluster is another one than before.
pub(super) fn take(core: &Kubernetes, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
    // A teardown makes no namespace only to remove it.
    let makes = claim.command != "teardown" || has_namespaces(core)?;
    let Some(found) = home_namespace(core, makes, &ctx.interrupts, journal)? else { return Ok(Box::new(())) };
    let seat = Seat {
        api: core.access.api()?,
        namespace: core.names.home.clone(),
        labels: core.names.labels(None),
        environment: core.deployment.environment.name.to_string(),
        folder: folder_word(core.deployment.home.dir())?,
        interrupts: ctx.interrupts.clone(),
        journal: journal.clone(),
    };
    let lease = Lease::take(&seat, claim)?;
    // Whoever held it before us may have written.
    core.records.forget_what_was_read();
    let identity = core.access.identity()?;
    if let Some(noted) = core.records.cluster()? {
        identity.check(&noted, &core.deployment.environment).map_err(|fault| {
            let name = &core.names.home;
            fault.hint(format!(
                "if this cluster is a copy of that one, what namespace `{name}` tells is not true here: \
                 kubectl delete namespace {name}"
            ))
        })?;
    }
    identity.note(core.deployment.home.dir())?;
    core.records.enter(namespaces::entry(&core.names.home, None, Some(&found)))?;
    Ok(Box::new(lease))
}

/// Whether there is a namespace with the deployment's label.
fn has_namespaces(core: &Kubernetes) -> Result<bool> {
    let listed = core.access.api()?.list_metadata(&path::NAMESPACE.everywhere(), &core.names.selector());
    let listed = listed.map_err(|refusal| kube::fault("look for the deployment's namespaces", &refusal))?;
    Ok(!listed.is_empty())
}

/// The namespace of the deployment's own state, made when `makes` says so.
fn home_namespace(core: &Kubernetes, makes: bool, interrupts: &Interrupts, journal: &Journal) -> Result<Option<Value>> {
    let (name, api) = (&core.names.home, core.access.api()?);
    let deadline = Instant::now() + GONE_WITHIN;
    let mut told = false;
    loop {
        let found = api.get(&path::NAMESPACE.named(name));
        let found = found.map_err(|refusal| kube::fault(&format!("look for namespace `{name}`"), &refusal))?;
        match Standing::of(found, &core.names, &core.records.entries()?) {
            Standing::Ours(found) => return labelled(core, found).map(Some),
            Standing::Absent if !makes => return Ok(None),
            Standing::Absent => {
                core.records.enter_here(namespaces::entry(name, None, None))?;
                match api.create(&path::NAMESPACE.everywhere(), &namespaces::object(&core.names, name, None)) {
                    Ok(made) => return Ok(Some(made)),
                    // Somebody else was faster; the next look tells who.
                    Err(refusal) if refusal.is_conflict() => {}
                    Err(refusal) => return Err(kube::fault(&format!("make namespace `{name}`"), &refusal).into()),
                }
            }
            Standing::Going(holds) => {
                if !std::mem::replace(&mut told, true) {
                    journal.note(format!("waiting for an earlier `{name}` to be gone: {holds}"));
                }
                if Instant::now() >= deadline {
                    return Err(namespaces::stuck(name, &holds).into());
                }
                if interrupts.pause(LOOK) {
                    return Err(Fault::interrupted(interrupts.first().unwrap_or_default()).into());
                }
            }
            Standing::Foreign => return Err(taken(core, "").into()),
            Standing::Taken(owner) => return Err(taken(core, &owner).into()),
        }
    }
}

fn taken(core: &Kubernetes, owner: &str) -> Fault {
    let fault = namespaces::taken(&core.deployment.environment, &core.names.home, owner);
    Fault { exit: Exit::CouldNotRun, ..fault }
}

/// Gives it the labels again that it was made with.
fn labelled(core: &Kubernetes, found: Value) -> Result<Value> {
    let wanted = namespaces::object(&core.names, &core.names.home, None);
    if namespaces::is_labelled(&found, &wanted) {
        return Ok(found);
    }
    let patch = json!({"metadata": {"labels": wanted["metadata"]["labels"]}});
    let merged = core.access.api()?.merge(&path::NAMESPACE.named(&core.names.home), &patch);
    Ok(merged.map_err(|refusal| kube::fault(&format!("label namespace `{}`", core.names.home), &refusal))?)
}

/// A word that stands for this folder of state and no other: neither a copy of it nor one of the same name elsewhere.
fn folder_word(home: &Path) -> Result<String> {
    let file = home.join("folder");
    let random = match std::fs::read_to_string(&file) {
        Ok(random) => random,
        Err(_) => {
            let random = generate()?;
            home::write_private(&file, random.as_bytes())?;
            random
        }
    };
    let place = home.canonicalize().with_context(|| format!("find `{}`", home.display()))?;
    let host = nix::unistd::gethostname().unwrap_or_default();
    let word = Digest::of(format!("{random} {} {}", place.display(), host.display()));
    Ok(format!("{word:.16}"))
}
