//! The images of a deploy: built here and pushed to the environment's registry, or given to the nodes of a cluster on
//! this machine in the way that it wants; public ones by their pins.

use super::Kubernetes;
use super::wanted::{ImageRef, Part};
use crate::ctx::Ctx;
use crate::plan::{Step, StepId};
use crate::spec::name::{ServiceName, SystemName};
use anyhow::{Result, bail};
use std::sync::Arc;

/// What supplies the images of a run.
pub(super) struct Supply;

impl Supply {
    /// Reads what the services of these systems are built from at this moment.
    ///
    /// # Errors
    /// When there is no way to get images to the cluster, or a source cannot be read.
    pub(super) fn new(_core: &Arc<Kubernetes>, _ctx: &Ctx, _systems: &[(SystemName, Vec<Part>)]) -> Result<Arc<Self>> {
        bail!("not yet")
    }

    /// What a service runs, if that is known without building, pushing or asking anything but this machine's records.
    pub(super) fn known(&self, _service: &ServiceName) -> Option<ImageRef> {
        None
    }

    /// What a service runs once its steps are done.
    pub(super) fn supplied(&self, service: &ServiceName) -> Option<ImageRef> {
        self.known(service)
    }

    /// What `--dry-run` shows for it: `<digest of epoch>` where that is not known.
    pub(super) fn shown(&self, service: &ServiceName) -> ImageRef {
        let unknown = || ImageRef { reference: format!("<digest of {service}>"), version: String::new() };
        self.known(service).unwrap_or_else(unknown)
    }

    /// Why the image of a service would change since the one of this version; nothing when that is not known.
    pub(super) fn changes_since(&self, _service: &ServiceName, _version: &str) -> Vec<String> {
        Vec::new()
    }

    /// The steps that have the images of these services in the cluster's reach.
    pub(super) fn steps(self: &Arc<Self>, _services: &[ServiceName]) -> Vec<Step> {
        Vec::new()
    }

    /// The steps among [`Supply::steps`] after which a service's image is there.
    pub(super) fn needs(&self, _service: &ServiceName) -> Vec<StepId> {
        Vec::new()
    }

    /// Whether something has to be built for these services.
    pub(super) fn builds(&self, _services: &[ServiceName]) -> bool {
        false
    }
}
