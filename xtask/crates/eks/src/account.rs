//! The account that is deployed to. Unset on first use it is that of the credentials, asked about once and then kept in
//! the environment's `.local.toml`.

use anyhow::Result;
use aws::infra::names::Names;
use aws::{Aws, Caller};
use base::ctx::Ctx;
use base::error::Fault;
use base::terminal;
use engine::deployment::Deployment;
use kubernetes::local_settings;
use model::aws::Account;
use model::environment::Environment;

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
/// Usage, when nobody can be asked; `not-agreed`, when somebody says no.
pub(super) fn agree(deployment: &Deployment, ctx: &Ctx) -> Result<()> {
    let environment = &deployment.environment;
    let aws = Aws::new(ctx, environment)?;
    if environment.aws.as_ref().is_some_and(|settings| settings.account.is_some()) {
        return Ok(());
    }
    let caller = aws.caller()?;
    let yes = deployment.consent.yes;
    if !yes && !ctx.can_ask {
        return Err(nobody(environment, &caller).into());
    }
    let about = format!("this deploys to account {} ({}) in {}", caller.account, caller.arn, aws.region);
    if !terminal::confirm(ctx, yes, &about)? {
        let cause = format!("account {} was not confirmed; nothing was changed", caller.account);
        return Err(Fault::failed("not-agreed", cause).hint("`--set profile=NAME` takes other credentials").into());
    }
    let file = local_settings::file(&deployment.root, environment.name.as_str());
    local_settings::write(&file, &[("account", caller.account.to_string())])?;
    let shown = file.strip_prefix(&deployment.root).unwrap_or(&file).display();
    terminal::say(&format!("{about}; that is kept in `{shown}`"));
    Ok(())
}

fn nobody(environment: &Environment, caller: &Caller) -> Fault {
    let cause = format!(
        "environment `{}` names no account, the credentials are for {} ({}), and this is not a terminal, so you \
         cannot be asked whether that is right",
        environment.name, caller.account, caller.arn
    );
    Fault::usage(cause)
        .hint(format!("say that it is: `--set account={}`, or `--yes`, which also keeps it", caller.account))
}

/// That the credentials are for the account that is deployed to.
///
/// # Errors
/// `other-account`, or what AWS says.
pub(super) fn check(aws: &Aws, account: &Account) -> Result<()> {
    verdict(&aws.caller()?, account).map_err(Into::into)
}

fn verdict(caller: &Caller, account: &Account) -> Result<(), Fault> {
    if caller.account == *account {
        return Ok(());
    }
    let cause = format!(
        "the environment is for account {account}, the credentials are for {} ({})",
        caller.account, caller.arn
    );
    let hint = format!(
        "`--set profile=NAME` takes credentials for {account}; if {} is meant, the setting `account` has to say so",
        caller.account
    );
    Err(Fault::could_not_run("other-account", cause).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_for_another_account_name_both() {
        let caller =
            Caller { account: "123456789012".parse().unwrap(), arn: "arn:aws:iam::123456789012:user/x".to_owned() };
        assert_eq!(verdict(&caller, &caller.account), Ok(()));
        let fault = verdict(&caller, &"210987654321".parse().unwrap()).unwrap_err();
        assert_eq!((fault.code, fault.exit.code()), ("other-account", 3));
        assert!(fault.cause.contains("123456789012") && fault.cause.contains("210987654321"), "{}", fault.cause);
    }
}
