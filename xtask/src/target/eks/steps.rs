//! The steps of a deploy: state bucket → infrastructure ∥ images → push → kubeconfig → controller and storage class →
//! those of target `kubernetes`.

use super::Eks;
use crate::ctx::Ctx;
use crate::target::Contribution;
use anyhow::Result;
use std::sync::Arc;

pub(super) fn deploy(eks: &Arc<Eks>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
    let _ = (eks, ctx, verify, &eks.platform);
    todo!("H6")
}
