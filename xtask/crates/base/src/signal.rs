//! Ctrl-C, SIGTERM, and SIGHUP, which is as Ctrl-C. The first ends our own waits and lets running tools finish, the second sends them SIGTERM, the
//! third SIGKILL.
//!
//! A handler is installed, never `SIG_IGN`: ignoring is inherited by children and would make Ctrl-C dead for them.
//! Foreground tools stay in our process group, so a terminal's Ctrl-C reaches them as their authors expect.

use crate::children::Children;
use crate::os;
use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What has arrived so far. Clones share one state.
#[derive(Clone, Default)]
pub struct Interrupts {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    count: AtomicUsize,
    first: AtomicI32,
    lock: Mutex<()>,
    arrived: Condvar,
}

impl Interrupts {
    /// Installs the handlers for the life of the process.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install(children: Children) -> Result<Self> {
        let interrupts = Self::default();
        // Whoever has started this under `nohup` wants it to go on without a terminal.
        let hangup = (!os::is_ignored(Signal::SIGHUP)).then_some(SIGHUP);
        let mut incoming =
            Incoming::new([SIGINT, SIGTERM].into_iter().chain(hangup)).context("install the signal handlers")?;
        // Another one of us that has started this keeps hang-ups from what it starts, see `proc`.
        SigSet::from(Signal::SIGHUP).thread_unblock().context("take signals")?;
        let seen = interrupts.clone();
        std::thread::spawn(move || {
            for signal in incoming.forever() {
                match seen.record(signal) {
                    1 => {}
                    2 => children.signal_all(Signal::SIGTERM),
                    _ => children.signal_all(Signal::SIGKILL),
                }
            }
        });
        Ok(interrupts)
    }

    fn record(&self, signal: i32) -> usize {
        let signal = if signal == SIGHUP { SIGINT } else { signal };
        let _ = self.state.first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        let count = self.state.count.fetch_add(1, Ordering::SeqCst) + 1;
        drop(self.state.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.state.arrived.notify_all();
        count
    }

    /// Ends the run as a signal would, for a reason that came up within it.
    pub fn stop(&self) {
        self.record(SIGTERM);
    }

    /// The first signal that arrived.
    pub fn first(&self) -> Option<i32> {
        match self.state.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }

    pub fn stopping(&self) -> bool {
        self.first().is_some()
    }

    /// How many have arrived.
    pub fn count(&self) -> usize {
        self.state.count.load(Ordering::SeqCst)
    }

    /// Waits, and returns early with `true` as soon as a signal has arrived.
    pub fn pause(&self, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        let mut guard = self.state.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.stopping() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            guard = match self.state.arrived.wait_timeout(guard, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_when_a_signal_arrives() {
        let interrupts = Interrupts::default();
        let other = interrupts.clone();
        let waiting = std::thread::spawn(move || other.pause(Duration::from_secs(60)));
        interrupts.record(SIGTERM);
        assert!(waiting.join().unwrap());
        assert_eq!(interrupts.first(), Some(SIGTERM));
    }

    #[test]
    fn a_hangup_is_as_ctrl_c() {
        let interrupts = Interrupts::default();
        interrupts.record(SIGHUP);
        assert_eq!(interrupts.first(), Some(SIGINT));
    }

    #[test]
    fn the_first_signal_names_the_exit_code() {
        let interrupts = Interrupts::default();
        interrupts.record(SIGINT);
        assert_eq!(interrupts.record(SIGTERM), 2);
        assert_eq!(interrupts.first(), Some(SIGINT));
    }
}
