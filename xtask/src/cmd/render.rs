//! `render`: plain manifests of an environment, for those who deploy by GitOps.

use crate::cli::RenderArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use anyhow::{Result, bail};

/// # Errors
/// When it cannot be done.
pub fn run(_args: &RenderArgs, _ctx: &Ctx) -> Result<Exit> {
    bail!("not yet")
}
