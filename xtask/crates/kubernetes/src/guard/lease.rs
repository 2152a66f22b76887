//! The lease in the cluster, an object of the kind that Kubernetes has for this
//! (kubernetes.io/docs/concepts/architecture/leases).

use base::error::Fault;
use engine::lease::{Claim, owner};
use kube::object::{annotation, number, text};
use kube::{Api, Refusal, path};
use serde_json::{Value, json};
use shared_lease::{Pace, Place, Refused, Seen, heard_of, holder, micro_time};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const NAME: &str = "slipway";

/// How long a lease lasts that is not renewed.
const LASTS: u64 = 15;

const PACE: Pace =
    Pace { heartbeat: Duration::from_secs(4), look: Duration::from_millis(400), return_within: Duration::from_secs(3) };

/// How long a renewal may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Who the owner is, as [`owner`] has it.
const OWNER: &str = "slipway/owner";
/// See [`Seen::folder`].
const FOLDER: &str = "slipway/folder";

/// Where the lease is.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) api: Arc<Api>,
    pub(super) namespace: String,
    /// What it carries.
    pub(super) labels: Value,
    /// See [`FOLDER`].
    pub(super) folder: String,
    /// A teardown removes it together with its namespace.
    pub(super) is_removed: bool,
}

impl Place for Seat {
    type Found = Value;

    fn read(&self) -> Result<Option<Value>, Refused> {
        self.api.get(&self.path()).map_err(|refusal| self.refused(&refusal))
    }

    fn write(&self, claim: &Claim<'_>, found: Option<&Value>) -> Result<Value, Refused> {
        let lease = self.lease(claim, found);
        let written = match found {
            None => self.api.create(&path::LEASE.within(&self.namespace), &lease),
            Some(_) => self.api.replace(&self.path(), &lease),
        };
        written.map_err(|refusal| self.refused(&refusal))
    }

    fn renew(&self, lease: &Value) -> Result<Value, Refused> {
        let mut renewed = lease.clone();
        renewed["spec"]["renewTime"] = json!(micro_time(SystemTime::now()));
        let answer = self.api.replace_within(&self.path(), &renewed, ANSWER);
        // What is not there any more was removed by somebody.
        answer.map_err(|refusal| if refusal.is_missing() { Refused::Conflict } else { self.refused(&refusal) })
    }

    fn free(&self, lease: Value) {
        let mut free = lease;
        free["spec"] = json!({"leaseTransitions": free["spec"]["leaseTransitions"]});
        // A teardown has removed it together with its namespace.
        let _ = self.api.replace(&self.path(), &free);
    }

    fn seen(&self, lease: &Value) -> Seen {
        seen(lease)
    }

    fn gone(&self) -> Option<String> {
        (!self.is_removed).then(|| format!("is gone: someone removed it or namespace `{}`", self.namespace))
    }

    fn pace(&self) -> Pace {
        PACE
    }
}

impl Seat {
    fn path(&self) -> String {
        path::LEASE.at(&self.namespace, NAME)
    }

    /// The lease as ours, in the place of `found`.
    fn lease(&self, claim: &Claim<'_>, found: Option<&Value>) -> Value {
        let now = micro_time(SystemTime::now());
        let mut version = Value::Null;
        let mut transitions = 0;
        if let Some(found) = found {
            version.clone_from(&found["metadata"]["resourceVersion"]);
            transitions = number(found, "/spec/leaseTransitions") + 1;
        }
        let annotations = json!({OWNER: owner(claim).to_string(), FOLDER: self.folder});
        json!({
            "apiVersion": path::LEASE.version(), "kind": path::LEASE.name,
            "metadata": {
                "name": NAME, "namespace": self.namespace, "labels": self.labels, "resourceVersion": version,
                "annotations": annotations,
            },
            "spec": {
                "holderIdentity": holder(claim), "leaseDurationSeconds": LASTS, "acquireTime": now, "renewTime": now,
                "leaseTransitions": transitions,
            },
        })
    }

    fn refused(&self, refusal: &Refusal) -> Refused {
        match refusal.is_conflict() {
            true => Refused::Conflict,
            false => Refused::Fault(self.fault(refusal)),
        }
    }

    fn fault(&self, refusal: &Refusal) -> Fault {
        kube::fault(&format!("take the lease in namespace `{}`", self.namespace), refusal)
    }
}

fn seen(lease: &Value) -> Seen {
    let lasts = number(lease, "/spec/leaseDurationSeconds");
    let holder = text(lease, "/spec/holderIdentity");
    let mut owner: Value = serde_json::from_str(annotation(lease, OWNER)).unwrap_or_default();
    if !owner.is_object() {
        owner = json!({"who": holder, "since": lease["spec"]["acquireTime"]});
    }
    heard_of(&mut owner, text(lease, "/spec/renewTime"));
    Seen {
        holder: holder.to_owned(),
        folder: annotation(lease, FOLDER).to_owned(),
        renewed: lease["spec"]["renewTime"].clone(),
        lasts: Duration::from_secs(if lasts == 0 { LASTS } else { lasts }),
        owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::lease::describe;

    fn lease(holder: &str, folder: &str, renewed: &str) -> Value {
        json!({
            "metadata": {"annotations": {FOLDER: folder}},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 20, "renewTime": renewed},
        })
    }

    #[test]
    fn a_lease_says_who_holds_it_from_where_and_for_how_long() {
        let found = seen(&lease("a", "there", "1"));
        assert_eq!((found.holder.as_str(), found.folder.as_str()), ("a", "there"));
        assert_eq!((found.lasts, &found.renewed), (Duration::from_secs(20), &json!("1")));
        let empty = seen(&json!({"spec": {}}));
        assert_eq!((empty.holder.as_str(), empty.lasts), ("", Duration::from_secs(LASTS)));
    }

    #[test]
    fn an_owner_that_is_not_ours_is_still_named() {
        let mut found = lease("someone", "", "2026-11-21T08:14:03.000123Z");
        found["spec"]["acquireTime"] = json!("t1");
        let told = describe(&seen(&found).owner);
        assert!(
            told.starts_with("someone (") && told.ends_with("since t1, last heard of at 2026-11-21T08:14:03Z"),
            "{told}"
        );
    }
}
