//! What a deploy would change, and what runs, where there may be no cluster yet.

use super::Eks;
use crate::ctx::Ctx;
use crate::target::{SystemChanges, SystemStatus};
use anyhow::Result;
use std::sync::Arc;

pub(super) fn changes(eks: &Arc<Eks>, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
    let _ = (eks, ctx);
    todo!("H6")
}

pub(super) fn status(eks: &Eks, ctx: &Ctx) -> Result<Vec<SystemStatus>> {
    let _ = (eks, ctx);
    todo!("H6")
}
