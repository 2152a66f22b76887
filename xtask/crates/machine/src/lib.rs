//! The backends that run services on this machine: as processes (`host`) and in containers (`containers`). Both have
//! their services under one supervisor; `supervised` is what they share.

mod containers;
mod host;
mod supervised;

use anyhow::Result;
use base::ctx::Ctx;
use containers::Containers;
use engine::backend::Target;
use engine::deployment::Deployment;
use host::Processes;
use std::sync::Arc;
use supervised::Supervised;

/// Services as processes of this machine.
///
/// # Errors
/// When the environment's state on this machine cannot be read.
pub fn host(deployment: Deployment, ctx: &Ctx) -> Result<Arc<dyn Target>> {
    Ok(Arc::new(Supervised::new(deployment, ctx, Box::new(Processes::default()))?))
}

/// Services in containers of docker or podman.
///
/// # Errors
/// Those of [`host`].
pub fn containers(deployment: Deployment, ctx: &Ctx) -> Result<Arc<dyn Target>> {
    let containers = Containers::new(&deployment)?;
    Ok(Arc::new(Supervised::new(deployment, ctx, Box::new(containers))?))
}
