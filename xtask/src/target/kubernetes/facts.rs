//! What a cluster is like: its version, what its nodes are, which classes of ingress and storage it has.

use crate::kube::Api;
use crate::spec::container::Platform;
use anyhow::{Result, bail};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `(1, 34)`
    pub(crate) version: (u32, u32),
    /// What its nodes run, each once; others than these cannot be built for.
    pub(crate) platforms: Vec<Platform>,
    /// Names and controllers, the default one first.
    pub(crate) ingress_classes: Vec<IngressClass>,
    /// Names, the default one first.
    pub(crate) storage_classes: Vec<String>,
    pub(crate) has_default_storage: bool,
    /// Whether pods are measured, which scaling takes.
    pub(crate) has_metrics: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IngressClass {
    pub(crate) name: String,
    /// `traefik.io/ingress-controller`
    pub(crate) controller: String,
    pub(crate) is_default: bool,
}

impl Facts {
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub(crate) fn read(_api: &Api) -> Result<Self> {
        bail!("not yet")
    }
}
