//! `deploy`: from whatever is to running and proven.

use super::dry_run::Rehearsal;
use super::execute::{Execution, execute};
use crate::check;
use crate::cli::DeployArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use crate::plan::Plan;
use crate::target::{self, Deployment, ServiceState, SkippedSystem, Target};
use crate::ui::{self, Paint, table};
use anyhow::Result;
use std::sync::Arc;

/// # Errors
/// When nothing could be tried; a step that failed is reported and in the exit code.
pub fn run(args: &DeployArgs, ctx: &Ctx) -> Result<Exit> {
    let mut deployment = Deployment::load(ctx, &args.environment, &args.systems.systems)?.agreed(args.mutation.yes);
    deployment.consent.confirm.clone_from(&args.confirm);
    let environment = deployment.environment.clone();
    let systems: Vec<String> = deployment.scope.systems.iter().map(ToString::to_string).collect();
    let target = target::of(deployment, ctx)?;
    let contribution = Arc::clone(&target).deploy(ctx, args.verify)?;
    let plan = Plan::new(contribution.steps)?;
    if args.mutation.dry_run {
        let rehearsal = Rehearsal { environment: &environment, plan: &plan, skipped: &contribution.skipped };
        return rehearsal.print(args.json.json);
    }
    if contribution.builds {
        preflight(args, ctx)?;
    }
    let execution = execute(ctx, target.as_ref(), "deploy", environment.name.as_str(), &plan)?;
    if args.json.json {
        ui::document(&execution.document(environment.name.as_str(), &systems, &contribution.skipped))?;
    }
    print_skipped(ctx, &contribution.skipped);
    execution.print_failures();
    if !args.json.json && execution.exit() == Exit::Done {
        print_outcome(ctx, target.as_ref(), &execution)?;
    }
    Ok(execution.exit())
}

/// What a build needs of this machine is looked at before anything is begun, by the checks that `doctor` has.
fn preflight(args: &DeployArgs, ctx: &Ctx) -> Result<()> {
    let scene = check::Scene::new(ctx, check::Subject::load(ctx, &args.environment)?);
    let failed = check::preflight(&scene);
    if failed.is_empty() { Ok(()) } else { Err(check::fault(&failed).into()) }
}

fn print_skipped(ctx: &Ctx, skipped: &[SkippedSystem]) {
    let paint = Paint::new(ctx);
    for system in skipped {
        ui::say(&format!("{} {} skipped: {}", paint.warn("-"), system.name, system.reason));
    }
}

/// Where everything is now, and what to do with it.
fn print_outcome(ctx: &Ctx, target: &dyn Target, execution: &Execution) -> Result<()> {
    let word = match execution.result() {
        _ if execution.ends.is_empty() => return ui::result("nothing of it can run here, so nothing was deployed"),
        "unchanged" => "nothing changed; everything runs as it should",
        _ => "deployed and proven",
    };
    let mut rows = Vec::new();
    for system in target.status(ctx)? {
        for service in system.services {
            if service.state != ServiceState::Absent {
                let place = service.url.or(service.via).unwrap_or_default();
                rows.push(vec![service.name.to_string(), service.state.word().to_owned(), place]);
            }
        }
    }
    ui::result(&format!("{word}\n{}", table::layout(&rows)))
}
