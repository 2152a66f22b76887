//! What stands before a release can: the deployment's home namespace, a namespace for each system, and its Secrets.

use super::Kubernetes;
use super::wanted::{Part, SecretRef};
use crate::plan::{Step, StepId};
use crate::spec::name::{ServiceName, SystemName};
use crate::spec::system::System;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The step that has a system's namespace: `namespace:SYSTEM`. It needs nothing.
pub(super) fn namespace_step(_core: &Arc<Kubernetes>, system: &System) -> Step {
    unimplemented!("namespace of {}", system.name)
}

pub(super) fn namespace_id(system: &SystemName) -> StepId {
    StepId::new(format!("namespace:{system}"))
}

/// The Secrets of a system's services as they are to be now, made in its namespace when `make` says so. `None` while a
/// secret is not known and must not be made.
///
/// # Errors
/// When they cannot be read or made.
pub(super) fn secrets(
    _core: &Kubernetes,
    _system: &SystemName,
    _parts: &[Part],
    _make: bool,
) -> Result<Option<BTreeMap<ServiceName, SecretRef>>> {
    bail!("not yet")
}

/// Removes the Secrets of a system that none of its kept releases refers to.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn prune_secrets(_core: &Kubernetes, _system: &SystemName) -> Result<()> {
    bail!("not yet")
}
