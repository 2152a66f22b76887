//! Where the program of each service comes from on this machine, and which systems cannot run here for want of one.
//! Looks at PATH and at what already runs; changes nothing.

use super::choice::Choice;
use super::folder;
use crate::supervised::Supervised;
use crate::supervised::recipe::Program;
use base::http;
use base::http::{Request, Url};
use model::name::ServiceName;
use model::system::{HostProgram, HostRun, Presence, Service, Source, System, TargetKind};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tools::python::{Runner, Script};

/// How a service is had here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Provision {
    /// Built from its crate.
    Built {
        name: String,
    },
    Native(Program),
    /// Run from a folder of the repository, which is prepared first by the second program, if by any.
    Folder {
        run: HostRun,
        program: PathBuf,
        prepare: Option<PathBuf>,
    },
    /// A Python package that is fetched first.
    Python {
        runner: Runner,
        script: Script,
    },
    /// An equivalent runs on this machine already and is used as it is.
    External(SocketAddr),
}

/// What a system has, and what there is beside it.
#[derive(Default)]
pub(super) struct Provisions {
    /// What its services come from, those that are absent left out.
    pub(super) found: BTreeMap<ServiceName, Provision>,
    /// Optional services that it could have here and does without, since it was decided so.
    pub(super) unused: Vec<ServiceName>,
}

/// Why a system is not deployed.
pub(super) enum Obstacle {
    /// It cannot run here.
    Skipped(String),
    /// It was deployed with a service that it cannot have any more.
    Lost { service: ServiceName, reason: String },
}

/// `decided` says of the optional services which ones the system has; where it says nothing, it has what can be had.
/// `used` is the program that a service was last started with.
pub(super) fn of_system(
    system: &System,
    decided: &Choice,
    core: &Supervised,
    used: &dyn Fn(&ServiceName) -> Option<PathBuf>,
) -> Result<Provisions, Obstacle> {
    if let Some(reason) = system.cannot_share(TargetKind::Host, false) {
        return Err(Obstacle::Skipped(reason));
    }
    let mut provisions = Provisions::default();
    for service in &system.services {
        // One process is all that a laptop runs of each service, so what only several replicas need is absent.
        if !service.targets.contains(&TargetKind::Host) || service.presence == Presence::WhenReplicated {
            continue;
        }
        let optional = service.presence == Presence::WhenAvailable;
        let decided = decided.get(&service.name).filter(|_| optional);
        let found = match service.without_file(TargetKind::Host) {
            Some(reason) => Err(reason),
            None => of_service(service, core, used),
        };
        match (found, decided) {
            (Ok(_), Some(false)) => provisions.unused.push(service.name.clone()),
            (Ok(provision), _) => {
                provisions.found.insert(service.name.clone(), provision);
            }
            (Err(reason), Some(true)) => return Err(Obstacle::Lost { service: service.name.clone(), reason }),
            (Err(_), _) if optional => {}
            (Err(reason), _) => return Err(Obstacle::Skipped(reason)),
        }
    }
    Ok(provisions)
}

fn of_service(
    service: &Service,
    core: &Supervised,
    used: &dyn Fn(&ServiceName) -> Option<PathBuf>,
) -> Result<Provision, String> {
    if let Some(reason) = service.lacks_secret(TargetKind::Host) {
        return Err(reason);
    }
    if let Some(run) = &service.run {
        let find = |program: &String, is_made| folder::find(core, &service.name, run, program, is_made);
        let prepare = run.prepare.first().map(|program| find(program, false)).transpose()?;
        let program = find(&run.program, prepare.is_some())?;
        return Ok(Provision::Folder { run: run.clone(), program, prepare });
    }
    match &service.source {
        Source::Crate(name) => Ok(Provision::Built { name: name.clone() }),
        Source::Image { host: None, .. } => {
            Err(format!("`{}` is a public image, which only runs in containers", service.name))
        }
        Source::Dockerfile { host: None, build } => {
            Err(format!("`{}` is an image by `{}`, which only runs in containers", service.name, build.file))
        }
        Source::Image { host: Some(program), .. } | Source::Dockerfile { host: Some(program), .. } => {
            of_program(service, program, core, used(&service.name))
        }
    }
}

fn of_program(
    service: &Service,
    host: &HostProgram,
    core: &Supervised,
    used: Option<PathBuf>,
) -> Result<Provision, String> {
    if let Some(address) = host.running.as_deref().and_then(running) {
        return Ok(Provision::External(address));
    }
    // What one program has stored, another may not read.
    let is_used = |program: &&String| {
        used.as_ref().and_then(|path| path.file_name()).is_some_and(|name| name == program.as_str())
    };
    let programs = host.programs.iter().filter(is_used).chain(&host.programs);
    if let Some(path) = programs.into_iter().find_map(|program| core.proc.find(program)) {
        return Ok(Provision::Native(Program::Native { path, prefix: Vec::new() }));
    }
    if let (Some(requirement), Some(name)) = (&host.python, host.programs.first())
        && let Some(runner) = python_runner(service, core)
    {
        let script = Script { requirement: requirement.clone(), name: name.clone() };
        return Ok(Provision::Python { runner, script });
    }
    let names = host.programs.iter().map(|program| format!("`{program}`")).collect::<Vec<_>>().join(" or ");
    Err(format!("`{}` needs {names}, which is not on PATH; to enable it: {}", service.name, host.enable))
}

fn python_runner(service: &Service, core: &Supervised) -> Option<Runner> {
    let uvx = core.proc.find("uvx").map(Runner::Uvx);
    let pipx = || core.proc.find("pipx").map(Runner::Pipx);
    let venv = || {
        let python = core.proc.find("python3")?;
        Some(Runner::Venv { python, folder: core.home().tools().join(service.name.as_str()) })
    };
    uvx.or_else(pipx).or_else(venv)
}

/// The address of a service that answers 200 under this URL.
fn running(url: &str) -> Option<SocketAddr> {
    let url: Url = url.parse().ok()?;
    let address = SocketAddr::new(url.endpoint.host.parse().ok()?, url.endpoint.port);
    let answer = http::send(&Request::get(url, Duration::from_millis(300)), &|| false).ok()?;
    (answer.status == 200).then_some(address)
}
