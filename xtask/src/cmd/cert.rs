//! `cert`: requests the certificate of the environment's domain, says which record proves it, and whether it is issued.

use crate::cli::CertArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use anyhow::Result;

/// # Errors
/// When AWS refuses, or the environment has no domain.
pub fn run(args: &CertArgs, ctx: &Ctx) -> Result<Exit> {
    let _ = (args, ctx);
    todo!("H7")
}
