//! `smoke`: the smoke contracts against what runs, at any time, without changing anything that matters.

use crate::Backends;
use crate::cli::ReadArgs;
use crate::ui;
use crate::ui::Paint;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use engine::backend::ServiceState;
use engine::deployment::Deployment;
use engine::smoke;
use engine::smoke::{CheckResult, Outcome, Surroundings};
use model::name::SystemName;
use model::system::System;
use serde_json::{Value, json};

/// # Errors
/// When nothing is deployed, or what is there cannot be read.
pub fn run(args: &ReadArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let deployment = Deployment::load(ctx, &args.environment, &args.systems.systems)?;
    let environment = deployment.environment.name.clone();
    let deploy = deployment.command("deploy", &[]);
    let systems: Vec<_> = deployment.systems().cloned().collect();
    let target = (backends.open)(deployment, ctx)?;
    let status = target.status(ctx)?;
    let deployed = |name: &SystemName| {
        let services = status.iter().filter(|system| system.name == *name).flat_map(|system| &system.services);
        services.into_iter().any(|service| service.state != ServiceState::Absent)
    };
    let (there, absent): (Vec<_>, Vec<_>) = systems.into_iter().partition(|system| deployed(&system.name));
    if there.is_empty() {
        let what = match args.systems.systems.as_slice() {
            [] => "nothing is".to_owned(),
            [system] => format!("`{system}` is not"),
            systems => format!("none of {} is", systems.join(", ")),
        };
        let cause = format!("{what} deployed in environment `{environment}`");
        return Err(Fault::failed("not-deployed", cause).hint(format!("`{deploy}` comes first")).into());
    }
    let check = |system: &System| {
        let surroundings = Surroundings {
            resolve: &|service| target.endpoint(service),
            deny: &|denied| target.deny(denied),
            stop: &|| ctx.interrupts.stopping(),
        };
        smoke::run(system, &surroundings, &mut |_| {})
    };
    let results: Vec<(SystemName, Vec<CheckResult>)> = std::thread::scope(|scope| {
        let runs: Vec<_> = there.iter().map(|system| scope.spawn(|| check(system))).collect();
        there.iter().zip(runs).map(|(system, run)| (system.name.clone(), run.join().unwrap_or_default())).collect()
    });
    if args.json.json {
        ui::document(&document(environment.as_str(), &results))?;
    } else {
        print(ctx, &results)?;
    }
    for system in
        there.iter().zip(&results).filter(|(system, (_, results))| smoke::verdict(&system.name, results).is_err())
    {
        if let Some(hop) = target.explain(system.0) {
            ui::print_fault(&hop);
        }
    }
    for system in &absent {
        ui::say(&format!("- {} skipped: it is not deployed", system.name));
    }
    Ok(match ctx.interrupts.first() {
        Some(signal) => Exit::Interrupted(signal),
        None if results.iter().all(|(name, results)| smoke::verdict(name, results).is_ok()) => Exit::Done,
        None => Exit::Failed,
    })
}

fn print(ctx: &Ctx, systems: &[(SystemName, Vec<CheckResult>)]) -> Result<()> {
    let paint = Paint::of_result(ctx);
    for (system, results) in systems {
        for result in results {
            let line = match &result.outcome {
                Outcome::Passed => format!("{} {system}: {}", paint.good("✓"), result.name),
                Outcome::Failed(why) => format!("{} {system}: {}\n    {why}", paint.bad("✗"), result.name),
                Outcome::Skipped(why) => format!("{} {system}: {} (skipped: {why})", paint.warn("-"), result.name),
            };
            ui::result(&line)?;
        }
    }
    Ok(())
}

fn document(environment: &str, systems: &[(SystemName, Vec<CheckResult>)]) -> Value {
    let check = |result: &CheckResult| {
        let (outcome, detail) = match &result.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(why) => ("failed", Some(why)),
            Outcome::Skipped(why) => ("skipped", Some(why)),
        };
        json!({
            "name": result.name, "service": result.service.local(), "outcome": outcome, "detail": detail,
            "attempts": result.attempts, "seconds": result.elapsed.as_secs_f64(),
        })
    };
    let system = |(name, results): &(SystemName, Vec<CheckResult>)| {
        let ok = smoke::verdict(name, results).is_ok();
        json!({"name": name.as_str(), "ok": ok, "checks": results.iter().map(check).collect::<Vec<_>>()})
    };
    json!({"schema": 1, "env": environment, "systems": systems.iter().map(system).collect::<Vec<_>>()})
}
