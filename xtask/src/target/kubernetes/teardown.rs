//! The steps to nothing, in the order that lets each controller clean up after itself, and what is found afterwards.

use super::Kubernetes;
use crate::plan::Step;
use crate::target::{Remains, Scope};
use anyhow::{Result, bail};
use std::sync::Arc;

pub(super) fn widened(_core: &Kubernetes, _scope: Scope) -> Result<Scope> {
    bail!("not yet")
}

pub(super) fn steps(_core: &Arc<Kubernetes>, _scope: &Scope, _keep_data: bool) -> Result<Vec<Step>> {
    bail!("not yet")
}

pub(super) fn remains(_core: &Kubernetes, _scope: &Scope, _keep_data: bool) -> Result<Remains> {
    bail!("not yet")
}

pub(super) fn stored_data(_core: &Kubernetes, _scope: &Scope) -> Vec<String> {
    Vec::new()
}

pub(super) fn forget(_core: &Kubernetes, _scope: &Scope, _keep_data: bool) -> Result<()> {
    bail!("not yet")
}
