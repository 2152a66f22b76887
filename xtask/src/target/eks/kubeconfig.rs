//! The private kubeconfig of a cluster that Terraform has made: its address and authority from the outputs, its tokens from
//! `aws eks get-token`.

use super::platform::EksPlatform;
use crate::target::kubernetes::kubeconfig::Kubeconfig;
use anyhow::Result;

/// # Errors
/// `no-cluster` while Terraform has made none.
pub(super) fn write(platform: &EksPlatform) -> Result<Kubeconfig> {
    let _ = platform;
    todo!("H6")
}
