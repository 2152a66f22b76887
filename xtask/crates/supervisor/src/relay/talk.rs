//! What a client and a server say to each other, passed on in both directions.

use super::{POLL, STACK};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long somebody who was answered by a server that has closed may take to close as well.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(30);
/// How long a server may take to close once it was told that nothing more comes.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
const BUFFER: usize = 16 * 1024;

/// What the two directions know of each other. Each ends by itself: somebody may close for writing and wait for the
/// answer, and an answer may end before all of the question was read.
#[derive(Default)]
pub(super) struct Talk {
    /// What was said last came from the server.
    heard: AtomicBool,
    /// The server has said all.
    answered: AtomicBool,
    /// The client goes on with another server.
    moves: AtomicBool,
}

impl Talk {
    /// Passes everything on until both have ended, `first` before that. Returns what the client has said where it begins
    /// another request and this server is over: that is for the next one.
    pub(super) fn relay(
        &self,
        client: &TcpStream,
        server: &TcpStream,
        first: &[u8],
        is_over: &dyn Fn() -> bool,
    ) -> Option<Vec<u8>> {
        let mut to = server;
        to.write_all(first).ok()?;
        thread::scope(|scope| {
            let back = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || self.answer(server, client));
            back.ok()?;
            let said = self.ask(client, server, is_over)?;
            let deadline = Instant::now() + LEAVE_WITHIN;
            while !self.answered.load(Ordering::SeqCst) {
                if Instant::now() >= deadline {
                    // It has more to say to what was asked before, or does not notice.
                    let _ = (server.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
                    return None;
                }
                thread::sleep(POLL / 10);
            }
            Some(said)
        })
    }

    fn ask(&self, mut client: &TcpStream, mut server: &TcpStream, is_over: &dyn Fn() -> bool) -> Option<Vec<u8>> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match client.read(&mut buffer) {
                Ok(count) if count > 0 => {
                    let said = &buffer[..count];
                    if self.heard.load(Ordering::SeqCst) && begins_request(said) && is_over() {
                        self.moves.store(true, Ordering::SeqCst);
                        let _ = server.shutdown(Shutdown::Write);
                        return Some(said.to_vec());
                    }
                    self.heard.store(false, Ordering::SeqCst);
                    if server.write_all(said).is_err() {
                        // What it has said before it closed may still be on its way back.
                        let _ = client.shutdown(Shutdown::Read);
                        return None;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.answered.load(Ordering::SeqCst) {
                        return None;
                    }
                }
                Ok(_) | Err(_) => {
                    let _ = server.shutdown(Shutdown::Write);
                    return None;
                }
            }
        }
    }

    fn answer(&self, mut server: &TcpStream, mut client: &TcpStream) {
        let mut buffer = vec![0; BUFFER];
        loop {
            match server.read(&mut buffer) {
                Ok(count) if count > 0 => {
                    self.heard.store(true, Ordering::SeqCst);
                    if client.write_all(&buffer[..count]).is_err() {
                        let _ = server.shutdown(Shutdown::Read);
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        if !self.moves.load(Ordering::SeqCst) {
            let _ = client.shutdown(Shutdown::Write);
        }
        self.answered.store(true, Ordering::SeqCst);
    }
}

/// Whether this is the begin of a request in HTTP/1, after which the one before is answered: `GET / HTTP/1.1`.
fn begins_request(said: &[u8]) -> bool {
    let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    let is_method = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
    is_method && words.nth(1).is_some_and(|version| version.starts_with(b"HTTP/1.")) && line.len() < said.len()
}
