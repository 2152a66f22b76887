//! The environment as target `kubernetes` sees it: what other environments set follows here from the deployment's names.

use crate::ctx::Ctx;
use crate::infra::names::Names;
use crate::spec::container::Platform;
use crate::target::Deployment;
use anyhow::Result;

/// The context in the private kubeconfig, the registry, the classes of ingress and storage, the platform of images: those
/// of the deployment.
///
/// # Errors
/// When a name that follows is none, or the account is not known and cannot be asked for.
pub(super) fn deployment(mut deployment: Deployment, ctx: &Ctx) -> Result<Deployment> {
    let names = super::account::names(&deployment, ctx)?;
    let environment = &mut deployment.environment;
    environment.cluster.context = Some(names.base());
    environment.cluster.ingress_class = Some(ingress_class(environment.cluster.namespace_prefix.as_str(), &names));
    environment.registry = Some(names.registry().parse().map_err(anyhow::Error::msg)?);
    if environment.cluster.storage_class.is_none() {
        environment.cluster.storage_class = Some(storage_class(environment.cluster.namespace_prefix.as_str(), &names));
    }
    if environment.platforms.is_empty() {
        // Those of the instance types in `terraform/variables.tf`.
        environment.platforms = vec![Platform::LinuxAmd64];
    }
    Ok(deployment)
}

/// The class of ingress that our load balancer controller serves and no other.
pub(super) fn ingress_class(prefix: &str, names: &Names) -> String {
    format!("{prefix}{}", names.base())
}

/// The encrypted one that a release of the deployment has.
pub(super) fn storage_class(prefix: &str, names: &Names) -> String {
    format!("{prefix}{}", names.base())
}
