//! `rollback`: back to the previous revision that was healthy, gated and proven like any deploy.

use super::dry_run::Rehearsal;
use super::execute::{changed_meanwhile, execute};
use super::unreadable;
use crate::cli::RollbackArgs;
use crate::{Backends, ui};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Exit;
use engine::backend::{self, Earlier};
use engine::deployment::Deployment;
use engine::plan::Plan;
use engine::release::unchecked;
use model::name::SystemName;
use std::sync::Arc;

/// # Errors
/// When there is no such system or no earlier revision of it.
pub fn run(args: &RollbackArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let systems = std::slice::from_ref(&args.system);
    let deployment = Deployment::load_recorded(ctx, &args.environment, systems)?.agreed(args.mutation.yes);
    unreadable::tell(&deployment);
    let environment = deployment.environment.clone();
    let target = (backends.open)(deployment, ctx)?;
    backend::check_names(target.as_ref())?;
    let system: SystemName = args.system.parse()?;
    let contribution = Arc::clone(&target).rollback(ctx, &system)?;
    let earlier = contribution.earlier;
    let plan = Plan::new(contribution.steps)?;
    if args.mutation.dry_run {
        return Rehearsal { environment: &environment, plan: &plan, skipped: &[] }.print(args.json.json);
    }
    let shown = plan.effect();
    let execution = execute(ctx, target.as_ref(), "rollback", environment.name.as_str(), plan, || {
        let anew = Plan::new(Arc::clone(&target).rollback(ctx, &system)?.steps)?;
        // The revision before may be another one by now than whoever asks for it has seen.
        if anew.effect() == shown { Ok(None) } else { Err(changed_meanwhile("rollback").into()) }
    })?;
    if args.json.json {
        ui::document(&execution.document(environment.name.as_str(), &[system.to_string()], &[]))?;
    }
    execution.print_failures();
    if !args.json.json && execution.exit() == Exit::Done {
        ui::result(&came(&system, earlier, target.newest_revision(&system)?))?;
    }
    Ok(execution.exit())
}

/// "`epoch` is back at revision 1, as revision 3". What is the newest already keeps its number.
fn came(system: &SystemName, earlier: Option<Earlier>, newest: Option<u64>) -> String {
    let Some(Earlier { number, checks }) = earlier else { return format!("`{system}` is back") };
    let newest = newest.filter(|newest| *newest != number).map(|newest| format!(", as revision {newest}"));
    let unproven = (checks == 0).then(|| format!("; {}", unchecked(system)));
    format!("`{system}` is back at revision {number}{}{}", newest.unwrap_or_default(), unproven.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_says_which_revision_it_is_and_what_proves_it() {
        let system = "epoch".parse().unwrap();
        let came = |checks, newest| came(&system, Some(Earlier { number: 1, checks }), Some(newest));
        assert_eq!(came(2, 3), "`epoch` is back at revision 1, as revision 3");
        assert_eq!(came(2, 1), "`epoch` is back at revision 1");
        let unproven = "no file declares a check of `epoch`, so it is ready and not proven";
        assert_eq!(came(0, 3), format!("`epoch` is back at revision 1, as revision 3; {unproven}"));
    }
}
