//! `plan`: what a deploy would change, and why. Changes nothing.

use super::unreadable;
use crate::cli::ReadArgs;
use crate::{Backends, ui};
use anyhow::{Result, anyhow};
use base::ctx::Ctx;
use base::error::Exit;
use engine::backend::{MovedTag, SystemChanges, Tags};
use engine::deployment::Deployment;
use engine::reconcile::{Changes, DataPolicy, Order};
use serde_json::{Value, json};
use std::sync::Arc;

/// # Errors
/// When what is there cannot be read.
pub fn run(args: &ReadArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let deployment = Deployment::load_named(ctx, &args.environment, &args.systems.systems)?;
    unreadable::tell(&deployment);
    let environment = deployment.environment.name.clone();
    let target = (backends.open)(deployment, ctx)?;
    // Each takes seconds where the platform is elsewhere, and neither waits for the other.
    let (platform, changes, tags) = std::thread::scope(|scope| {
        let platform = scope.spawn(|| target.platform_plan());
        let tags = scope.spawn(|| target.tags(ctx));
        let changes = Arc::clone(&target).changes(ctx);
        (platform.join(), changes, tags.join().unwrap_or_default())
    });
    let platform = platform.map_err(|_| anyhow!("infrastructure planning panicked"))??;
    let changes = changes?;
    let compared = target.reconcile()?;
    tell_unknown(&tags);
    if args.json.json {
        let systems: Vec<Value> = changes.iter().map(document).collect();
        let mut document = json!({"schema": 1, "env": environment.as_str(), "systems": systems});
        let undeclared = compared.document();
        (document["removed"], document["left"]) = (undeclared["removed"].clone(), undeclared["left"].clone());
        if !tags.moved.is_empty() {
            let tag = |tag: &MovedTag| json!({"image": tag.image, "tag": tag.tag, "from": tag.from, "to": tag.to});
            document["moved"] = tags.moved.iter().map(tag).collect();
        }
        if let Some(platform) = platform {
            document["infrastructure"] = platform.infrastructure;
            document["estimate"] = platform.estimate;
        }
        ui::document(&document)?;
    } else {
        let systems = changes.iter().map(text);
        let platform = platform.into_iter().map(|platform| platform.text);
        let all: Vec<String> = platform.chain(systems).chain(undeclared(&compared)).chain(moved(&tags)).collect();
        ui::result(&all.join("\n"))?;
    }
    Ok(Exit::Done)
}

/// A line for each tag that has moved.
pub(super) fn moved(tags: &Tags) -> impl Iterator<Item = String> {
    tags.moved.iter().map(|tag| format!("{tag}; `cargo xtask build --update-pins` pins that"))
}

/// Says of which tags it is not known whether they have.
pub(super) fn tell_unknown(tags: &Tags) {
    for unknown in &tags.unknown {
        ui::say(&format!("whether its tag has moved is not known of {unknown}"));
    }
}

/// What would be removed and why, and what nobody declares and would stay.
fn undeclared(compared: &Changes) -> Vec<String> {
    let removed = compared.removals().map(|(unit, data, order, why)| {
        let stops = match order {
            Order::Before(units) => {
                let units: Vec<String> = units.iter().map(|unit| format!("`{unit}`")).collect();
                format!("; it stops before {} starts, since they share what is stored", units.join(", "))
            }
            Order::Free | Order::After(_) => String::new(),
        };
        let data = match data {
            DataPolicy::None => String::new(),
            DataPolicy::Keep(stored) => {
                let size = stored.size.map(|bytes| format!(" ({})", base::text::bytes(bytes))).unwrap_or_default();
                format!("; what it stored is kept{size}")
            }
            DataPolicy::Hand { to } => format!("; what it stored goes to `{to}`"),
        };
        format!("{unit} would be removed: {why}{data}{stops}")
    });
    let left = compared.left.iter().map(|left| format!("{} would be left: {}", left.unit, left.reason));
    removed.chain(left).collect()
}

fn result(changes: &SystemChanges) -> &'static str {
    match (&changes.skipped, changes.services.is_empty() && changes.jobs.is_empty()) {
        (Some(_), _) => "skipped",
        (None, true) => "unchanged",
        (None, false) => "changes",
    }
}

fn document(changes: &SystemChanges) -> Value {
    let service = |(name, why): &(model::name::ServiceName, Vec<String>)| json!({"name": name.local(), "why": why});
    let job = |(name, why): &(model::name::JobName, String)| json!({"name": name.as_str(), "why": why});
    json!({
        "name": changes.name.as_str(), "jobs": changes.jobs.iter().map(job).collect::<Vec<_>>(), "result": result(changes), "reason": changes.skipped,
        "services": changes.services.iter().map(service).collect::<Vec<_>>(), "note": changes.note,
    })
}

fn text(changes: &SystemChanges) -> String {
    let reason = changes.skipped.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut lines = vec![format!("{} {}{reason}", changes.name, result(changes))];
    for (service, why) in &changes.services {
        lines.push(format!("  {service} would change:"));
        lines.extend(why.iter().map(|reason| format!("    {reason}")));
    }
    lines.extend(changes.jobs.iter().map(|(job, why)| format!("  the job {job} would run {why}")));
    lines.extend(changes.note.iter().map(|note| format!("  {note}")));
    lines.join("\n")
}
