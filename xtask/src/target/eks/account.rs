//! The account that is deployed to. Unset on first use it is that of the credentials, asked about once and then kept in
//! the environment's `.local.toml`.

use crate::ctx::Ctx;
use crate::infra::names::Names;
use crate::target::Deployment;
use anyhow::Result;

/// The deployment's names on AWS. Where the environment names no account, that of the credentials stands in until
/// [`agree`] has it confirmed.
///
/// # Errors
/// When no account is named and there are no credentials to tell one.
pub(super) fn names(deployment: &Deployment, ctx: &Ctx) -> Result<Names> {
    let _ = (deployment, ctx);
    todo!("H3")
}

/// Has an account that the environment does not name confirmed, and writes it into its `.local.toml`, before anything is
/// changed there. `deployment.consent` answers for whoever cannot be asked.
///
/// # Errors
/// Usage, when nobody can be asked.
pub(super) fn agree(deployment: &Deployment, ctx: &Ctx) -> Result<()> {
    let _ = (deployment, ctx);
    todo!("H3")
}
