//! Keeps a run that has lost its lease from changing anything more.
//!
//! Whoever keeps the lease says how long it is certain to be held; everything that changes something outside this machine's
//! folder asks first. The clock goes on while the process or the machine is suspended, so that a run that was stopped for
//! too long finds out before its next change, whichever of its threads wakes up first.

use crate::error::Fault;
use crate::os;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// How long a wait goes on before it looks at the clock again, which may have leapt.
const SLICE: Duration = Duration::from_millis(200);

/// The code of what is not done any more.
pub const LEASE_LOST: &str = "lease-lost";

/// Clones share one state. Before there is a lease, and where none is needed, everything may be done.
#[derive(Clone, Default)]
pub struct Fence {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Default)]
enum State {
    #[default]
    Open,
    Held {
        /// In the time that [`os::uptime`] tells.
        until: Duration,
        /// How long a renewal lasts.
        lasts: Duration,
        /// Who renews it, and has to be able to when it has run out.
        keeper: Option<ThreadId>,
    },
    /// For good, and how.
    Lost(String),
}

impl Fence {
    /// The lease was asked for at `asked` and given for as long as `lasts`. Others count from when they have seen it, which
    /// was later; a fifth is left for what cannot be stopped at once.
    pub fn renewed(&self, asked: Duration, lasts: Duration) {
        let mut state = self.lock();
        let keeper = match &*state {
            State::Lost(_) => return,
            State::Held { keeper, .. } => *keeper,
            State::Open => None,
        };
        *state = State::Held { until: asked + lasts - lasts / 5, lasts, keeper };
        self.inner.changed.notify_all();
    }

    /// Lets this thread pass at all times: it keeps the lease.
    pub fn is_kept_here(&self) {
        if let State::Held { keeper, .. } = &mut *self.lock() {
            *keeper = Some(std::thread::current().id());
        }
    }

    /// Somebody else has the lease, or may have it.
    pub fn lose(&self, how: &str) {
        *self.lock() = State::Lost(how.to_owned());
        self.inner.changed.notify_all();
    }

    /// There is nothing to hold any more: the lease was given back, or was removed by ourselves. What is lost stays so.
    pub fn lift(&self) {
        let mut state = self.lock();
        if !matches!(*state, State::Lost(_)) {
            *state = State::Open;
        }
        self.inner.changed.notify_all();
    }

    /// Whether nobody else can have the lease at this moment.
    pub fn is_certain(&self) -> bool {
        match &*self.lock() {
            State::Open => true,
            State::Held { until, .. } => os::uptime() < *until,
            State::Lost(_) => false,
        }
    }

    /// What has to be said when the lease is lost.
    pub fn lost(&self) -> Option<Fault> {
        match &*self.lock() {
            State::Lost(how) => Some(fault(how)),
            _ => None,
        }
    }

    /// Whether something may be changed now. When the lease has run out it is waited for its renewal, or for what became of
    /// it, as long as one lasts and `stop` does not say otherwise.
    ///
    /// # Errors
    /// `lease-lost`, with who has it if that is known.
    pub fn check(&self, stop: &dyn Fn() -> bool) -> Result<(), Fault> {
        let started = Instant::now();
        let mut state = self.lock();
        loop {
            let lasts = match &*state {
                State::Open => return Ok(()),
                State::Lost(how) => return Err(fault(how)),
                State::Held { until, lasts, keeper } => {
                    if os::uptime() < *until || *keeper == Some(std::thread::current().id()) {
                        return Ok(());
                    }
                    *lasts
                }
            };
            if started.elapsed() >= lasts || stop() {
                return Err(fault("was not renewed in time and may be held by someone else"));
            }
            state = self.wait(state);
        }
    }

    /// Waits until nobody can be certain of the lease any more, and from then on until one can; `false` when there is
    /// nothing left to wait for.
    pub fn await_doubt(&self, doubted: bool) -> bool {
        let mut state = self.lock();
        loop {
            match &*state {
                State::Open => return false,
                State::Lost(_) => return !doubted,
                State::Held { until, .. } if (os::uptime() >= *until) != doubted => return true,
                State::Held { .. } => state = self.wait(state),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        match self.inner.changed.wait_timeout(state, SLICE) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }
}

fn fault(how: &str) -> Fault {
    let cause = format!("the lease on this deployment {how}; this run changes nothing more");
    Fault::failed(LEASE_LOST, cause).hint("wait until the other run is done, then run the same command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_millis(500);

    #[test]
    fn without_a_lease_everything_may_be_done() {
        let fence = Fence::default();
        assert!(fence.check(&|| false).is_ok() && fence.is_certain() && !fence.await_doubt(false));
        fence.renewed(os::uptime(), LASTS);
        fence.lift();
        assert!(fence.check(&|| false).is_ok());
    }

    #[test]
    fn what_was_not_renewed_in_time_ends_at_once_where_nobody_waits() {
        let fence = Fence::default();
        let asked = os::uptime().saturating_sub(LASTS);
        fence.renewed(asked, LASTS);
        assert!(!fence.is_certain());
        let fault = fence.check(&|| true).unwrap_err();
        assert!(fault.code == LEASE_LOST && fault.cause.contains("was not renewed in time"), "{}", fault.cause);
        // Whoever keeps it has to get through.
        fence.is_kept_here();
        assert!(fence.check(&|| true).is_ok());
        let elsewhere = fence.clone();
        assert!(std::thread::spawn(move || elsewhere.check(&|| true)).join().unwrap().is_err());
    }

    #[test]
    fn a_renewal_counts_from_when_it_was_asked_for_and_ends_a_fifth_early() {
        let fence = Fence::default();
        let lasts = Duration::from_secs(100);
        fence.renewed(os::uptime().saturating_sub(Duration::from_secs(79)), lasts);
        assert!(fence.is_certain());
        fence.renewed(os::uptime().saturating_sub(Duration::from_secs(80)), lasts);
        assert!(!fence.is_certain());
    }

    #[test]
    fn a_change_waits_for_what_becomes_of_a_lease_that_has_run_out() {
        for lost in [false, true] {
            let fence = Fence::default();
            let lasts = Duration::from_secs(60);
            fence.renewed(os::uptime().saturating_sub(lasts), lasts);
            let waiting = fence.clone();
            let change = std::thread::spawn(move || waiting.check(&|| false));
            assert!(fence.await_doubt(false) && !change.is_finished());
            if lost {
                fence.lose("went to you@there");
            } else {
                fence.renewed(os::uptime(), lasts);
            }
            let ended = change.join().unwrap();
            assert_eq!(ended.is_err(), lost, "{ended:?}");
            assert_eq!(ended.err(), fence.lost());
        }
    }

    #[test]
    fn what_is_lost_stays_lost() {
        let fence = Fence::default();
        fence.renewed(os::uptime(), LASTS);
        fence.lose("went to you@there");
        fence.renewed(os::uptime(), LASTS);
        fence.lift();
        assert!(fence.check(&|| false).unwrap_err().cause.contains("went to you@there"));
    }
}
