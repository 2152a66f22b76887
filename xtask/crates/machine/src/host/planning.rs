//! What a deploy starts here, and the steps that make it.

use super::build::{BuildWork, DesiredBinary};
use super::folder::PrepareWork;
use super::install::InstallWork;
use super::provision::Provision;
use crate::supervised::Supervised;
use crate::supervised::recipe::{Folder, Program, Recipe};
use crate::supervised::runtime::{BuildErrors, Planned};
use crate::supervised::steps::PORTS;
use base::ctx::Ctx;
use base::text::counted;
use engine::plan::{Action, Holds, Preview, Step, StepId};
use model::name::ServiceName;
use model::system::{HostRun, Service, Source, System};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tools::cargo;
use tools::python::{Runner, Script};

/// Only one cargo at a time can have the build directory.
const CARGO_LOCK: &str = "cargo";
/// Services may share a folder, which is prepared by one at a time.
const PREPARE_LOCK: &str = "prepare";
const BUILD: Action = Action::new("build");

/// What a system starts; the steps that fetch what it needs join the others.
pub(super) fn plan_system(
    core: &Arc<Supervised>,
    system: &System,
    provisions: &BTreeMap<ServiceName, Provision>,
    made: (&[DesiredBinary], &BTreeMap<ServiceName, Folder>),
    steps: &mut Vec<Step>,
) -> Vec<Planned> {
    let present: Vec<ServiceName> = provisions.keys().cloned().collect();
    let mut planned = Vec::new();
    for service in &system.services {
        let Some(provision) = provisions.get(&service.name) else { continue };
        let Some(program) = program(core, &service.name, provision, made) else { continue };
        let needs = match provision {
            Provision::Built { .. } => vec![StepId::new(BUILD)],
            Provision::Python { runner, script } => {
                let step = install_step(core, system, service, runner, script);
                let id = step.id.clone();
                steps.push(step);
                vec![id]
            }
            Provision::Folder { run, prepare, .. } => {
                let step = prepare_step(core, system, service, run, prepare.as_ref().zip(made.1.get(&service.name)));
                let ids = step.iter().map(|step| step.id.clone()).collect();
                steps.extend(step);
                ids
            }
            Provision::Native(_) | Provision::External(_) => Vec::new(),
        };
        let recipe = Recipe::new(service, program, &core.deployment.environment, &present);
        planned.push(Planned { service: service.clone(), recipe, needs });
    }
    planned
}

/// What is started for a service, given where it comes from; nothing when it runs without us, whose address is then
/// settled.
fn program(
    core: &Supervised,
    service: &ServiceName,
    provision: &Provision,
    (wanted, folders): (&[DesiredBinary], &BTreeMap<ServiceName, Folder>),
) -> Option<Program> {
    match provision {
        Provision::Built { .. } => {
            let wanted = wanted.iter().find(|wanted| wanted.service == *service)?;
            Some(Program::Artifact { key: wanted.key() })
        }
        Provision::Native(program) => Some(program.clone()),
        Provision::Folder { .. } => folders.get(service).cloned().map(Program::Folder),
        Provision::Python { runner, script } => {
            let (path, prefix) = runner.invocation(script);
            Some(Program::Native { path, prefix })
        }
        Provision::External(address) => {
            core.settle(BTreeMap::from([(service.clone(), *address)]));
            None
        }
    }
}

fn install_step(core: &Arc<Supervised>, system: &System, service: &Service, runner: &Runner, script: &Script) -> Step {
    let enable = match &service.source {
        Source::Image { host: Some(host), .. } => host.enable.clone(),
        _ => String::new(),
    };
    Step {
        id: Action::new("install").of(&service.name),
        title: format!("install {}", script.requirement),
        system: Some(system.name.to_string()),
        needs: vec![StepId::new(PORTS)],
        holds: Holds::Nothing,
        preview: runner.install(script).into_iter().map(Preview::Run).collect(),
        work: Box::new(InstallWork { core: Arc::clone(core), runner: runner.clone(), script: script.clone(), enable }),
    }
}

fn prepare_step(
    core: &Arc<Supervised>,
    system: &System,
    service: &Service,
    run: &HostRun,
    made: Option<(&PathBuf, &Folder)>,
) -> Option<Step> {
    let (program, folder) = made?;
    let work = PrepareWork {
        core: Arc::clone(core),
        service: service.name.clone(),
        folder: folder.clone(),
        program: program.clone(),
        reads: run.reads.clone(),
    };
    Some(Step {
        id: Action::new("prepare").of(&service.name),
        title: format!("prepare `{}` with `{}`", service.name, run.prepare.join(" ")),
        system: Some(system.name.to_string()),
        needs: vec![StepId::new(PORTS)],
        holds: Holds::Lock(PREPARE_LOCK),
        preview: work.preview(),
        work: Box::new(work),
    })
}

pub(super) fn build_step(
    core: &Arc<Supervised>,
    ctx: &Ctx,
    wanted: Vec<DesiredBinary>,
    errors: &BuildErrors,
) -> Option<Step> {
    if wanted.is_empty() {
        return None;
    }
    let work = BuildWork {
        core: Arc::clone(core),
        errors: Arc::clone(errors),
        cargo: cargo::command(&ctx.vars, &core.deployment.root),
        wanted,
    };
    Some(Step {
        id: StepId::new(BUILD),
        title: format!("build {} with cargo", counted(work.wanted.len(), "service", "services")),
        system: None,
        needs: vec![StepId::new(PORTS)],
        holds: Holds::Lock(CARGO_LOCK),
        preview: work.preview(),
        work: Box::new(work),
    })
}
