//! Liveness (should this process be restarted?) and readiness (should it get requests?).
//!
//! Readiness is the conjunction of named [`Condition`]s: what the service needs from outside. Liveness is about the
//! process itself: every background loop holds a [`Heartbeat`], and one that dies or falls silent makes it fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::fault::Fault;

/// The health of this process; clones share it.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    /// The unmet conditions' reasons by name; met ones are not in it.
    unmet: watch::Sender<BTreeMap<&'static str, String>>,
    pulses: Mutex<BTreeMap<&'static str, Pulse>>,
    unhealthy_at: Option<Instant>,
}

enum Pulse {
    Last { at: Instant, max_silence: Duration },
    Dead,
    Retired,
}

/// Something that has to be so before the service can answer requests.
#[derive(Clone)]
pub struct Condition {
    health: Health,
    name: &'static str,
}

/// Proof of life of a background loop. Dropping it says that the loop has ended.
pub struct Heartbeat {
    health: Health,
    name: &'static str,
    max_silence: Duration,
}

impl Health {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        let unhealthy_at = match fault {
            Some(Fault::UnhealthyAfter(after)) => Some(Instant::now() + after),
            _ => None,
        };
        let health = Self(Arc::new(Inner { unmet: watch::Sender::default(), pulses: Mutex::default(), unhealthy_at }));
        if fault == Some(Fault::NeverReady) {
            health.condition("fault", "`FAULT` is `never-ready`");
        }
        health
    }

    /// Adds a condition that is not met yet, for this reason.
    pub fn condition(&self, name: &'static str, reason: &str) -> Condition {
        let condition = Condition { health: self.clone(), name };
        condition.unmet(reason);
        condition
    }

    /// Watches over a loop that will [beat](Heartbeat::beat) at least once in `max_silence`.
    #[must_use]
    pub fn heartbeat(&self, name: &'static str, max_silence: Duration) -> Heartbeat {
        let heartbeat = Heartbeat { health: self.clone(), name, max_silence };
        heartbeat.beat();
        heartbeat
    }

    /// Why requests should go elsewhere, if they should.
    pub(crate) fn not_ready_because(&self) -> Option<String> {
        let unmet = self.0.unmet.borrow();
        let reasons: Vec<&str> = unmet.values().map(String::as_str).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Why the process should be restarted, if it should.
    pub fn not_alive_because(&self) -> Option<String> {
        let now = Instant::now();
        if self.0.unhealthy_at.is_some_and(|at| at <= now) {
            return Some("`FAULT` is `unhealthy-after`".to_owned());
        }
        let pulses = self.pulses();
        pulses.iter().find_map(|(name, pulse)| match pulse {
            Pulse::Retired => None,
            Pulse::Dead => Some(format!("`{name}` has died")),
            Pulse::Last { at, max_silence } => {
                let silence = now.saturating_duration_since(*at);
                (silence > *max_silence).then(|| format!("`{name}` has been stuck for {} s", silence.as_secs()))
            }
        })
    }

    /// Returns once every condition is met.
    pub(crate) async fn wait_until_ready(&self) {
        let mut unmet = self.0.unmet.subscribe();
        // The sender lives in `self`, so that the only error, a closed channel, cannot occur.
        let _ = unmet.wait_for(BTreeMap::is_empty).await;
    }

    fn set_pulse(&self, name: &'static str, pulse: Pulse) {
        self.pulses().insert(name, pulse);
    }

    fn pulses(&self) -> MutexGuard<'_, BTreeMap<&'static str, Pulse>> {
        self.0.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// It is so.
    pub fn met(&self) {
        let changed = self.health.0.unmet.send_if_modified(|unmet| unmet.remove(self.name).is_some());
        if changed {
            tracing::info!(condition = self.name, "condition met");
        }
    }

    /// It is not so, for this reason.
    pub fn unmet(&self, reason: &str) {
        let changed = self.health.0.unmet.send_if_modified(|unmet| {
            let before = unmet.insert(self.name, reason.to_owned());
            before.is_none_or(|before| before != reason)
        });
        if changed {
            tracing::warn!(condition = self.name, reason, "not ready");
        }
    }
}

impl Heartbeat {
    /// The loop has ended as it should; it is not watched over any longer.
    pub fn retire(self) {
        self.health.set_pulse(self.name, Pulse::Retired);
    }

    /// The loop is alive now.
    pub fn beat(&self) {
        self.health.set_pulse(self.name, Pulse::Last { at: Instant::now(), max_silence: self.max_silence });
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let mut pulses = self.health.pulses();
        if !matches!(pulses.get(self.name), Some(Pulse::Retired)) {
            pulses.insert(self.name, Pulse::Dead);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Health;
    use crate::fault::Fault;
    use std::time::Duration;

    #[test]
    fn ready_when_every_condition_is_met() {
        let health = Health::new(None);
        assert_eq!(health.not_ready_because(), None);
        let store = health.condition("store", "redis unreachable");
        let queue = health.condition("queue", "no queue yet");
        assert_eq!(health.not_ready_because().unwrap(), "no queue yet; redis unreachable");
        store.met();
        queue.met();
        assert_eq!(health.not_ready_because(), None);
        queue.unmet("gone");
        assert_eq!(health.not_ready_because().unwrap(), "gone");
    }

    #[test]
    fn a_loop_that_died_or_is_silent_is_not_alive() {
        let health = Health::new(None);
        let steady = health.heartbeat("steady", Duration::from_secs(60));
        assert_eq!(health.not_alive_because(), None);
        let silent = health.heartbeat("silent", Duration::ZERO);
        while health.not_alive_because().is_none() {
            std::thread::yield_now();
        }
        assert!(health.not_alive_because().unwrap().starts_with("`silent` has been stuck"));
        drop(silent);
        assert_eq!(health.not_alive_because().unwrap(), "`silent` has died");
        let health = Health::new(None);
        health.heartbeat("brief", Duration::ZERO).retire();
        assert_eq!(health.not_alive_because(), None);
        drop(steady);
    }

    #[test]
    fn faults() {
        assert!(Health::new(Some(Fault::NeverReady)).not_ready_because().is_some());
        let unhealthy = Health::new(Some(Fault::UnhealthyAfter(Duration::ZERO)));
        assert!(unhealthy.not_alive_because().is_some());
        let later = Health::new(Some(Fault::UnhealthyAfter(Duration::from_secs(60))));
        assert_eq!(later.not_alive_because(), None);
    }
}
