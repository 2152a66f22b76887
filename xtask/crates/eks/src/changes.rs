//! What a deploy would change, and what runs, where there may be no cluster yet.

use super::Eks;
use anyhow::Result;
use base::ctx::Ctx;
use engine::backend::{SystemChanges, SystemStatus, Target};
use std::sync::Arc;

pub(super) fn changes(eks: &Arc<Eks>, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
    Arc::clone(&eks.core).changes(ctx)
}

pub(super) fn status(eks: &Eks, ctx: &Ctx) -> Result<Vec<SystemStatus>> {
    eks.core.status(ctx)
}
