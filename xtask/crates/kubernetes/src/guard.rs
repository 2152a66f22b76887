//! The deployment's home namespace with the lease in it: nobody deploys from another machine at the same time. And the
//! cluster's identity: what a context names must be what was deployed to before.

pub mod home;
mod lease;

use self::lease::Seat;
use super::Kubernetes;
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::files;
use base::random;
use engine::backend::Guard;
use engine::journal::Journal;
use engine::lease::Claim;
use keys::Digest;
use kube::path;
use shared_lease::{Candidate, SharedLease};
use std::path::Path;

/// Takes the lease in the deployment's home namespace, which it makes.
///
/// # Errors
/// When a live owner holds it, or the cluster is another one than before.
pub(super) fn take(core: &Kubernetes, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
    // A teardown makes no namespace only to remove it.
    let makes = claim.command != "teardown" || has_namespaces(core)?;
    let say = |words: String| journal.note(words);
    let Some(found) = home::have(core, makes, &ctx.interrupts, &say)? else { return Ok(Box::new(())) };
    let seat = Seat {
        api: core.access.api()?,
        namespace: core.names.home.clone(),
        labels: core.names.labels(None),
        folder: folder_word(core.deployment.home.dir())?,
        is_removed: claim.command == "teardown",
    };
    let candidate = Candidate {
        environment: core.deployment.environment.name.to_string(),
        folder: seat.folder.clone(),
        interrupts: ctx.interrupts.clone(),
        journal: journal.clone(),
        proc: ctx.proc.clone(),
    };
    let lease = SharedLease::take(&seat, &candidate, claim)?;
    // Whoever held it before us may have written.
    core.records.forget_what_was_read();
    home::settle(core, &found)?;
    Ok(Box::new(lease))
}

/// Whether there is a namespace with the deployment's label.
fn has_namespaces(core: &Kubernetes) -> Result<bool> {
    let listed = core.access.api()?.list_metadata(&path::NAMESPACE.everywhere(), &core.names.selector());
    let listed = listed.map_err(|refusal| kube::fault("look for the deployment's namespaces", &refusal))?;
    Ok(!listed.is_empty())
}

/// A word that stands for this folder of state and no other: neither a copy of it nor one of the same name elsewhere.
pub fn folder_word(home: &Path) -> Result<String> {
    let file = home.join("folder");
    let random = match std::fs::read_to_string(&file) {
        Ok(random) => random,
        Err(_) => {
            let random = random::hex::<20>()?;
            files::write_private(&file, random.as_bytes())?;
            random
        }
    };
    let place = home.canonicalize().with_context(|| format!("find `{}`", home.display()))?;
    let host = nix::unistd::gethostname().unwrap_or_default();
    let word = Digest::of(format!("{random} {} {}", place.display(), host.display()));
    Ok(format!("{word:.16}"))
}
