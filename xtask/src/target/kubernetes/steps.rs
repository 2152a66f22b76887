//! The steps of a deploy and of a rollback: for each system its namespace, its images, its release, its proof.

use super::Kubernetes;
use crate::ctx::Ctx;
use crate::spec::system::System;
use crate::target::{Contribution, SystemChanges};
use anyhow::{Result, bail};
use std::sync::Arc;

pub(super) fn deploy(_core: &Arc<Kubernetes>, _ctx: &Ctx, _verify: bool) -> Result<Contribution> {
    bail!("not yet")
}

pub(super) fn rollback(_core: &Arc<Kubernetes>, _ctx: &Ctx, _system: &System) -> Result<Contribution> {
    bail!("not yet")
}

pub(super) fn changes(_core: &Arc<Kubernetes>, _ctx: &Ctx) -> Result<Vec<SystemChanges>> {
    bail!("not yet")
}
