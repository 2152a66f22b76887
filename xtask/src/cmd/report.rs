//! `report`: one self-contained page of a run, drawn from its journal.

use crate::cli::ReportArgs;
use crate::ctx::Ctx;
use crate::error::Exit;
use anyhow::{Result, bail};

/// # Errors
/// When it cannot be done.
pub fn run(_args: &ReportArgs, _ctx: &Ctx) -> Result<Exit> {
    bail!("not yet")
}
