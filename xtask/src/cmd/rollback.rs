//! `rollback`: back to the previous revision that was healthy, gated and proven like any deploy.

use super::dry_run::Rehearsal;
use super::execute::execute;
use crate::cli::RollbackArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use crate::plan::Plan;
use crate::target::{self, Deployment};
use crate::ui;
use anyhow::Result;
use std::sync::Arc;

/// # Errors
/// When there is no such system or no earlier revision of it.
pub fn run(args: &RollbackArgs, ctx: &Ctx) -> Result<Exit> {
    let deployment = Deployment::load(ctx, &args.environment, &[])?.agreed(args.mutation.yes);
    let system = deployment.system(&args.system)?.clone();
    let environment = deployment.environment.clone();
    let target = target::of(deployment, ctx)?;
    let contribution = Arc::clone(&target).rollback(ctx, &system)?;
    let plan = Plan::new(contribution.steps)?;
    if args.mutation.dry_run {
        return Rehearsal { environment: &environment, plan: &plan, skipped: &[] }.print(args.json.json);
    }
    let execution = execute(ctx, target.as_ref(), "rollback", environment.name.as_str(), &plan)?;
    if args.json.json {
        ui::document(&execution.document(environment.name.as_str(), &[system.name.to_string()], &[]))?;
    }
    execution.print_failures();
    if !args.json.json && execution.exit() == Exit::Done {
        ui::result(&format!("`{}` is back at its previous revision", system.name))?;
    }
    Ok(execution.exit())
}
