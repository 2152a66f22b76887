//! The programs that run for us at this moment, so that a signal reaches them and a lease can name them.

use crate::os::{self, ProcessId};
use duct::Handle;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The programs that run for us at this moment. Clones share one list.
#[derive(Clone, Default)]
pub struct Children {
    list: Arc<Mutex<BTreeMap<u32, Child>>>,
    observer: Arc<Mutex<Option<Observer>>>,
}

type Observer = Box<dyn Fn(&[Child]) + Send>;

/// A running child, with the identity that tells it from a later process of the same number.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    pub id: ProcessId,
    pub program: String,
}

impl Children {
    /// Calls `observer` with the whole list at every change, so that a lease can name our children.
    pub fn observe(&self, observer: impl Fn(&[Child]) + Send + 'static) {
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(observer));
    }

    pub fn stop_observing(&self) {
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sends a signal to every child that still runs.
    pub fn signal_all(&self, signal: Signal) {
        self.signal_those(signal, |_| true);
    }

    /// The same to those whose program is meant.
    pub fn signal_those(&self, signal: Signal, is_meant: impl Fn(&str) -> bool) {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        for child in list.values().filter(|child| is_meant(&child.program)) {
            // It may have ended meanwhile, which is what was asked for. Its number may then be another's.
            os::signal(&child.id, signal);
        }
    }

    /// Has a program on the list for as long as what it gives back is kept.
    pub(crate) fn add(&self, handle: &Handle, program: &str) -> Listed<'_> {
        let pids = handle.pids();
        for pid in &pids {
            // A child that has already ended has no identity, and nobody needs to know of it.
            if let Some(id) = os::identity(*pid) {
                let child = Child { id, program: program.to_owned() };
                self.list.lock().unwrap_or_else(PoisonError::into_inner).insert(*pid, child);
            }
        }
        self.notify();
        Listed { children: self, pids }
    }

    /// The same for one that was started apart.
    pub fn list(&self, id: ProcessId, program: &str) -> Listed<'_> {
        let pids = vec![id.pid];
        let child = Child { id, program: program.to_owned() };
        self.list.lock().unwrap_or_else(PoisonError::into_inner).insert(pids[0], child);
        self.notify();
        Listed { children: self, pids }
    }

    fn notify(&self) {
        let children: Vec<Child> = self.list.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        if let Some(observer) = &*self.observer.lock().unwrap_or_else(PoisonError::into_inner) {
            observer(&children);
        }
    }
}

/// Keeps children on the list while it lives.
pub struct Listed<'a> {
    children: &'a Children,
    pids: Vec<u32>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        for pid in &self.pids {
            self.children.list.lock().unwrap_or_else(PoisonError::into_inner).remove(pid);
        }
        self.children.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test starts the program that it is about")]
    fn a_number_that_is_another_process_by_now_gets_no_signal() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = crate::os::identity(child.id()).unwrap();
        let mut earlier = id.to_json();
        earlier["started"] = "earlier".into();
        let earlier = ProcessId::from_json(&earlier).unwrap();
        let children = Children::default();
        let program = || "sleep".to_owned();
        let list = |id: ProcessId| children.list.lock().unwrap().insert(id.pid, Child { id, program: program() });
        list(earlier);
        children.signal_all(Signal::SIGKILL);
        list(id);
        children.signal_all(Signal::SIGTERM);
        // Had it been sent the first one, it would have ended of that.
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
    }
}
