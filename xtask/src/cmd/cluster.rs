//! `cluster up|down`: a Kubernetes cluster on this machine, for those who have none.

use crate::cli::ClusterArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use anyhow::{Result, bail};

/// # Errors
/// When it cannot be done.
pub fn run(_args: &ClusterArgs, _ctx: &Ctx) -> Result<Exit> {
    bail!("not yet")
}
