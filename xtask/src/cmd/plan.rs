//! `plan`: what a deploy would change, and why. Changes nothing.

use crate::cli::ReadArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use crate::target::{self, Deployment, SystemChanges};
use crate::ui;
use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use std::sync::Arc;

/// # Errors
/// When what is there cannot be read.
pub fn run(args: &ReadArgs, ctx: &Ctx) -> Result<Exit> {
    let deployment = Deployment::load(ctx, &args.environment, &args.systems.systems)?;
    let environment = deployment.environment.name.clone();
    let target = target::of(deployment, ctx)?;
    // Each takes seconds where the platform is elsewhere, and neither waits for the other.
    let (outlook, changes) = std::thread::scope(|scope| {
        let outlook = scope.spawn(|| target.outlook());
        let changes = Arc::clone(&target).changes(ctx);
        (outlook.join(), changes)
    });
    let outlook = outlook.map_err(|_| anyhow!("planning the platform came to no end"))??;
    let changes = changes?;
    if args.json.json {
        let systems: Vec<Value> = changes.iter().map(document).collect();
        let mut document = json!({"schema": 1, "env": environment.as_str(), "systems": systems});
        if let Some(outlook) = outlook {
            document["infrastructure"] = outlook.summary.document();
            document["estimate"] = outlook.document();
        }
        ui::document(&document)?;
    } else {
        let systems = changes.iter().map(text);
        let all: Vec<String> = outlook.iter().map(ToString::to_string).chain(systems).collect();
        ui::result(&all.join("\n"))?;
    }
    Ok(Exit::Done)
}

fn result(changes: &SystemChanges) -> &'static str {
    match (&changes.skipped, changes.services.is_empty()) {
        (Some(_), _) => "skipped",
        (None, true) => "unchanged",
        (None, false) => "changes",
    }
}

fn document(changes: &SystemChanges) -> Value {
    let service =
        |(name, why): &(crate::spec::name::ServiceName, Vec<String>)| json!({"name": name.as_str(), "why": why});
    json!({
        "name": changes.name.as_str(), "result": result(changes), "reason": changes.skipped,
        "services": changes.services.iter().map(service).collect::<Vec<_>>(),
    })
}

fn text(changes: &SystemChanges) -> String {
    let reason = changes.skipped.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut lines = vec![format!("{} {}{reason}", changes.name, result(changes))];
    for (service, why) in &changes.services {
        lines.push(format!("  {service} would change:"));
        lines.extend(why.iter().map(|reason| format!("    {reason}")));
    }
    lines.join("\n")
}
