//! The storage class of the deployment: encrypted gp3 volumes, in a release of its own.

use super::Eks;
use crate::plan::{Step, StepId};
use std::sync::Arc;

pub(super) const STEP: &str = "storage";

/// The step `storage`.
pub(super) fn step(eks: &Arc<Eks>, needs: Vec<StepId>) -> Step {
    let _ = (eks, needs);
    todo!("H6")
}

/// The step that uninstalls it.
pub(super) fn removal(eks: &Arc<Eks>, needs: Vec<StepId>) -> Step {
    let _ = (eks, needs);
    todo!("H6")
}
