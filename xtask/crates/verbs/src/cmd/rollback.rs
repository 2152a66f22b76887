//! `rollback`: back to the previous revision that was healthy, gated and proven like any deploy.

use super::dry_run::Rehearsal;
use super::execute::{changed_meanwhile, execute};
use super::unreadable;
use crate::cli::RollbackArgs;
use crate::{Backends, ui};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Exit;
use engine::backend;
use engine::deployment::Deployment;
use engine::plan::Plan;
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
        ui::result(&format!("`{system}` is back at its previous revision"))?;
    }
    Ok(execution.exit())
}
