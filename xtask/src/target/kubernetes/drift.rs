//! What was changed by hand: the objects of a release as they were when it was proven, against those that are there.

use super::Kubernetes;
use super::records::Proven;
use crate::spec::name::SystemName;
use anyhow::{Result, bail};
use serde_json::Value;

/// One thing that is not as it was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// `Deployment epoch`
    pub(super) object: String,
    /// The service it belongs to, where its labels say so.
    pub(super) service: Option<String>,
    /// "`spec.template.spec.containers[0].image` is `x`, proven was `y`", "is gone"
    pub(super) what: String,
}

/// The objects of a system's release as they are now, without what the cluster changes by itself: status, versions,
/// replicas that an autoscaler owns.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn capture(_core: &Kubernetes, _system: &SystemName) -> Result<Vec<Value>> {
    bail!("not yet")
}

/// How what is there differs from what was proven.
pub(super) fn differences(_proven: &[Value], _there: &[Value]) -> Vec<Difference> {
    Vec::new()
}

/// Puts every object back to what was proven, additions included; says what it did.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn restore(_core: &Kubernetes, _proven: &Proven, _there: &[Value]) -> Result<Vec<String>> {
    bail!("not yet")
}
