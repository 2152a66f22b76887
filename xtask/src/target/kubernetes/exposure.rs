//! How public services are reached from outside: the class of ingress, where its controller answers, and which names
//! lead there.

use super::Kubernetes;
use super::wanted::Exposure;
use crate::http::Endpoint;
use crate::plan::runner::StepCx;
use crate::spec::name::ServiceName;
use anyhow::{Result, bail};

/// How public services are exposed, as far as it can be told without making anything; `None` while the address of the
/// ingress is not known.
///
/// # Errors
/// When the cluster has no such class, or several and no default.
pub(super) fn known(_core: &Kubernetes) -> Result<Option<Exposure>> {
    bail!("not yet")
}

/// The same, finding out the address by an Ingress of its own when there is no other way, and keeping it.
///
/// # Errors
/// When no address shows up in time; says what was seen.
pub(super) fn find(_core: &Kubernetes, _cx: &StepCx<'_>) -> Result<Exposure> {
    bail!("not yet")
}

/// Where a public service is asked from here: its host, by way of the ingress's address.
///
/// # Errors
/// The reason, for people.
pub(super) fn endpoint(_core: &Kubernetes, _service: &ServiceName) -> Result<Endpoint, String> {
    Err("not yet".to_owned())
}
