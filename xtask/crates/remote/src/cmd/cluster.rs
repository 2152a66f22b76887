//! `cluster up|down`: a Kubernetes cluster on this machine, for those who have none.
//!
//! Limits: it is made by kind, k3d or minikube, none of which could run where this was written: what they are told is
//! checked against what they take, and what is installed in the cluster was tried in another one.

mod addons;
mod made;
mod steps;

use self::made::Made;
use self::steps::Site;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use doctor::{Scene, Subject};
use engine::home::Home;
use engine::plan::Plan;
use verbs::cli::{ClusterArgs, ClusterVerb};
use verbs::cmd::dry_run::Rehearsal;
use verbs::cmd::execute::execute_here;

use anyhow::Result;
use model::container::EngineKind;
use model::environment::Environment;
use model::system::TargetKind;
use remote_tools::local_cluster::Maker;
use std::sync::Arc;
use tools::oci;
use verbs::ui;

/// # Errors
/// When it cannot be done.
pub(crate) fn run(args: &ClusterArgs, ctx: &Ctx) -> Result<Exit> {
    let named = &args.environment;
    let environment = named.read(&ctx.root).map_err(Fault::from)?;
    if environment.target != TargetKind::Kubernetes {
        let cause = format!("environment `{}` deploys to `{}`, not to a cluster", environment.name, environment.target);
        return Err(Fault::usage(cause).hint("name one that does: `--env cluster`").into());
    }
    match args.verb {
        ClusterVerb::Up => up(args, ctx, environment),
        ClusterVerb::Down => down(args, ctx, environment),
    }
}

fn up(args: &ClusterArgs, ctx: &Ctx, environment: Environment) -> Result<Exit> {
    let made = match made::noted(&ctx.root, &environment)? {
        Some(made) => made,
        None => choose(args, ctx, &environment)?,
    };
    let site = site(ctx, environment, made)?;
    let plan = Plan::new(steps::up(&site)?)?;
    if args.mutation.dry_run {
        return Rehearsal { environment: &site.environment, plan: &plan, skipped: &[] }.print(false);
    }
    let execution = execute_here(ctx, &site.home, "cluster up", site.environment.name.as_str(), plan)?;
    execution.print_failures();
    if execution.exit() == Exit::Done {
        let next = site.environment.command("deploy");
        ui::result(&format!(
            "environment `{}` now uses `{}`; next: {next}",
            site.environment.name,
            site.made.context()
        ))?;
    }
    Ok(execution.exit())
}

fn down(args: &ClusterArgs, ctx: &Ctx, environment: Environment) -> Result<Exit> {
    let Some(made) = made::noted(&ctx.root, &environment)? else {
        ui::result(&format!(
            "`cluster up` has made no cluster for environment `{}`, so none is removed",
            environment.name
        ))?;
        return Ok(Exit::Done);
    };
    let site = site(ctx, environment, made)?;
    let plan = Plan::new(steps::down(&site))?;
    if args.mutation.dry_run {
        return Rehearsal { environment: &site.environment, plan: &plan, skipped: &[] }.print(false);
    }
    let about = format!("this removes the {} cluster `{}` with everything in it", site.made.maker, site.made.name);
    if !ui::confirm(ctx, args.mutation.yes, &about)? {
        ui::say("nothing was removed");
        return Ok(Exit::Failed);
    }
    let execution = execute_here(ctx, &site.home, "cluster down", site.environment.name.as_str(), plan)?;
    execution.print_failures();
    Ok(execution.exit())
}

fn site(ctx: &Ctx, environment: Environment, made: Made) -> Result<Arc<Site>> {
    let images = model::load(&ctx.root).map_err(Fault::from)?.images;
    let home = Home::new(&ctx.root, &environment.name);
    Ok(Arc::new(Site { root: ctx.root.clone(), home, environment, images, made }))
}

/// What the environment's context names, or the first of those that are installed.
fn choose(args: &ClusterArgs, ctx: &Ctx, environment: &Environment) -> Result<Made> {
    let named = made::named(environment)?;
    let (maker, name) = match named {
        Some((maker, name)) if ctx.proc.find(maker.as_str()).is_some() => (maker, name),
        Some((maker, _)) => {
            let context = environment.cluster.context.as_deref().unwrap_or_default();
            let cause = format!("the context `{context}` is one of {maker}, which is not installed, or not on PATH");
            let hint = format!("`{}` says how to install it", environment.command("doctor"));
            return Err(Fault::could_not_run("tool-missing", cause).hint(hint).into());
        }
        None => (installed(args, ctx)?, made::name(environment)),
    };
    let engine = match maker {
        Maker::K3d => EngineKind::Docker,
        // For `--dry-run` the one that would be asked first will do.
        _ if args.mutation.dry_run => {
            oci::candidates(environment.engine).first().copied().unwrap_or(EngineKind::Docker)
        }
        _ => oci::Lazy::new(environment.engine).get(&ctx.proc)?.engine.kind,
    };
    Ok(Made::new(maker, name, engine)?)
}

/// One that is recent enough, as `doctor` has it.
fn installed(args: &ClusterArgs, ctx: &Ctx) -> Result<Maker, Fault> {
    let subject = Subject::load(ctx, &args.environment).map_err(|error| Fault::of(&error))?;
    let finding = doctor::tool(&Scene::new(ctx, subject), "cluster");
    let finding =
        finding.ok_or_else(|| Fault::could_not_run("tool-missing", "`deploy/tools.toml` has no `[cluster]`"))?;
    let found = finding.found.as_deref().unwrap_or_default();
    let maker = Maker::ALL.into_iter().find(|maker| found.starts_with(maker.as_str()));
    if let (Some(maker), doctor::Outcome::Pass) = (maker, finding.outcome) {
        return Ok(maker);
    }
    let want = finding.want.unwrap_or_default();
    let cause = match found.is_empty() {
        true => format!("no program that makes clusters is installed: {want}"),
        false => format!("{found} is too old: {want}"),
    };
    let fixes: Vec<_> = finding.fix.iter().map(|fix| format!("`{fix}`")).collect();
    Err(Fault::could_not_run("tool-missing", cause).hint(fixes.join(", then ")))
}
