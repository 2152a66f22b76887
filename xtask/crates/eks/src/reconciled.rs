//! What the load balancer controller says of an Ingress: it tells by events, and tries again later and later.
//!
//! An old complaint says nothing of what is so now. The controller is therefore given a reason to look again, by an
//! annotation that comes and goes, and only what it says after that counts.

use kube::object;
use kube::{Api, path};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How often it is given a reason to look again while it complains.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// For how long it may complain of what no waiting mends.
const PERSISTS: Duration = Duration::from_secs(12);
/// For how long of what may pass by itself: rights that AWS has not spread yet, a service that is asked too often.
const MAY_PASS: Duration = Duration::from_secs(120);
/// How long an old complaint may go unrepeated before it counts as settled.
const SETTLED: Duration = Duration::from_secs(10);

/// Words of complaints that may pass by themselves.
const PASSING: [&str; 9] = [
    "AccessDenied",
    "UnauthorizedOperation",
    "not authorized to perform",
    "Throttl",
    "RequestLimitExceeded",
    "TooManyRequests",
    "timeout",
    "connection re",
    "refresh cached credentials",
];

/// What our policy tells another deployment's controller (`helm/ingress-guard`): its complaint of that is not ours.
const GUARDED: &str = "this Ingress is served by the load balancer controller in namespace";

const ASKED: &str = "slipway/asked-again";

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// `FailedBuildModel`
    pub(super) reason: String,
    /// The controller's own words.
    pub(super) words: String,
    /// Tells it from the same one at another time.
    mark: String,
}

impl Complaint {
    fn may_pass(&self) -> bool {
        PASSING.iter().any(|word| self.words.contains(word))
    }
}

/// The events of an Ingress.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn events(api: &Api, namespace: &str, ingress: &str) -> Result<Vec<Value>, kube::Refusal> {
    let fields = format!("involvedObject.kind=Ingress,involvedObject.name={ingress}");
    api.list(&path::with_query(&path::EVENT.within(namespace), &[("fieldSelector", &fields)]), "")
}

/// What the controller complains of, unless the last it said is that all is well.
pub(super) fn complaint(events: &[Value]) -> Option<Complaint> {
    let told = |event: &&Value| {
        let reason = object::text(event, "/reason");
        let is_ours = !object::text(event, "/message").contains(GUARDED);
        is_ours && (reason == "SuccessfullyReconciled" || reason.starts_with("Failed"))
    };
    let newest = events.iter().filter(told).max_by_key(|event| moment(event))?;
    if object::text(newest, "/reason") == "SuccessfullyReconciled" {
        return None;
    }
    let (second, fraction) = moment(newest);
    Some(Complaint {
        reason: object::text(newest, "/reason").to_owned(),
        words: object::text(newest, "/message").to_owned(),
        mark: format!("{}/{}/{second}.{fraction}", object::name(newest), object::number(newest, "/count")),
    })
}

/// When an event was last seen, to be compared: the second, and its fraction, which only some of the fields have.
fn moment(event: &Value) -> (&str, &str) {
    let of = |pointer: &str| Some(object::text(event, pointer)).filter(|text| !text.is_empty());
    let time = of("/series/lastObservedTime").or(of("/lastTimestamp")).or(of("/eventTime")).unwrap_or_default();
    let time = time.trim_end_matches('Z');
    time.split_once('.').unwrap_or((time, ""))
}

/// What is to be done after a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Done,
    Wait,
    /// Give it a reason to look again, then wait.
    Ask,
    GiveUp(Complaint),
}

/// Follows one Ingress.
#[derive(Default)]
pub(super) struct Watch {
    /// The complaint that was there before.
    old: Option<Option<Complaint>>,
    asked: Option<Instant>,
    /// When the first new complaint was seen.
    complains: Option<Instant>,
}

impl Watch {
    /// `has_balancer`: the Ingress reports one.
    pub(super) fn next(&mut self, has_balancer: bool, complaint: Option<&Complaint>, now: Instant) -> Next {
        let old = self.old.get_or_insert_with(|| complaint.cloned()).clone();
        let Some(complaint) = complaint else {
            self.complains = None;
            return if has_balancer { Next::Done } else { Next::Wait };
        };
        let passed = |since: Instant| now.saturating_duration_since(since);
        if old.as_ref() == Some(complaint) && self.complains.is_none() {
            return match self.asked {
                Some(asked) if passed(asked) < SETTLED => Next::Wait,
                Some(_) if has_balancer => Next::Done,
                Some(asked) if passed(asked) < SETTLED * 2 => Next::Wait,
                _ => self.ask(now),
            };
        }
        let since = *self.complains.get_or_insert(now);
        let allowed = if complaint.may_pass() { MAY_PASS } else { PERSISTS };
        match self.asked {
            _ if passed(since) >= allowed => Next::GiveUp(complaint.clone()),
            Some(asked) if passed(asked) < ASK_AGAIN => Next::Wait,
            _ => self.ask(now),
        }
    }

    fn ask(&mut self, now: Instant) -> Next {
        self.asked = Some(now);
        Next::Ask
    }
}

/// Gives the controller a reason to look at an Ingress again, and leaves nothing behind.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn ask_again(api: &Api, ingress: &str) -> Result<(), kube::Refusal> {
    for value in [json!("now"), Value::Null] {
        api.merge(ingress, &json!({"metadata": {"annotations": {ASKED: value}}}))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str, at: &str, count: u64) -> Value {
        json!({
            "metadata": {"name": reason}, "reason": reason, "message": format!("{reason} due to x"),
            "lastTimestamp": at, "count": count,
        })
    }

    #[test]
    fn only_the_last_word_counts() {
        let failed = |count| event("FailedBuildModel", "2026-01-01T00:00:05Z", count);
        let well = |at: &str| event("SuccessfullyReconciled", at, 1);
        assert_eq!(complaint(&[well("2026-01-01T00:00:09Z"), failed(1)]), None);
        let told = complaint(&[failed(1), well("2026-01-01T00:00:01Z")]).unwrap();
        assert_eq!((told.reason.as_str(), told.words.as_str()), ("FailedBuildModel", "FailedBuildModel due to x"));
        assert_ne!(Some(told), complaint(&[failed(2)]));
        assert_eq!(complaint(&[event("Scheduled", "2026-01-01T00:00:09Z", 1)]), None);
    }

    #[test]
    fn a_whole_second_comes_before_its_fractions() {
        let mut well = event("SuccessfullyReconciled", "", 1);
        well["series"] = json!({"lastObservedTime": "2026-01-01T00:00:05.900000Z"});
        let failed = event("FailedBuildModel", "2026-01-01T00:00:05Z", 1);
        assert_eq!(complaint(&[well, failed]), None);
    }

    #[test]
    fn what_another_deployment_s_controller_complains_of_is_not_ours() {
        let mut denied = event("FailedUpdateStatus", "2026-01-01T00:00:09Z", 1);
        denied["message"] = json!(format!("denied request: {GUARDED} ours"));
        assert_eq!(complaint(&[event("SuccessfullyReconciled", "2026-01-01T00:00:01Z", 1), denied]), None);
    }

    fn told(words: &str, mark: &str) -> Complaint {
        Complaint { reason: "FailedBuildModel".to_owned(), words: words.to_owned(), mark: mark.to_owned() }
    }

    #[test]
    fn what_no_waiting_mends_is_given_up_early_and_only_when_it_is_said_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (old, new) = (told("subnets", "1"), told("subnets", "2"));
        let mut watch = Watch::default();
        assert_eq!(watch.next(false, Some(&old), at(0)), Next::Ask);
        assert_eq!(watch.next(false, Some(&old), at(1)), Next::Wait);
        assert_eq!(watch.next(false, Some(&new), at(2)), Next::Wait);
        assert_eq!(watch.next(false, Some(&new), at(6)), Next::Ask);
        assert_eq!(watch.next(false, Some(&new), at(15)), Next::GiveUp(new.clone()));
        // It was mended meanwhile.
        let mut watch = Watch::default();
        assert_eq!(watch.next(false, Some(&old), at(0)), Next::Ask);
        assert_eq!(watch.next(false, None, at(1)), Next::Wait);
        assert_eq!(watch.next(true, None, at(2)), Next::Done);
    }

    #[test]
    fn what_may_pass_is_waited_for_longer_and_an_old_complaint_is_no_reason() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let denied = told("UnauthorizedOperation: you are not", "2");
        let mut watch = Watch::default();
        assert_eq!(watch.next(false, None, at(0)), Next::Wait);
        assert_eq!(watch.next(false, Some(&denied), at(1)), Next::Ask);
        assert_eq!(watch.next(false, Some(&denied), at(60)), Next::Ask);
        assert_eq!(watch.next(false, Some(&denied), at(121)), Next::GiveUp(denied.clone()));
        let mut watch = Watch::default();
        assert_eq!(watch.next(true, Some(&denied), at(0)), Next::Ask);
        assert_eq!(watch.next(true, Some(&denied), at(11)), Next::Done);
    }
}
