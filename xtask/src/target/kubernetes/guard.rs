//! The lease in the cluster: nobody deploys from another machine at the same time. And the cluster's identity: what a
//! context names must be what was deployed to before.

use super::Kubernetes;
use crate::ctx::Ctx;
use crate::journal::Journal;
use crate::lease::Claim;
use crate::target::Guard;
use anyhow::{Result, bail};

/// Takes the lease in the deployment's home namespace, which it makes.
///
/// # Errors
/// When a live owner holds it, or the cluster is another one than before.
pub(super) fn take(_core: &Kubernetes, _ctx: &Ctx, _claim: &Claim<'_>, _journal: &Journal) -> Result<Guard> {
    bail!("not yet")
}
