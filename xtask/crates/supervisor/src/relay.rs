//! The supervisor's own listener in front of a program that takes no socket: it has the port of the service, and passes
//! what comes there on to the version that serves.
//!
//! A connection belongs to the version that it was passed to until it ends, so that an answer under way is finished
//! while the next version takes what is new.

use super::note;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a connection waits for a version that takes it: one that has crashed is soon started again.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long somebody who was answered, and whose version has closed, may take to close as well.
const CLOSE_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
const BUFFER: usize = 16 * 1024;
/// A thread that copies needs little.
const STACK: usize = 128 * 1024;
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
        let Some((server, _counted)) = self.connect() else { return };
        // Somebody may close for writing and wait for an answer, and an answer may end before all of the question was read:
        // each direction ends by itself.
        let answered = AtomicBool::new(false);
        let _ = [client, &server].map(|stream| stream.set_nodelay(true));
        let _ = client.set_read_timeout(Some(CLOSE_WITHIN));
        thread::scope(|scope| {
            let back = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || {
                copy(&server, client, None);
                answered.store(true, Ordering::SeqCst);
            });
            if back.is_ok() {
                copy(client, &server, Some(&answered));
            }
        });
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

/// Copies one direction to its end. `answered` says that the other one has ended: then nothing is waited for any more.
fn copy(mut from: &TcpStream, mut to: &TcpStream, answered: Option<&AtomicBool>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(count) if count > 0 => {
                if to.write_all(&buffer[..count]).is_err() {
                    // What it has said before it closed may still be on its way back.
                    let _ = from.shutdown(Shutdown::Read);
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if answered.is_some_and(|answered| answered.load(Ordering::SeqCst)) {
                    return;
                }
            }
            Ok(_) | Err(_) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
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
mod tests {
    use super::*;

    fn relay() -> (Relay, SocketAddr) {
        let relay = Relay::on(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = relay.listen;
        (relay, address)
    }

    fn server() -> (TcpListener, SocketAddr) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        (server, address)
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client
    }

    fn all(mut stream: &TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn eventually(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            thread::yield_now();
        }
    }

    #[test]
    fn each_side_may_close_its_half_first() {
        let ((relay, address), (server, target)) = (relay(), server());
        relay.point(Some(target));
        let mut asks_and_closes = connect(address);
        asks_and_closes.write_all(b"question").unwrap();
        asks_and_closes.shutdown(Shutdown::Write).unwrap();
        let (mut there, _) = server.accept().unwrap();
        assert_eq!(all(&there), "question");
        there.write_all(b"answer").unwrap();
        drop(there);
        assert_eq!(all(&asks_and_closes), "answer");

        let mut says_more = connect(address);
        let (mut there, _) = server.accept().unwrap();
        there.write_all(b"hello").unwrap();
        there.shutdown(Shutdown::Write).unwrap();
        assert_eq!(all(&says_more), "hello");
        says_more.write_all(b"and more").unwrap();
        drop(says_more);
        assert_eq!(all(&there), "and more");
        drop(there);
        eventually("no connection is counted any more", || relay.is_left(target));
    }

    #[test]
    fn an_answer_under_way_is_finished_by_the_version_that_began_it() {
        let ((relay, address), (old, old_at), (new, new_at)) = (relay(), server(), server());
        relay.point(Some(old_at));
        let slow = connect(address);
        let (mut answering, _) = old.accept().unwrap();
        relay.point(Some(new_at));
        let next = connect(address);
        let (mut there, _) = new.accept().unwrap();
        there.write_all(b"new").unwrap();
        drop(there);
        assert_eq!(all(&next), "new");
        assert!(!relay.is_left(old_at));
        answering.write_all(b"old").unwrap();
        drop(answering);
        assert_eq!(all(&slow), "old");
        drop(slow);
        eventually("the old version is left", || relay.is_left(old_at));
    }

    #[test]
    fn what_comes_while_nobody_serves_waits() {
        let ((relay, address), (gone, gone_at), (server, target)) = (relay(), server(), server());
        let early = connect(address);
        drop(gone);
        relay.point(Some(gone_at));
        relay.point(Some(target));
        let (mut there, _) = server.accept().unwrap();
        there.write_all(b"late").unwrap();
        drop(there);
        assert_eq!(all(&early), "late");
    }

    #[test]
    fn many_connections_are_served_at_once() {
        let ((relay, address), (server, target)) = (relay(), server());
        relay.point(Some(target));
        let clients: Vec<TcpStream> = (0..100).map(|_| connect(address)).collect();
        let there: Vec<TcpStream> = clients.iter().map(|_| server.accept().unwrap().0).collect();
        clients.iter().enumerate().for_each(|(number, mut client)| write!(client, "{number}").unwrap());
        clients.iter().for_each(|client| client.shutdown(Shutdown::Write).unwrap());
        for mut stream in there {
            let text = all(&stream);
            write!(stream, "{text} again").unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            assert_eq!(all(client), format!("{number} again"));
        }
    }

    #[test]
    fn the_port_is_free_once_it_is_dropped() {
        let (relay, address) = relay();
        drop(relay);
        drop(TcpListener::bind(address).unwrap());
    }
}
