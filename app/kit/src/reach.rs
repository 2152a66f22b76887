//! `reach`: whether a TCP port can be connected to from here. It proves from within a container what its network lets
//! through, and what it keeps out.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The time for all of it, resolving the name included.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The time for all of it where a network may hear late of who asks.
const LONG_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// A host by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Without the brackets around an IPv6 address.
    host: String,
    port: u16,
}

impl FromStr for Destination {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => address,
            // The last colon of a bare IPv6 address is part of it.
            None if host.contains(':') => return Err(()),
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(())?;
        if host.is_empty() { Err(()) } else { Ok(Self { host: host.to_owned(), port }) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Connects to whichever address of the destination answers first, and returns that one.
///
/// # Errors
/// Why none of them could be connected to, on a line.
pub(crate) fn connect(destination: &Destination) -> Result<SocketAddr, String> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    let addresses = resolve(destination, deadline)?;
    let (sender, attempts) = mpsc::channel();
    // All at once: an address that swallows what is sent to it must not hide another one that answers.
    for address in addresses {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let outcome = TcpStream::connect_timeout(&address, ANSWER_WITHIN);
            // Nobody listens any more once another address has answered.
            let _ = sender.send((address, outcome.map(drop)));
        });
    }
    drop(sender);
    let mut reasons = Vec::new();
    loop {
        match attempts.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((address, Ok(()))) => return Ok(address),
            Ok((address, Err(error))) => reasons.push(format!("cannot connect to {address}: {}", words(&error))),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                reasons.push(format!("cannot connect to {destination}: {}", silence()));
                break;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    Err(reasons.join("; "))
}

/// The same, again and again: a container may begin before its network knows what it may reach.
///
/// # Errors
/// Why the last try failed, on a line.
pub(crate) fn connect_at_last(destination: &Destination) -> Result<SocketAddr, String> {
    let deadline = Instant::now() + LONG_WITHIN;
    loop {
        match connect(destination) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

/// The system's own way to resolve a name has no limit that a program could set; a thread can be left behind.
fn resolve(destination: &Destination, deadline: Instant) -> Result<Vec<SocketAddr>, String> {
    let Destination { host, port } = destination.clone();
    let (sender, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        // Nobody listens any more after the deadline.
        let _ = sender.send(addresses.map(Vec::from_iter));
    });
    let refuse = |why: String| format!("cannot resolve `{}`: {why}", destination.host);
    match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(refuse("it has no address".to_owned())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(refuse(error.to_string())),
        Err(_) => Err(refuse(silence())),
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => silence(),
        kind @ (ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
            kind.to_string()
        }
        _ => error.to_string(),
    }
}

fn silence() -> String {
    format!("no answer within {} s", ANSWER_WITHIN.as_secs())
}

#[cfg(test)]
mod tests {
    use super::Destination;

    #[test]
    fn a_destination_is_a_host_and_a_port() {
        for text in ["redis:6379", "10.89.0.3:1", "[::1]:65535", "a.b.example:80"] {
            assert_eq!(text.parse::<Destination>().map(|parsed| parsed.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "redis", "redis:", ":80", "[]:80", "redis:0", "redis:65536", "redis:http", "::1:80", "[::1]"] {
            assert_eq!(text.parse::<Destination>(), Err(()), "{text}");
        }
    }
}
