//! What is checked before the first change on AWS: whose account it is, that nobody else deploys, that the credentials last
//! long enough, that the cluster is the one that was deployed to.

use super::Eks;
use crate::ctx::Ctx;
use crate::journal::Journal;
use crate::lease::Claim;
use crate::target::Guard;
use anyhow::Result;

/// Checks the account and takes the lease in the state bucket, which it makes for whoever deploys.
///
/// # Errors
/// `other-account`, `lease-held`, `credentials-short`, or what AWS says.
pub(super) fn take(eks: &Eks, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
    let _ = (eks, ctx, claim, journal, &eks.ledger, &eks.infra);
    todo!("H5")
}
