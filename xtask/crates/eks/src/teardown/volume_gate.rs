//! Waits until AWS reports that the volumes of claims are deleted.
//!
//! The cluster's storage removes volumes as their claims go. One that nothing in the cluster knows any more nobody would
//! ever remove: that is done here. One that a class of storage says to retain stays, and the receipt tells its price.

use super::aws_resource::{AwsResource, text};
use super::gate::{self, Removal, named};
use super::scope::{ClusterAccess, State};
use super::{ec2, remains};
use crate::Eks;
use anyhow::Result;
use aws::fault;
use base::error::Fault;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use kube::object;
use kube::path::VOLUME;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a disk may take to be detached and removed.
const WITHIN: Duration = Duration::from_secs(300);
/// In the ledger's identity of a volume that is to stay.
const RETAINED: &str = "retained";

pub(super) struct VolumeGate {
    pub(super) eks: Arc<Eks>,
    pub(super) cluster: Arc<ClusterAccess>,
}

impl Work for VolumeGate {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(left(&self.eks)?.is_empty().then(|| "AWS has none of them".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        self.note_retained(cx)?;
        let mut removed = 0;
        let mut last = String::new();
        let look = || {
            let left = left(&self.eks)?;
            let (open, known) = self.known(cx)?;
            let orphans = left.iter().filter(|resource| !known.iter().any(|volume| handle(volume) == resource.id));
            for resource in orphans.filter(|resource| resource.facts["state"] == "available") {
                if gate::remove(&self.eks.infra.aws, resource)? == Removal::Done {
                    removed += 1;
                }
            }
            // What is attached to nodes of a cluster that cannot be asked goes once these are gone.
            let waited: Vec<&AwsResource> =
                left.iter().filter(|resource| open || resource.facts["state"] != "in-use").collect();
            last = waited.iter().map(|resource| told(resource)).collect::<Vec<_>>().join(", ");
            if !waited.is_empty() {
                cx.status(format!("waiting until this is gone on AWS: {last}"));
            }
            Ok(waited.is_empty().then_some(()))
        };
        let expired = || Fault::failed("teardown-blocked", "");
        match gate::until(cx, WITHIN, look, expired) {
            Err(error) if Fault::of(&error).code == "teardown-blocked" => {
                let cause = format!("still there on AWS after {} s: {last}", WITHIN.as_secs());
                let again = self.eks.deployment().environment.command("teardown");
                let hint = format!("once it is detached, `{again}` continues where it stopped");
                Err(Fault::failed("teardown-blocked", cause).hint(hint).into())
            }
            Err(error) => Err(error),
            Ok(()) if removed == 0 => Ok(Outcome::Done),
            Ok(()) => Ok(Outcome::DoneWith(format!("{removed} that the cluster no longer knew"))),
        }
    }
}

impl VolumeGate {
    /// Whether the cluster can be asked, and the volumes that it knows.
    fn known(&self, cx: &StepCx<'_>) -> Result<(bool, Vec<Value>)> {
        if self.cluster.state(cx)? != State::Open {
            return Ok((false, Vec::new()));
        }
        let found = self.eks.core.access.api()?.list(&VOLUME.everywhere(), "");
        Ok((true, found.map_err(|refusal| kube::fault("look for volumes", &refusal))?))
    }

    /// Enters into the ledger what is to stay, before the cluster that says so is gone.
    fn note_retained(&self, cx: &StepCx<'_>) -> Result<()> {
        let (_, known) = self.known(cx)?;
        let retained = known.iter().filter(|volume| is_retained(volume)).map(handle);
        let retained: Vec<&str> = retained.collect();
        let left = left(&self.eks)?;
        let entries: Vec<Entry> = left
            .iter()
            .filter(|resource| retained.contains(&resource.id.as_str()))
            .map(|resource| Entry { identity: json!({RETAINED: true, "facts": resource.facts}), ..resource.entry() })
            .collect();
        if entries.is_empty() { Ok(()) } else { self.eks.ledger.enter(&entries) }
    }
}

/// The volumes of claims that AWS has, but for those that are to stay.
///
/// # Errors
/// When AWS cannot be asked.
pub(super) fn left(eks: &Eks) -> Result<Vec<AwsResource>> {
    let entries = eks.ledger.entries()?;
    let found =
        ec2::volumes(&remains::context(eks, &entries)).map_err(|refusal| fault("look for volumes", &refusal))?;
    let stays = |resource: &AwsResource| {
        entries
            .iter()
            .any(|entry| entry.kind == ec2::VOLUME && entry.id == resource.id && entry.identity[RETAINED] == true)
    };
    let claimed = |resource: &AwsResource| !text(&resource.facts, "claim").is_empty();
    Ok(found.into_iter().filter(|resource| claimed(resource) && !stays(resource)).collect())
}

/// The volume on AWS that one in the cluster stands for.
fn handle(volume: &Value) -> &str {
    object::text(volume, "/spec/csi/volumeHandle")
}

fn is_retained(volume: &Value) -> bool {
    object::text(volume, "/spec/persistentVolumeReclaimPolicy") == "Retain"
}

/// "`volume vol-1 (shop/data-redis-0)`, attached to `i-1`"
fn told(resource: &AwsResource) -> String {
    let title = named([resource]);
    match text(&resource.facts, "holder") {
        "" => title,
        holder => format!("{title}, attached to `{holder}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_known_by_its_handle() {
        let volume = json!({"spec": {"csi": {"volumeHandle": "vol-1"}, "persistentVolumeReclaimPolicy": "Retain"}});
        assert!(handle(&volume) == "vol-1" && is_retained(&volume));
        assert_eq!(handle(&json!({"spec": {"hostPath": {}}})), "");
        let resource = AwsResource::new("volume", "vol-1", &[]).with(json!({"holder": "i-1"}));
        assert_eq!(told(&resource), "`volume vol-1`, attached to `i-1`");
    }
}
