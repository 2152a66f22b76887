//! The backend that runs services as processes of this machine (`host`). They are under one supervisor; `supervised` is
//! what they share with those in containers, which are a crate of their own.

mod host;
pub mod supervised;

use anyhow::Result;
use base::ctx::Ctx;
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
