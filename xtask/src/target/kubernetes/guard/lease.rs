//! The lease in the cluster, an object of the kind that Kubernetes has for this
//! (kubernetes.io/docs/concepts/architecture/leases).
//!
//! No clock but our own is trusted: an owner lives as long as we see it renew its lease, and is dead when we have not for
//! as long as the lease lasts. One that ran from this very folder is known to be dead, as we hold the lock on that.
//! Whoever writes names the version that it has seen, so that of two who take the lease one gets it.

use crate::error::Fault;
use crate::journal::Journal;
use crate::kube::object::{annotation, number, text};
use crate::kube::{self, Api, Refusal, path};
use crate::lease::{Claim, describe, owner};
use crate::signal::Interrupts;
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

const NAME: &str = "slipway";

/// How long a lease lasts that is not renewed.
const LASTS: u64 = 15;

/// How often its owner renews it.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// How often somebody else's is looked at.
const LOOK: Duration = Duration::from_millis(400);

/// How long its return is waited for. It ends by itself.
const RETURN_WITHIN: Duration = Duration::from_secs(3);

/// Who the owner is, as [`owner`] has it.
const OWNER: &str = "slipway/owner";
/// The folder of state that it runs from, as a word that no other folder has.
const FOLDER: &str = "slipway/folder";

/// The right to change a deployment from anywhere, held until it is dropped.
pub(super) struct Lease {
    stop: Option<Sender<()>>,
    returned: Receiver<()>,
}

/// Where the lease is, and for whom.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) api: Arc<Api>,
    pub(super) namespace: String,
    /// What it carries.
    pub(super) labels: Value,
    /// The environment's name, for people.
    pub(super) environment: String,
    /// See [`FOLDER`].
    pub(super) folder: String,
    pub(super) interrupts: Interrupts,
    pub(super) journal: Journal,
}

impl Lease {
    /// Takes the lease, or says who holds it. A dead owner's is taken over.
    ///
    /// # Errors
    /// When a live owner holds it, the wait for a sign of life is interrupted, or the cluster refuses.
    pub(super) fn take(seat: &Seat, claim: &Claim<'_>) -> Result<Self> {
        let lease = seat.acquire(claim)?;
        let (stop, stopped) = channel();
        let (done, returned) = channel();
        let seat = seat.clone();
        std::thread::spawn(move || {
            seat.keep(lease, &stopped);
            let _ = done.send(());
        });
        Ok(Self { stop: Some(stop), returned })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop.take();
        let _ = self.returned.recv_timeout(RETURN_WITHIN);
    }
}

/// What became of a renewal.
enum Beat {
    Renewed(Value),
    /// Not this time; the next may.
    Missed,
    /// Somebody else has it.
    Lost(Value),
}

impl Seat {
    fn path(&self) -> String {
        path::LEASE.at(&self.namespace, NAME)
    }

    fn acquire(&self, claim: &Claim<'_>) -> Result<Value> {
        let mut watch = Watch::default();
        loop {
            let found = self.api.get(&self.path()).map_err(|refusal| self.fault(&refusal))?;
            let written = match &found {
                None => self.api.create(&path::LEASE.within(&self.namespace), &self.lease(claim, None)),
                Some(found) => match watch.look(found, &self.folder, Instant::now()) {
                    Sight::Free | Sight::Left => self.replace(claim, found),
                    Sight::Dead => {
                        let who = describe(&document(found));
                        self.journal.note(format!("taking over from {who}, which ended without giving the lease back"));
                        self.replace(claim, found)
                    }
                    Sight::Alive => return Err(self.held(found).into()),
                    Sight::Unknown { first } => {
                        if first {
                            let who = describe(&document(found));
                            let lasts = duration(found).as_secs();
                            self.journal.note(format!(
                                "`{}` is held by {who}; seeing whether that still lives, for up to {lasts} s",
                                self.environment
                            ));
                        }
                        if self.interrupts.pause(LOOK) {
                            return Err(Fault::interrupted(self.interrupts.first().unwrap_or_default()).into());
                        }
                        continue;
                    }
                },
            };
            match written {
                Ok(lease) => return Ok(lease),
                // Somebody else was faster, or it was ours without an answer; the next look tells.
                Err(refusal) if refusal.is_conflict() => watch = Watch::default(),
                Err(refusal) => return Err(self.fault(&refusal).into()),
            }
        }
    }

    fn replace(&self, claim: &Claim<'_>, found: &Value) -> Result<Value, Refusal> {
        self.api.replace(&self.path(), &self.lease(claim, Some(found)))
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
                "holderIdentity": format!("{} {} {}", claim.who, std::process::id(), claim.run),
                "leaseDurationSeconds": LASTS, "acquireTime": now, "renewTime": now, "leaseTransitions": transitions,
            },
        })
    }

    /// Renews the lease until there is nobody who needs it, and gives it back.
    fn keep(&self, mut lease: Value, stopped: &Receiver<()>) {
        while matches!(stopped.recv_timeout(HEARTBEAT), Err(RecvTimeoutError::Timeout)) {
            match self.renew(&lease) {
                Beat::Renewed(renewed) => lease = renewed,
                Beat::Missed => {}
                Beat::Lost(other) => {
                    let who = describe(&document(&other));
                    self.journal.note(format!("the lease on this deployment went to {who}; nothing more is begun"));
                    self.interrupts.stop();
                    return;
                }
            }
        }
        let mut free = lease;
        free["spec"] = json!({"leaseTransitions": free["spec"]["leaseTransitions"]});
        // A teardown has removed it together with its namespace; otherwise it ends by itself.
        let _ = self.api.replace(&self.path(), &free);
    }

    fn renew(&self, lease: &Value) -> Beat {
        let mut renewed = lease.clone();
        renewed["spec"]["renewTime"] = json!(micro_time(SystemTime::now()));
        match self.api.replace(&self.path(), &renewed) {
            Ok(renewed) => Beat::Renewed(renewed),
            Err(refusal) if refusal.is_conflict() => match self.api.get(&self.path()) {
                // Renewed already, and the answer was lost.
                Ok(Some(found)) if holder(&found) == holder(lease) => Beat::Renewed(found),
                Ok(Some(found)) if !holder(&found).is_empty() => Beat::Lost(found),
                _ => Beat::Missed,
            },
            Err(_) => Beat::Missed,
        }
    }

    fn held(&self, found: &Value) -> Fault {
        let cause = format!("environment `{}` is held by {}", self.environment, describe(&document(found)));
        Fault::could_not_run("lease-held", cause).hint("wait for it, or stop it where it runs")
    }

    fn fault(&self, refusal: &Refusal) -> Fault {
        kube::fault(&format!("take the lease in namespace `{}`", self.namespace), refusal)
    }
}

/// What somebody else's lease looks like.
#[derive(Debug, PartialEq)]
enum Sight {
    /// Nobody's.
    Free,
    /// A killed run of this folder's, of which the lease on that has told already.
    Left,
    Alive,
    Dead,
    Unknown {
        /// Seen for the first time.
        first: bool,
    },
}

/// Watches a lease for a sign of life.
#[derive(Default)]
struct Watch(Option<(Value, Instant)>);

impl Watch {
    fn look(&mut self, found: &Value, folder: &str, now: Instant) -> Sight {
        if holder(found).is_empty() {
            return Sight::Free;
        }
        if annotation(found, FOLDER) == folder {
            return Sight::Left;
        }
        let sign = json!([holder(found), found["spec"]["renewTime"]]);
        match &self.0 {
            None => {
                self.0 = Some((sign, now));
                Sight::Unknown { first: true }
            }
            Some((seen, _)) if *seen != sign => Sight::Alive,
            Some((_, since)) if now.saturating_duration_since(*since) >= duration(found) => Sight::Dead,
            Some(_) => Sight::Unknown { first: false },
        }
    }
}

fn holder(lease: &Value) -> &str {
    text(lease, "/spec/holderIdentity")
}

fn duration(lease: &Value) -> Duration {
    let lasts = number(lease, "/spec/leaseDurationSeconds");
    Duration::from_secs(if lasts == 0 { LASTS } else { lasts })
}

/// Whose a lease is, for [`describe`].
fn document(lease: &Value) -> Value {
    let mut document: Value = serde_json::from_str(annotation(lease, OWNER)).unwrap_or_default();
    if !document.is_object() {
        document = json!({"who": holder(lease), "since": lease["spec"]["acquireTime"]});
    }
    let renewed = text(lease, "/spec/renewTime");
    // For people, seconds are enough.
    let seconds = renewed.split('.').next().unwrap_or(renewed).trim_end_matches('Z');
    document["heartbeat"] = json!(format!("{seconds}Z"));
    document
}

/// As the API wants the times of a lease.
fn micro_time(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, folder: &str, renewed: &str) -> Value {
        json!({
            "metadata": {"annotations": {FOLDER: folder}},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
        })
    }

    #[test]
    fn a_lease_that_is_renewed_before_our_eyes_has_a_live_owner() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(watch.look(&lease("a", "there", "1"), "here", start), Sight::Unknown { first: true });
        assert_eq!(watch.look(&lease("a", "there", "1"), "here", after(14)), Sight::Unknown { first: false });
        assert_eq!(watch.look(&lease("a", "there", "2"), "here", after(14)), Sight::Alive);
        assert_eq!(watch.look(&lease("b", "there", "1"), "here", after(14)), Sight::Alive);
    }

    #[test]
    fn a_lease_that_is_not_renewed_for_as_long_as_it_lasts_is_nobody_s() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let found = lease("a", "there", "1");
        watch.look(&found, "here", start);
        assert_eq!(watch.look(&found, "here", start + Duration::from_secs(15)), Sight::Dead);
    }

    #[test]
    fn what_ran_from_our_own_folder_is_dead() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(&lease("a", "here", "1"), "here", Instant::now()), Sight::Left);
        assert_eq!(watch.look(&lease("", "there", "1"), "here", Instant::now()), Sight::Free);
        assert_eq!(watch.look(&json!({"spec": {}}), "here", Instant::now()), Sight::Free);
    }

    #[test]
    fn an_owner_that_is_not_ours_is_still_named() {
        let mut found = lease("someone", "", "2026-11-21T08:14:03.000123Z");
        found["spec"]["acquireTime"] = json!("t1");
        let told = describe(&document(&found));
        assert!(
            told.starts_with("someone (") && told.ends_with("since t1, last heard of at 2026-11-21T08:14:03Z"),
            "{told}"
        );
    }
}
