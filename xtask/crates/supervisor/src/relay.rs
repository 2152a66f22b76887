//! The supervisor's own listener in front of a program that takes no socket: it has the port of the service, and passes
//! what comes there on to the version that serves.
//!
//! A connection belongs to the version that it was passed to until it ends, so that an answer under way is finished
//! while the next version takes what is new. Where it is kept for several requests, the next of them is new.

mod talk;

use self::talk::{CLOSE_WITHIN, Talk};
use super::note;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a connection waits for a version that takes it: one that has crashed is soon started again.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// A thread that copies needs little.
pub(super) const STACK: usize = 128 * 1024;
/// As many open files as the supervisor allows itself, where the system lets it: a connection has two.
const OPEN_FILES: u64 = 8192;
/// One relay takes so much of them for its connections; the next ones wait to be accepted.
const SHARE: u64 = 4;

/// A listener, and the version that serves behind it. It listens until it is dropped.
pub(super) struct Relay {
    listen: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    most: usize,
}

#[derive(Default)]
struct State {
    /// Nobody serves while it is started again; then connections wait.
    target: Option<SocketAddr>,
    /// The connections of each version.
    open: BTreeMap<SocketAddr, usize>,
    closed: bool,
}

impl Relay {
    /// # Errors
    /// When no thread can be started.
    pub(super) fn on(listener: TcpListener) -> std::io::Result<Self> {
        let listen = listener.local_addr()?;
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), most: most_connections() });
        let other = Arc::clone(&shared);
        let acceptor = thread::Builder::new().spawn(move || other.accept(&listener))?;
        Ok(Self { listen, shared, acceptor: Some(acceptor) })
    }

    /// Passes new connections on to this address from now on.
    pub(super) fn point(&self, target: Option<SocketAddr>) {
        let mut state = self.shared.lock();
        if state.target != target {
            state.target = target;
            self.shared.changed.notify_all();
        }
    }

    /// Whether a version has no connection any more.
    pub(super) fn is_left(&self, target: SocketAddr) -> bool {
        !self.shared.lock().open.contains_key(&target)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        // It wakes up for a connection. Where none can be made, others are there.
        let mut address = self.listen;
        match address {
            SocketAddr::V4(_) if address.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) if address.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        // The port is free when it has ended.
        self.acceptor.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        loop {
            let full = |state: &mut State| !state.closed && state.open.values().sum::<usize>() >= self.most;
            drop(self.changed.wait_while(self.lock(), full));
            let accepted = listener.accept();
            if self.lock().closed {
                return;
            }
            let Ok((client, _)) = accepted else {
                // There is no descriptor left, or whoever came has gone.
                thread::sleep(POLL);
                continue;
            };
            let other = Arc::clone(&self);
            let passing = thread::Builder::new().stack_size(STACK).spawn(move || other.pass(&client));
            if let Err(error) = passing {
                note(&format!("a connection to {:?} is closed: {error}", listener.local_addr().ok()));
                thread::sleep(POLL);
            }
        }
    }

    fn pass(&self, client: &TcpStream) {
        let _ = client.set_nodelay(true).and_then(|()| client.set_read_timeout(Some(CLOSE_WITHIN)));
        let mut said = Some(Vec::new());
        while let Some(first) = said {
            let Some((server, counted)) = self.connect() else { return };
            let _ = server.set_nodelay(true);
            let is_over = || self.lock().target.is_some_and(|serves| serves != counted.target);
            said = Talk::default().relay(client, &server, &first, &is_over);
        }
    }

    /// A connection to the version that serves, which counts as its own while the second part is kept.
    fn connect(&self) -> Option<(TcpStream, Counted<'_>)> {
        let deadline = Instant::now() + CONNECT_WITHIN;
        loop {
            let counted = self.count(deadline)?;
            let left = deadline.saturating_duration_since(Instant::now()).max(POLL);
            match TcpStream::connect_timeout(&counted.target, left) {
                Ok(server) => return Some((server, counted)),
                Err(_) if Instant::now() >= deadline => return None,
                // It has just ended, which is noticed soon.
                Err(_) => drop(counted),
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for a version that serves, and counts a connection to it before anybody can think that it has none.
    fn count(&self, deadline: Instant) -> Option<Counted<'_>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let nobody = |state: &mut State| state.target.is_none() && !state.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), left, nobody);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let target = state.target?;
        *state.open.entry(target).or_default() += 1;
        Some(Counted { shared: self, target })
    }
}

/// A connection of a version.
struct Counted<'a> {
    shared: &'a Shared,
    target: SocketAddr,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(open) = state.open.get_mut(&self.target) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(&self.target);
            }
        }
        self.shared.changed.notify_all();
    }
}

/// How many connections one relay may have.
fn most_connections() -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((256, 256));
    let wanted = hard.min(OPEN_FILES).max(soft);
    let raised = wanted == soft || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    let allowed = if raised { wanted } else { soft };
    usize::try_from(allowed / SHARE).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests;
