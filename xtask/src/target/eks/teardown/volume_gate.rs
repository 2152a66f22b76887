//! The gate behind which no volume of a claim is left, on AWS's own word.
//!
//! The cluster's storage removes volumes as their claims go. One that nothing in the cluster knows any more nobody would
//! ever remove: that is done here. One that a class of storage says to retain stays, and the receipt tells its price.

use super::gate::{self, Removal, named};
use super::scope::{State, Way};
use super::thing::{Thing, text};
use super::{ec2, remains};
use crate::aws::fault;
use crate::error::Fault;
use crate::kube::path::VOLUME;
use crate::kube::{self, object};
use crate::ledger::Entry;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::target::eks::Eks;
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a disk may take to be detached and removed.
const WITHIN: Duration = Duration::from_secs(300);
/// In the ledger's identity of a volume that is to stay.
const RETAINED: &str = "retained";

pub(super) struct VolumeGate {
    pub(super) eks: Arc<Eks>,
    pub(super) way: Arc<Way>,
}

impl Work for VolumeGate {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(left(&self.eks)?.is_empty().then(|| "AWS has none of them".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        self.note_retained(cx)?;
        let mut removed = 0;
        let mut last = String::new();
        let look = || {
            let left = left(&self.eks)?;
            let (open, known) = self.known(cx)?;
            let orphans = left.iter().filter(|thing| !known.iter().any(|volume| handle(volume) == thing.id));
            for thing in orphans.filter(|thing| thing.facts["state"] == "available") {
                if gate::remove(&self.eks.infra.aws, thing)? == Removal::Done {
                    removed += 1;
                }
            }
            // What is attached to nodes of a cluster that cannot be asked goes once these are gone.
            let waited: Vec<&Thing> = left.iter().filter(|thing| open || thing.facts["state"] != "in-use").collect();
            last = waited.iter().map(|thing| told(thing)).collect::<Vec<_>>().join(", ");
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
                let hint = format!("once it is detached, `{again}` goes on where it stopped");
                Err(Fault::failed("teardown-blocked", cause).hint(hint).into())
            }
            Err(error) => Err(error),
            Ok(()) if removed == 0 => Ok(Outcome::Done),
            Ok(()) => Ok(Outcome::DoneWith(format!("{removed} that the cluster did not know any more"))),
        }
    }
}

impl VolumeGate {
    /// Whether the cluster can be asked, and the volumes that it knows.
    fn known(&self, cx: &StepCx<'_>) -> Result<(bool, Vec<Value>)> {
        if self.way.state(cx)? != State::Open {
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
            .filter(|thing| retained.contains(&thing.id.as_str()))
            .map(|thing| Entry { identity: json!({RETAINED: true, "facts": thing.facts}), ..thing.entry() })
            .collect();
        if entries.is_empty() { Ok(()) } else { self.eks.ledger.enter(&entries) }
    }
}

/// The volumes of claims that AWS has, but for those that are to stay.
///
/// # Errors
/// When AWS cannot be asked.
pub(super) fn left(eks: &Eks) -> Result<Vec<Thing>> {
    let entries = eks.ledger.entries()?;
    let found = ec2::volumes(&remains::scene(eks, &entries)).map_err(|refusal| fault("look for volumes", &refusal))?;
    let stays = |thing: &Thing| {
        entries
            .iter()
            .any(|entry| entry.kind == ec2::VOLUME && entry.id == thing.id && entry.identity[RETAINED] == true)
    };
    let claimed = |thing: &Thing| !text(&thing.facts, "claim").is_empty();
    Ok(found.into_iter().filter(|thing| claimed(thing) && !stays(thing)).collect())
}

/// The volume on AWS that one in the cluster stands for.
fn handle(volume: &Value) -> &str {
    object::text(volume, "/spec/csi/volumeHandle")
}

fn is_retained(volume: &Value) -> bool {
    object::text(volume, "/spec/persistentVolumeReclaimPolicy") == "Retain"
}

/// "`volume vol-1 (shop/data-redis-0)`, attached to `i-1`"
fn told(thing: &Thing) -> String {
    let title = named([thing]);
    match text(&thing.facts, "holder") {
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
        let thing = Thing::new("volume", "vol-1", &[]).with(json!({"holder": "i-1"}));
        assert_eq!(told(&thing), "`volume vol-1`, attached to `i-1`");
    }
}
