//! The load balancer controller: a release of our own, pinned in `helm/load-balancer-controller`, that serves our class of
//! ingress and nobody else's.

use super::Eks;
use crate::plan::{Step, StepId};
use std::sync::Arc;

pub(super) const STEP: &str = "controller";

/// The step `controller`: its namespace, its release, and its webhook answering.
pub(super) fn step(eks: &Arc<Eks>, needs: Vec<StepId>) -> Step {
    let _ = (eks, needs);
    todo!("H6")
}

/// The step that uninstalls it, for a teardown in which nothing needs it any more.
pub(super) fn removal(eks: &Arc<Eks>, needs: Vec<StepId>) -> Step {
    let _ = (eks, needs);
    todo!("H6")
}
