//! How long what may become a failure has been so.

use super::super::diagnostics::Finding;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is gone for a moment, as between two attempts, is taken for the same when it is back.
const GAP: Duration = Duration::from_secs(5);

/// Remembers since when each finding was there. The clock is the caller's own: the cluster's may differ.
#[derive(Default)]
pub(super) struct Debounce {
    seen: BTreeMap<(&'static str, String), Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    first: Instant,
    last: Instant,
}

impl Debounce {
    /// The findings that have been there for longer than they may.
    pub(super) fn lost(&mut self, findings: &[Finding], now: Instant) -> Vec<Finding> {
        let lost = findings.iter().filter(|finding| self.lost_one(finding, now)).cloned().collect();
        self.seen.retain(|_, seen| now.duration_since(seen.last) <= GAP);
        lost
    }

    pub(super) fn lost_one(&mut self, finding: &Finding, now: Instant) -> bool {
        let fresh = Seen { first: now, last: now };
        let seen = self.seen.entry((finding.code, finding.about.clone())).or_insert(fresh);
        if now.duration_since(seen.last) > GAP {
            *seen = fresh;
        }
        seen.last = now;
        now.duration_since(seen.first) >= finding.debounce
    }

    /// For how long a finding has been there.
    pub(super) fn age(&self, finding: &Finding) -> Option<Duration> {
        let seen = self.seen.get(&(finding.code, finding.about.clone()))?;
        Some(seen.last.duration_since(seen.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(about: &str, seconds: u64) -> Finding {
        Finding {
            code: "image-pull",
            cause: String::new(),
            hint: String::new(),
            service: None,
            about: about.to_owned(),
            debounce: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn what_cannot_be_waited_for_is_lost_at_once() {
        let mut debounce = Debounce::default();
        assert_eq!(debounce.lost(&[finding("a", 0), finding("b", 1)], Instant::now()), [finding("a", 0)]);
    }

    #[test]
    fn the_debounce_begins_anew_with_what_is_new_or_was_away_for_long() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut debounce = Debounce::default();
        assert!(debounce.lost(&[finding("a", 8)], at(0)).is_empty());
        assert!(debounce.lost(&[finding("b", 8)], at(4)).is_empty());
        // Gone for a moment only.
        assert!(debounce.lost(&[finding("a", 8)], at(5)).is_empty());
        assert_eq!(debounce.lost(&[finding("a", 8), finding("b", 8)], at(8)), [finding("a", 8)]);
        assert!(debounce.lost(&[finding("a", 8)], at(20)).is_empty());
        assert_eq!(debounce.age(&finding("a", 8)), Some(Duration::ZERO));
    }
}
