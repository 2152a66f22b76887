//! What outlives Terraform's destroy: interfaces that nodes have left, the cluster's security group, log groups that a
//! service has made again, the key's alias, volumes, a requested certificate. Each is removed by its identity.

use super::aws_resource::{AwsResource, text};
use super::gate::{self, Removal, named};
use super::inventory::Reach;
use super::{balancers, ec2, records, remains, services, volume_gate};
use crate::Eks;
use anyhow::Result;
use base::error::Fault;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use std::sync::Arc;
use std::time::Duration;

/// How long what holds another may take to be gone: interfaces are detached, certificates are released.
const WITHIN: Duration = Duration::from_secs(90);

/// Removed in this order: interfaces hold security groups.
const ORPHANS: [&str; 8] = [
    ec2::INTERFACE,
    balancers::SECURITY,
    ec2::VOLUME,
    "log-group",
    "alias",
    "oidc-provider",
    services::CERTIFICATE,
    records::RECORD,
];

pub(super) struct DeleteOrphansWork {
    pub(super) eks: Arc<Eks>,
}

impl Work for DeleteOrphansWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(leftovers(&self.eks)?.is_empty().then(|| "nothing was left".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let removed = delete(&self.eks, cx, WITHIN)?;
        Ok(Outcome::DoneWith(removed.join(", ")))
    }
}

/// What would be remove.
fn leftovers(eks: &Eks) -> Result<Vec<AwsResource>> {
    let seen = remains::look(eks, Reach::Unmanaged)?;
    let volumes: Vec<String> = volume_gate::left(eks)?.into_iter().map(|resource| resource.id).collect();
    let goes = |resource: &AwsResource| ORPHANS.contains(&resource.kind) && is_free(resource, &volumes);
    Ok(seen.resources.into_iter().filter(goes).collect())
}

/// Nobody uses it, as far as it says so itself.
fn is_free(resource: &AwsResource, volumes: &[String]) -> bool {
    match resource.kind {
        ec2::INTERFACE => resource.facts["status"] == "available",
        ec2::VOLUME => volumes.contains(&resource.id) && resource.facts["state"] == "available",
        _ => true,
    }
}

/// Removes what is left, and tries again what something else holds until that is gone, too. What is held for longer is left
/// to the receipt.
///
/// # Errors
/// When AWS refuses for another reason.
pub(super) fn delete(eks: &Eks, cx: &StepCx<'_>, within: Duration) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let mut held = leftovers(eks)?;
    held.sort_by_key(|resource| ORPHANS.iter().position(|kind| *kind == resource.kind));
    let pass = || {
        let mut still = Vec::new();
        for resource in std::mem::take(&mut held) {
            match gate::remove(&eks.infra.aws, &resource)? {
                Removal::Done => removed.push(format!("`{}`", resource.title())),
                Removal::Held(words) => {
                    cx.status(format!("waiting to remove {}: {words}", named([&resource])));
                    still.push(resource);
                }
            }
        }
        held = still;
        Ok(held.is_empty().then_some(()))
    };
    match gate::until(cx, within, pass, || Fault::failed("still-held", "")) {
        Err(error) if Fault::of(&error).code != "still-held" => Err(error),
        _ => Ok(removed),
    }
}

/// What keeps Terraform's destroy from its end: interfaces without a node, and security groups that Terraform does not know.
/// Log groups and the like do not.
///
/// # Errors
/// Those of [`delete`].
pub(super) fn unblock(eks: &Eks, cx: &StepCx<'_>) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let seen = remains::look(eks, Reach::Unmanaged)?;
    for resource in seen.resources.iter().filter(|resource| is_in_the_way(resource)) {
        if gate::remove(&eks.infra.aws, resource)? == Removal::Done {
            removed.push(format!("`{}`", resource.title()));
        }
        cx.status(format!("removing {}", named([resource])));
    }
    Ok(removed)
}

fn is_in_the_way(resource: &AwsResource) -> bool {
    let controlled = || resource.name.starts_with("eks-cluster-sg-") || resource.name.starts_with("k8s-");
    match resource.kind {
        ec2::INTERFACE => text(&resource.facts, "status") == "available",
        balancers::SECURITY => controlled(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_nobody_uses_is_swept_up() {
        let interface = |status| AwsResource::new(ec2::INTERFACE, "eni-1", &[]).with(json!({"status": status}));
        assert!(is_free(&interface("available"), &[]) && is_in_the_way(&interface("available")));
        assert!(!is_free(&interface("in-use"), &[]) && !is_in_the_way(&interface("in-use")));
        let volume = AwsResource::new(ec2::VOLUME, "vol-1", &[]).with(json!({"state": "available"}));
        assert!(is_free(&volume, &["vol-1".to_owned()]));
        assert!(!is_free(&volume, &[]), "it was to be retained, or is a node's");
        let group = AwsResource::new(balancers::SECURITY, "sg-1", &[]);
        assert!(is_in_the_way(&group.clone().named("eks-cluster-sg-slipway-a-1")) && !is_in_the_way(&group));
    }
}
