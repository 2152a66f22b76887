//! The lease of a deployment on AWS: an object in its bucket, written on the condition that nobody else has written.
//!
//! Like the one in a cluster it is renewed while its owner lives, and is taken over from one that does not. A call to AWS
//! takes most of a second and is paid for, so that it beats more slowly.

use super::state::{Bucket, If, Object};
use crate::{Refusal, Trouble};
use anyhow::Result;
use base::error::Fault;
use engine::lease::{Claim, owner};
use serde_json::{Value, json};
use shared_lease::{Candidate, Pace, Place, Refused, Seen, SharedLease, heard_of, holder, micro_time};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The key of the lease.
pub const LEASE: &str = "lease.json";

/// How long a lease lasts that is not renewed: two renewals may fail, or be throttled for as long.
const LASTS: Duration = Duration::from_secs(60);

/// Three programs a minute are not felt beside a deploy, and cost half a cent in a thousand minutes.
const PACE: Pace =
    Pace { heartbeat: Duration::from_secs(20), look: Duration::from_secs(2), return_within: Duration::from_secs(5) };

/// Takes the lease in a bucket, which it makes if `makes` says so and there is none, or says who holds it.
///
/// `found` is what has just been read of it. The removal of the bucket ends the lease.
///
/// # Errors
/// `lease-held`, or what AWS says.
pub fn take(
    bucket: &Arc<Bucket>,
    claim: &Claim<'_>,
    candidate: &Candidate,
    found: Option<Object>,
) -> Result<SharedLease> {
    let place = InBucket { bucket: Arc::clone(bucket), folder: candidate.folder.clone() };
    let lease = SharedLease::take_with(&place, candidate, claim, found)?;
    if let Some(end) = lease.end() {
        bucket.before_removal(move || end.let_go(PACE.return_within));
    }
    Ok(lease)
}

#[derive(Clone)]
struct InBucket {
    bucket: Arc<Bucket>,
    folder: String,
}

impl InBucket {
    fn put(&self, document: Value, condition: &If) -> Result<Object, Refusal> {
        let etag = self.bucket.put(LEASE, &document, condition)?;
        Ok(Object { document, etag })
    }

    fn refused(&self, refusal: &Refusal) -> Refused {
        match refusal.trouble {
            // Without an answer it may have been written: reading tells.
            Trouble::Conflict | Trouble::Unanswered => Refused::Conflict,
            _ => Refused::Fault(self.fault(refusal)),
        }
    }

    fn fault(&self, refusal: &Refusal) -> Fault {
        crate::fault(&format!("take the lease in bucket `{}`", self.bucket.name()), refusal)
    }
}

impl Place for InBucket {
    type Found = Object;

    fn read(&self) -> Result<Option<Object>, Refused> {
        self.bucket.get(LEASE).map_err(|refusal| Refused::Fault(self.fault(&refusal)))
    }

    fn write(&self, claim: &Claim<'_>, found: Option<&Object>) -> Result<Object, Refused> {
        let document = document(claim, &self.folder, found.map(|found| &found.document));
        let condition = found.map_or(If::Absent, |found| If::Is(found.etag.clone()));
        match self.put(document.clone(), &condition) {
            Err(refusal) if refusal.code == "NoSuchBucket" => {
                self.bucket.make().map_err(|error| Refused::Fault(Fault::of(&error)))?;
                self.put(document, &If::Absent)
            }
            written => written,
        }
        .map_err(|refusal| self.refused(&refusal))
    }

    fn renew(&self, lease: &Object) -> Result<Object, Refused> {
        let mut document = lease.document.clone();
        document["renewed"] = json!(micro_time(SystemTime::now()));
        self.put(document, &If::Is(lease.etag.clone())).map_err(|refusal| match refusal.code.as_str() {
            "NoSuchBucket" => Refused::Conflict,
            _ => self.refused(&refusal),
        })
    }

    fn free(&self, lease: Object) {
        let (owner, transitions) = (&lease.document["owner"], &lease.document["transitions"]);
        let free = json!({"schema": 1, "owner": owner, "transitions": transitions});
        let _ = self.bucket.put(LEASE, &free, &If::Is(lease.etag));
    }

    fn seen(&self, lease: &Object) -> Seen {
        seen(&lease.document)
    }

    fn gone(&self) -> Option<String> {
        Some(format!("is gone: someone removed `{LEASE}` or bucket `{}`", self.bucket.name()))
    }

    fn pace(&self) -> Pace {
        PACE
    }
}

/// The lease as ours, in the place of `found`.
fn document(claim: &Claim<'_>, folder: &str, found: Option<&Value>) -> Value {
    let transitions = found.map(|found| found["transitions"].as_u64().unwrap_or_default() + 1).unwrap_or_default();
    json!({
        "schema": 1, "holder": holder(claim), "owner": owner(claim), "folder": folder, "lasts": LASTS.as_secs(),
        "renewed": micro_time(SystemTime::now()), "transitions": transitions,
    })
}

fn seen(document: &Value) -> Seen {
    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    let mut owner = document["owner"].clone();
    if !owner.is_object() {
        owner = json!({"who": document["holder"]});
    }
    heard_of(&mut owner, &text("renewed"));
    Seen {
        holder: text("holder"),
        folder: text("folder"),
        renewed: document["renewed"].clone(),
        lasts: document["lasts"].as_u64().map_or(LASTS, Duration::from_secs),
        owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::lease::describe;

    #[test]
    fn what_is_written_names_its_owner() {
        let claim = Claim { who: "me@here".to_owned(), command: "deploy", run: "r" };
        let first = document(&claim, "here", None);
        let found = seen(&first);
        assert_eq!((found.folder.as_str(), found.lasts), ("here", LASTS));
        assert!(found.holder.starts_with("me@here ") && found.holder.ends_with(" r"), "{}", found.holder);
        let told = describe(&found.owner);
        assert!(told.starts_with("me@here (process ") && told.contains("`cargo xtask deploy`"), "{told}");
        assert!(!told.contains('?') && !told.contains('.'), "{told}");
        assert_eq!(document(&claim, "here", Some(&first))["transitions"], 1);
    }

    #[test]
    fn what_was_given_back_is_nobody_s() {
        let free = json!({"schema": 1, "owner": {"who": "me@here"}, "transitions": 3});
        assert_eq!(seen(&free).holder, "");
    }
}
