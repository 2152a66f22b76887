//! `status`: what runs where, at which version, how healthy.

use crate::cli::ReadArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use crate::spec::system::TargetKind;
use crate::target::{self, Deployment, SystemStatus};
use crate::ui::{self, table};
use anyhow::Result;
use serde_json::json;

/// # Errors
/// When what is there cannot be read.
pub fn run(args: &ReadArgs, ctx: &Ctx) -> Result<Exit> {
    let deployment = Deployment::load(ctx, &args.environment, &args.systems.systems)?;
    let environment = deployment.environment.clone();
    let systems = target::of(deployment, ctx)?.status(ctx)?;
    if args.json.json {
        let list: Vec<_> = systems.iter().map(SystemStatus::to_json).collect();
        let target = target_word(environment.target);
        ui::document(&json!({"schema": 1, "env": environment.name.as_str(), "target": target, "systems": list}))?;
    } else {
        ui::result(&text(&systems))?;
    }
    Ok(Exit::Done)
}

fn target_word(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Host => "host",
        TargetKind::Containers => "containers",
        TargetKind::Kubernetes => "kubernetes",
        TargetKind::Eks => "eks",
    }
}

fn text(systems: &[SystemStatus]) -> String {
    let head = ["SYSTEM", "SERVICE", "STATE", "READY", "RESTARTS", "VERSION", "ADDRESS", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for system in systems {
        for service in &system.services {
            let place = service.url.clone().or(service.via.clone()).unwrap_or_default();
            rows.push(vec![
                system.name.to_string(),
                service.name.to_string(),
                service.state.word().to_owned(),
                format!("{}/{}", service.ready, service.want),
                service.restarts.to_string(),
                service.version.clone().unwrap_or_default(),
                place,
                service.detail.clone().unwrap_or_default(),
            ]);
        }
    }
    table::layout(&rows)
}
