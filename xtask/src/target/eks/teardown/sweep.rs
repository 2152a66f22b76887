//! What outlives Terraform's destroy: interfaces that nodes have left, the cluster's security group, log groups that a
//! service has made again, the key's alias, volumes, a requested certificate. Each is removed by its identity.

use super::gate::{self, Removal, named};
use super::thing::{Thing, text};
use super::{balancers, ec2, records, remains, services, volume_gate};
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::target::eks::Eks;
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

/// How long what holds another may take to be gone: interfaces are detached, certificates are let go of.
const WITHIN: Duration = Duration::from_secs(90);

/// Removed in this order: interfaces hold security groups.
const SWEPT: [&str; 8] = [
    ec2::INTERFACE,
    balancers::SECURITY,
    ec2::VOLUME,
    "log-group",
    "alias",
    "oidc-provider",
    services::CERTIFICATE,
    records::RECORD,
];

pub(super) struct SweepWork {
    pub(super) eks: Arc<Eks>,
}

impl Work for SweepWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(leftovers(&self.eks)?.is_empty().then(|| "nothing was left".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let removed = sweep(&self.eks, cx, WITHIN)?;
        Ok(Outcome::DoneWith(removed.join(", ")))
    }
}

/// What a sweep would remove.
fn leftovers(eks: &Eks) -> Result<Vec<Thing>> {
    let seen = remains::look_beside(eks)?;
    let volumes: Vec<String> = volume_gate::left(eks)?.into_iter().map(|thing| thing.id).collect();
    let goes = |thing: &Thing| SWEPT.contains(&thing.kind) && is_free(thing, &volumes);
    Ok(seen.things.into_iter().filter(goes).collect())
}

/// Nobody uses it, as far as it says so itself.
fn is_free(thing: &Thing, volumes: &[String]) -> bool {
    match thing.kind {
        ec2::INTERFACE => thing.facts["status"] == "available",
        ec2::VOLUME => volumes.contains(&thing.id) && thing.facts["state"] == "available",
        _ => true,
    }
}

/// Removes what is left, and tries again what something else holds until that is gone, too. What is held for longer is left
/// to the receipt.
///
/// # Errors
/// When AWS refuses for another reason.
pub(super) fn sweep(eks: &Eks, cx: &StepCx<'_>, within: Duration) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let mut held = leftovers(eks)?;
    held.sort_by_key(|thing| SWEPT.iter().position(|kind| *kind == thing.kind));
    let pass = || {
        let mut still = Vec::new();
        for thing in std::mem::take(&mut held) {
            match gate::remove(&eks.infra.aws, &thing)? {
                Removal::Done => removed.push(format!("`{}`", thing.title())),
                Removal::Held(words) => {
                    cx.status(format!("waiting to remove {}: {words}", named([&thing])));
                    still.push(thing);
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
/// Those of [`sweep`].
pub(super) fn unblock(eks: &Eks, cx: &StepCx<'_>) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let seen = remains::look_beside(eks)?;
    for thing in seen.things.iter().filter(|thing| is_in_the_way(thing)) {
        if gate::remove(&eks.infra.aws, thing)? == Removal::Done {
            removed.push(format!("`{}`", thing.title()));
        }
        cx.status(format!("removing {}", named([thing])));
    }
    Ok(removed)
}

fn is_in_the_way(thing: &Thing) -> bool {
    let controlled = || thing.name.starts_with("eks-cluster-sg-") || thing.name.starts_with("k8s-");
    match thing.kind {
        ec2::INTERFACE => text(&thing.facts, "status") == "available",
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
        let interface = |status| Thing::new(ec2::INTERFACE, "eni-1", &[]).with(json!({"status": status}));
        assert!(is_free(&interface("available"), &[]) && is_in_the_way(&interface("available")));
        assert!(!is_free(&interface("in-use"), &[]) && !is_in_the_way(&interface("in-use")));
        let volume = Thing::new(ec2::VOLUME, "vol-1", &[]).with(json!({"state": "available"}));
        assert!(is_free(&volume, &["vol-1".to_owned()]));
        assert!(!is_free(&volume, &[]), "it was to be retained, or is a node's");
        let group = Thing::new(balancers::SECURITY, "sg-1", &[]);
        assert!(is_in_the_way(&group.clone().named("eks-cluster-sg-slipway-a-1")) && !is_in_the_way(&group));
    }
}
