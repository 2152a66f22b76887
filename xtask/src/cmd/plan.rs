//! `plan`: what a deploy would change, and why. Changes nothing.

use crate::cli::ReadArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use crate::target::{self, Deployment, SystemChanges};
use crate::ui;
use anyhow::Result;
use serde_json::{Value, json};

/// # Errors
/// When what is there cannot be read.
pub fn run(args: &ReadArgs, ctx: &Ctx) -> Result<Exit> {
    let deployment = Deployment::load(ctx, &args.environment, &args.systems.systems)?;
    let environment = deployment.environment.name.clone();
    let changes = target::of(deployment, ctx)?.changes(ctx)?;
    if args.json.json {
        let systems: Vec<Value> = changes.iter().map(document).collect();
        ui::document(&json!({"schema": 1, "env": environment.as_str(), "systems": systems}))?;
    } else {
        ui::result(&changes.iter().map(text).collect::<Vec<_>>().join("\n"))?;
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
