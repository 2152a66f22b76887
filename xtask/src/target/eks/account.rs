//! The account that is deployed to. Unset on first use it is that of the credentials, asked about once and then kept in
//! the environment's `.local.toml`.

use crate::aws::Aws;
use crate::ctx::Ctx;
use crate::error::Fault;
use crate::infra::names::Names;
use crate::spec::aws::Account;
use crate::target::Deployment;
use anyhow::Result;

/// The deployment's names on AWS. Where the environment names no account, that of the credentials stands in until
/// [`agree`] has it confirmed.
///
/// # Errors
/// When no account is named and there are no credentials to tell one.
pub(super) fn names(deployment: &Deployment, ctx: &Ctx) -> Result<Names> {
    let environment = &deployment.environment;
    let aws = Aws::new(ctx, environment)?;
    let named = environment.aws.as_ref().and_then(|settings| settings.account.clone());
    let account = match named {
        Some(account) => account,
        None => aws.caller()?.account,
    };
    Ok(Names { account, region: aws.region, id: environment.deployment_id.clone() })
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

/// That the credentials are for the account that is deployed to.
///
/// # Errors
/// `other-account`, or what AWS says.
pub(super) fn check(aws: &Aws, account: &Account) -> Result<()> {
    let caller = aws.caller()?;
    if caller.account == *account {
        return Ok(());
    }
    let cause = format!(
        "the environment is for account {account}, and the credentials are for {} ({})",
        caller.account, caller.arn
    );
    let hint = format!("use credentials for {account} (`--set profile=NAME`), or say that it is meant: `account`");
    Err(Fault::could_not_run("other-account", cause).hint(hint).into())
}
