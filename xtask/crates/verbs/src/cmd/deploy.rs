//! `deploy`: from whatever is to running and proven.

use super::dry_run::Rehearsal;
use super::execute::{Execution, execute};
use super::plan;
use super::status::{port_name, port_note, port_remark};
use super::unreadable;

use crate::Backends;
use crate::cli::DeployArgs;
use crate::ui;
use crate::ui::Paint;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::table;
use engine::backend::{ServiceState, SkippedSystem, Target};
use engine::deployment::Deployment;
use engine::plan::Plan;
use engine::reconcile::Changes;
use engine::secrets::MissingSecret;
use model::name::SystemName;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// # Errors
/// When nothing could be tried; a step that failed is reported and in the exit code.
pub fn run(args: &DeployArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let systems = &args.systems.systems;
    let mut deployment = Deployment::load_named(ctx, &args.environment, systems)?.agreed(args.mutation.yes);
    unreadable::tell(&deployment);
    engine::identity::check_name(&deployment.root, &deployment.environment)?;
    deployment.consent.confirm.clone_from(&args.confirm);
    for name in &args.move_state {
        let system = deployment.system(name)?.name.clone();
        deployment.consent.move_state.push(system);
    }
    if !args.mutation.dry_run && !args.move_state.is_empty() && !ui::confirm(ctx, args.mutation.yes, &moving(args))? {
        return Ok(Exit::Failed);
    }
    let environment = deployment.environment.clone();
    let mut systems: Vec<String> = deployment.scope.systems.iter().map(ToString::to_string).collect();
    let target = (backends.open)(deployment, ctx)?;
    let known = target.recorded()?;
    let mut contribution = Arc::clone(&target).deploy(ctx, args.verify)?;
    let plan = Plan::new(std::mem::take(&mut contribution.steps))?;
    if let Some(fault) = impossible(target.as_ref(), &plan, &contribution.skipped) {
        return Err(fault.into());
    }
    if args.mutation.dry_run {
        let missing = contribution.missing.iter();
        missing.for_each(|missing| ui::say(&format!("a deploy needs the secret {}", missing.told())));
        let rehearsal = Rehearsal { environment: &environment, plan: &plan, skipped: &contribution.skipped };
        return rehearsal.print(args.json.json);
    }
    if let Some(fault) = engine::secrets::fault(&contribution.missing, &environment, "deploy") {
        if args.json.json {
            ui::document(&not_begun(environment.name.as_str(), &contribution.missing, &fault))?;
        }
        return Err(fault.into());
    }
    if contribution.builds {
        preflight(args, ctx, backends)?;
    }
    let execution = execute(ctx, target.as_ref(), "deploy", environment.name.as_str(), plan, || {
        if target.recorded()? == known {
            return Ok(None);
        }
        contribution = Arc::clone(&target).deploy(ctx, args.verify)?;
        Plan::new(std::mem::take(&mut contribution.steps)).map(Some)
    })?;
    let removed = removed(target.as_ref(), &contribution.changes);
    systems.extend(removed.iter().map(ToString::to_string));
    if args.json.json {
        let mut document = execution.document(environment.name.as_str(), &systems, &contribution.skipped);
        tell_removed(&mut document, &removed);
        ui::document(&document)?;
    }
    print_skipped(ctx, &contribution.skipped);
    print_left(ctx, &contribution.changes);
    if args.verify {
        let tags = target.tags(ctx);
        plan::moved(&tags).for_each(|line| ui::say(&line));
        plan::tell_unknown(&tags);
    }
    execution.print_failures();
    if !args.json.json && execution.exit() == Exit::Done {
        print_outcome(ctx, target.as_ref(), &execution)?;
    }
    Ok(execution.exit())
}

/// Why there is nothing to do for the systems that were named: none of them can run here.
fn impossible(target: &dyn Target, plan: &Plan, skipped: &[SkippedSystem]) -> Option<Fault> {
    let deployment = target.deployment();
    if deployment.scope.everything || skipped.is_empty() || !plan.steps().is_empty() {
        return None;
    }
    let environment = &deployment.environment.name;
    let why = |system: &SkippedSystem| {
        format!("`{}` cannot run in environment `{environment}`: {}", system.name, system.reason)
    };
    let cause = skipped.iter().map(why).collect::<Vec<_>>().join("\n");
    let others = model::environment_names(&deployment.root).unwrap_or_default();
    let others = others.iter().filter(|name| *name != environment).map(|name| format!("`{name}`"));
    let hint = format!("choose another environment with `--env`: {}", others.collect::<Vec<_>>().join(", "));
    Some(Fault::could_not_run("cannot-run-here", cause).hint(hint))
}

/// The document of a deploy that lacks secrets, in the shape of one that was begun.
fn not_begun(environment: &str, missing: &[MissingSecret], fault: &Fault) -> Value {
    let mut systems: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    missing.iter().for_each(|missing| systems.entry(missing.system.as_str()).or_default().push(missing.told()));
    let system = |(name, why): (&str, Vec<String>)| json!({"name": name, "result": "failed", "reason": why.join("; ")});
    json!({
        "schema": 1, "run": null, "env": environment, "result": "failed",
        "systems": systems.into_iter().map(system).collect::<Vec<_>>(), "steps": [],
        "failure": {"step": null, "code": fault.code, "cause": fault.cause, "hint": fault.hint},
    })
}

fn moving(args: &DeployArgs) -> String {
    let names: Vec<String> = args.move_state.iter().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    format!("where {names} can keep state elsewhere, it begins with none: what is stored stays where it is, unused")
}

/// What a build needs of this machine is looked at before anything is begun, by the checks that `doctor` has.
fn preflight(args: &DeployArgs, ctx: &Ctx, backends: &Backends) -> Result<()> {
    let scene = doctor::Scene::new(ctx, doctor::Subject::load(ctx, &args.environment)?);
    let failed = doctor::preflight(&scene, backends.checks);
    if failed.is_empty() { Ok(()) } else { Err(doctor::fault(&args.environment.name, &failed).into()) }
}

/// The systems that no file declares and of which something is removed.
fn removed(target: &dyn Target, changes: &Changes) -> BTreeSet<SystemName> {
    let systems = changes.removals().map(|(unit, ..)| unit.system.clone());
    systems.filter(|system| target.deployment().declares_system(system) == Some(false)).collect()
}

/// Of those it is not that they were deployed.
fn tell_removed(document: &mut Value, removed: &BTreeSet<SystemName>) {
    for system in document["systems"].as_array_mut().into_iter().flatten() {
        let gone = removed.iter().any(|name| system["name"] == name.as_str());
        if gone && system["result"] == "deployed" {
            system["result"] = "removed".into();
        }
    }
}

/// What no file declares and is there all the same.
fn print_left(ctx: &Ctx, changes: &Changes) {
    let paint = Paint::new(ctx);
    for left in &changes.left {
        ui::say(&format!("{} {} is left: {}", paint.warn("-"), left.unit, left.reason));
    }
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
        _ if execution.ends.is_empty() => {
            return ui::result("no selected system can run in this environment, so nothing was deployed");
        }
        "unchanged" => "nothing changed; everything runs as it should",
        _ => "deployed and proven",
    };
    let mut rows = Vec::new();
    for system in target.status(ctx)? {
        for service in system.services {
            if service.state != ServiceState::Absent {
                let note = port_note(&service, target.deployment()).unwrap_or_default().to_owned();
                let place = service.url.clone().or(service.via.clone()).unwrap_or_default();
                rows.push(vec![service.name.to_string(), service.state.word().to_owned(), place, note]);
                rows.extend(service.ports.iter().filter(|port| port.public).map(|port| {
                    let note = port_remark(port, target.deployment()).unwrap_or_default().to_owned();
                    let place = port.address.clone().unwrap_or_default();
                    vec![port_name(&service, port), port.speaks.to_string(), place, note]
                }));
            }
        }
    }
    ui::result(&format!("{word}\n{}", table::layout(&rows)))
}
