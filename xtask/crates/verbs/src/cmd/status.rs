//! `status`: what runs where, at which version, how healthy.

use super::unreadable;
use crate::cli::ReadArgs;
use crate::{Backends, ui};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Exit;
use base::table;
use engine::backend::{PortStatus, ServiceStatus, SystemStatus};
use engine::deployment::Deployment;
use engine::job::{JobStatus, LastRun};
use model::environment::Ports;
use model::system::TargetKind;
use serde_json::json;

/// # Errors
/// When what is there cannot be read.
pub fn run(args: &ReadArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let deployment = Deployment::load_recorded(ctx, &args.environment, &args.systems.systems)?;
    let errors = unreadable::tell(&deployment);
    let environment = deployment.environment.clone();
    let target = (backends.open)(deployment, ctx)?;
    engine::backend::check_names(target.as_ref())?;
    let systems = target.status(ctx)?;
    if args.json.json {
        let list: Vec<_> = systems.iter().map(|system| system.to_json(target.deployment())).collect();
        let target = target_word(environment.target);
        let environment = environment.name.as_str();
        ui::document(&json!({"schema": 1, "env": environment, "target": target, "errors": errors, "systems": list}))?;
    } else {
        ui::result(&text(&systems, target.deployment()))?;
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

fn text(systems: &[SystemStatus], deployment: &Deployment) -> String {
    let head = ["SYSTEM", "SERVICE", "STATE", "READY", "RESTARTS", "VERSION", "ADDRESS", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for system in systems {
        for service in &system.services {
            let place = service.url.clone().or(service.via.clone()).unwrap_or_default();
            rows.push(vec![
                system.name.to_string(),
                service.name.local().to_owned(),
                service.state.word().to_owned(),
                format!("{}/{}", service.ready, service.want),
                service.restarts.to_string(),
                service.version.clone().unwrap_or_default(),
                place,
                remarks(system, service, deployment),
            ]);
            for port in &service.ports {
                let place = port.address.clone().unwrap_or_default();
                let remarks = port_remark(port, deployment).unwrap_or_default().to_owned();
                let cells = [String::new(), port_name(service, port), port.speaks.to_string()];
                rows.push([&cells[..], &[const { String::new() }; 3], &[place, remarks]].concat());
            }
        }
    }
    let jobs = jobs(systems);
    if jobs.is_empty() { table::layout(&rows) } else { format!("{}\n\n{}", table::layout(&rows), table::layout(&jobs)) }
}

/// The jobs, where there are any.
fn jobs(systems: &[SystemStatus]) -> Vec<Vec<String>> {
    let row = |system: &SystemStatus, job: &JobStatus| {
        let last = job.last.as_ref().map_or("has not run".to_owned(), LastRun::words);
        let last = if job.runs { format!("runs; before: {last}") } else { last };
        let when = job.when.clone().unwrap_or_else(|| "no longer declared".to_owned());
        vec![system.name.to_string(), job.name.to_string(), when, last]
    };
    let rows: Vec<_> = systems.iter().flat_map(|system| system.jobs.iter().map(move |job| row(system, job))).collect();
    let head = ["SYSTEM", "JOB", "RUNS", "LAST RUN"].map(str::to_owned).to_vec();
    if rows.is_empty() { rows } else { std::iter::once(head).chain(rows).collect() }
}

/// Why it is on another port than the declared one, where that is not as was asked for.
pub(super) fn port_note<'s>(service: &'s ServiceStatus, deployment: &Deployment) -> Option<&'s str> {
    service.port_note.as_deref().filter(|_| deployment.environment.ports != Ports::Free)
}

/// What a further port is called among services: `api.grpc`.
pub(super) fn port_name(service: &ServiceStatus, port: &PortStatus) -> String {
    format!("{}.{}", service.name.local(), port.name)
}

/// Why a further port is elsewhere or nowhere, where that is not as was asked for.
pub(super) fn port_remark<'p>(port: &'p PortStatus, deployment: &Deployment) -> Option<&'p str> {
    let is_noted = port.address.is_none() || deployment.environment.ports != Ports::Free;
    port.detail.as_deref().filter(|_| is_noted)
}

/// Why a service is not as it should be, and that the files do not ask for it any more.
fn remarks(system: &SystemStatus, service: &ServiceStatus, deployment: &Deployment) -> String {
    let undeclared = (deployment.declares(&system.name, &service.name) == Some(false)).then_some("no longer declared");
    let noted = port_note(service, deployment);
    let all: Vec<&str> = service.detail.as_deref().into_iter().chain(noted).chain(undeclared).collect();
    all.join("; ")
}
