//! `infra`: the AWS platform on its own, for whoever wants to look at it or make it without the rest.

use crate::cli::InfraArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use anyhow::Result;

/// # Errors
/// When Terraform or AWS refuses.
pub fn run(args: &InfraArgs, ctx: &Ctx) -> Result<Exit> {
    let _ = (args, ctx);
    todo!("H4")
}
