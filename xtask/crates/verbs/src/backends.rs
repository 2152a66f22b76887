//! Which backends a binary has. Commands ask these and never which one it is.

use anyhow::Result;
use base::ctx::Ctx;
use engine::backend::Target;
use engine::deployment::Deployment;
use std::sync::Arc;

/// The backends of a binary.
pub struct Backends {
    /// The one of a deployment's environment.
    pub open: fn(Deployment, &Ctx) -> Result<Arc<dyn Target>>,
    /// What `doctor` asks beside this machine.
    pub checks: doctor::Extra,
}
