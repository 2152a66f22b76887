//! Watches a release until all its services serve, and ends early at the first cause that waiting cannot mend.

use super::Kubernetes;
use super::wanted::Wanted;
use crate::plan::runner::StepCx;
use anyhow::{Result, bail};

/// Waits until every workload of the release runs its newest version with all replicas ready, saying what happens.
///
/// # Errors
/// When it does not: a fault whose code and cause are the dossier's first finding, and which names the bundle on disk.
pub(super) fn watch(_core: &Kubernetes, _cx: &StepCx<'_>, _wanted: &Wanted) -> Result<()> {
    bail!("not yet")
}
