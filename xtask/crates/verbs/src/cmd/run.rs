//! `run`: a job, now, made of what is deployed; what it says comes as it says it.

use super::dry_run::Rehearsal;
use super::execute::{changed_meanwhile, execute_watched};
use super::unreadable;
use crate::Backends;
use crate::cli::RunArgs;
use crate::ui;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Exit;
use engine::deployment::Deployment;
use engine::job;
use engine::plan::Plan;
use std::sync::Arc;

/// # Errors
/// When there is no such job, or nothing that it is made of is deployed.
pub fn run(args: &RunArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let named: Vec<String> = args.job.split_once('/').map(|(system, _)| system.to_owned()).into_iter().collect();
    let deployment = Deployment::load_named(ctx, &args.environment, &named)?.agreed(args.mutation.yes);
    unreadable::tell(&deployment);
    let environment = deployment.environment.clone();
    let (system, job) = job::find(&deployment, &args.job)?;
    let (system, job) = (system.clone(), job.clone());
    let target = (backends.open)(deployment, ctx)?;
    let plan = Plan::new(Arc::clone(&target).run_job(ctx, &system, &job)?)?;
    if args.mutation.dry_run {
        return Rehearsal { environment: &environment, plan: &plan, skipped: &[] }.print(false);
    }
    let shown = plan.effect();
    // What the job says is the result of this command.
    let (names, watcher) = (("run", environment.name.as_str()), ui::aloud(ctx));
    let execution = execute_watched(ctx, target.as_ref(), names, watcher, plan, || {
        let anew = Plan::new(Arc::clone(&target).run_job(ctx, &system, &job)?)?;
        if anew.effect() == shown { Ok(None) } else { Err(changed_meanwhile("run").into()) }
    })?;
    execution.print_failures();
    Ok(execution.exit())
}
