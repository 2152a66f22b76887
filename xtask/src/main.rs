//! What `cargo xtask` builds: the backend `host`. Everything else is in another binary, which is built when it is
//! first asked for, so that a newcomer does not wait for it.

mod other;

use base::ctx::Ctx;
use engine::backend::Target;
use engine::deployment::Deployment;
use engine::recorded_settings;
use model::system::TargetKind;
use std::process::ExitCode;
use std::sync::Arc;
use verbs::Backends;
use verbs::cli::Command;

const BACKENDS: Backends = Backends { open, checks: doctor::Extra { all: |_| Vec::new(), required: |_| Vec::new() } };

fn main() -> ExitCode {
    verbs::main(run)
}

fn run(command: Command) -> anyhow::Result<u8> {
    if is_elsewhere(&command)? {
        match other::become_it(&Ctx::new()?)? {}
    }
    verbs::run(command, &BACKENDS)
}

/// Whether the other binary has the command, or the backend of its environment. An environment that can neither be read
/// nor is recorded is complained of here.
fn is_elsewhere(command: &Command) -> anyhow::Result<bool> {
    if !command.is_common() {
        return Ok(true);
    }
    let Some(environment) = command.environment() else { return Ok(false) };
    let Ok(found) = recorded_settings::environment(&Ctx::repository()?, environment) else { return Ok(false) };
    Ok(found.environment.target != TargetKind::Host)
}

fn open(deployment: Deployment, ctx: &Ctx) -> anyhow::Result<Arc<dyn Target>> {
    engine::identity::check(&deployment.home, &deployment.environment)?;
    match deployment.environment.target {
        TargetKind::Host => machine::host(deployment, ctx),
        TargetKind::Containers | TargetKind::Kubernetes | TargetKind::Eks => match other::become_it(ctx)? {},
    }
}
