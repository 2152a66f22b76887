//! Asks a running instance how it is. Every probe ends within [`TIMEOUT`] and says what it saw in one line.

use crate::spec::system::Probe;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Connection and answer together, as Kubernetes has it by default.
const TIMEOUT: Duration = Duration::from_secs(1);
/// As much of an answer as is looked at.
const LONGEST_ANSWER: usize = 8 * 1024;
/// As much of an answer's text as is shown.
const LONGEST_TEXT: usize = 200;

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) ok: bool,
    /// "GET /readyz: 503 not ready: redis unreachable"
    pub(super) text: String,
}

impl Seen {
    fn new(ok: bool, question: &impl fmt::Display, answer: &impl fmt::Display) -> Self {
        Self { ok, text: format!("{question}: {answer}") }
    }
}

/// Asks once.
pub(super) fn ask(probe: &Probe, address: SocketAddr) -> Seen {
    let deadline = Instant::now() + TIMEOUT;
    match probe {
        Probe::Http { path } => {
            let question = format!("GET {path}");
            match http_get(address, path, deadline) {
                Ok(answer) => Seen::new(is_success(&answer), &question, &summary(&answer)),
                Err(error) => Seen::new(false, &question, &describe(&error, address)),
            }
        }
        Probe::Tcp { send, expect } => {
            let question = format!("connect to {address}");
            match tcp(address, send.as_deref(), expect.as_deref(), deadline) {
                Ok(answer) => judge_tcp(&question, &answer, expect.as_deref()),
                Err(error) => Seen::new(false, &question, &describe(&error, address)),
            }
        }
    }
}

fn describe(error: &std::io::Error, address: SocketAddr) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {} s", TIMEOUT.as_secs()),
        ErrorKind::ConnectionRefused => format!("nothing listens on {address}"),
        _ => error.to_string(),
    }
}

/// HTTP/1.0 keeps the answer in one piece and closes after it.
fn http_get(address: SocketAddr, path: &str, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(address, deadline)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: xtask-supervisor\r\nAccept: */*\r\n\r\n")?;
    read(&mut stream, deadline, |_| false)
}

fn tcp(address: SocketAddr, send: Option<&str>, expect: Option<&str>, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(address, deadline)?;
    if let Some(send) = send {
        stream.write_all(send.as_bytes())?;
    }
    match expect {
        Some(expect) => read(&mut stream, deadline, |answer| answer.len() >= expect.len()),
        None => Ok(Vec::new()),
    }
}

fn connect(address: SocketAddr, deadline: Instant) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    Ok(stream)
}

/// Reads until the other side closes, `enough` says so, or [`LONGEST_ANSWER`].
fn read(stream: &mut TcpStream, deadline: Instant, enough: impl Fn(&[u8]) -> bool) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while answer.len() < LONGEST_ANSWER && !enough(&answer) {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(answer)
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\n').next()?).into_owned();
    line.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?.parse().ok()
}

fn is_success(answer: &[u8]) -> bool {
    status(answer).is_some_and(|status| (200..300).contains(&status))
}

/// "200", "503 not ready: redis unreachable", or what came instead of HTTP.
fn summary(answer: &[u8]) -> String {
    let Some(status) = status(answer) else {
        return match printable(answer) {
            text if text.is_empty() => "closed without an answer".to_owned(),
            text => format!("not HTTP: `{text}`"),
        };
    };
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(&[][..], |at| &answer[at + 4..]);
    match printable(body) {
        text if text.is_empty() || is_success(answer) => status.to_string(),
        text => format!("{status} {text}"),
    }
}

fn judge_tcp(question: &str, answer: &[u8], expect: Option<&str>) -> Seen {
    match expect {
        Some(expect) if !answer.starts_with(expect.as_bytes()) => {
            Seen::new(false, &question, &format!("`{}` instead of `{}`", printable(answer), expect.escape_debug()))
        }
        _ => Seen::new(true, &question, &"connected"),
    }
}

/// In one line, without what would disturb a terminal, and not too long.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answered(reply: &'static str, probe: &Probe) -> Seen {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 512];
            let _ = stream.read(&mut buffer);
            stream.write_all(reply.as_bytes()).unwrap();
        });
        let seen = ask(probe, address);
        server.join().unwrap();
        Seen { text: seen.text.replace(&address.to_string(), "ADDRESS"), ..seen }
    }

    fn http() -> Probe {
        Probe::Http { path: "/readyz".to_owned() }
    }

    #[test]
    fn an_answer_is_judged_by_its_status() {
        let ok = answered("HTTP/1.1 204 No Content\r\n\r\n", &http());
        assert_eq!((ok.ok, ok.text.as_str()), (true, "GET /readyz: 204"));
        let bad = answered("HTTP/1.0 503 Unavailable\r\nA: b\r\n\r\nnot ready:\n  redis unreachable\n", &http());
        assert_eq!((bad.ok, bad.text.as_str()), (false, "GET /readyz: 503 not ready: redis unreachable"));
        assert_eq!(answered("-ERR hello\r\n", &http()).text, "GET /readyz: not HTTP: `-ERR hello`");
        assert_eq!(answered("", &http()).text, "GET /readyz: closed without an answer");
    }

    #[test]
    fn a_silent_service_is_no_answer_and_takes_no_longer_than_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let started = Instant::now();
        let seen = ask(&http(), listener.local_addr().unwrap());
        assert_eq!((seen.ok, seen.text.as_str()), (false, "GET /readyz: no answer within 1 s"));
        assert!(started.elapsed() < TIMEOUT * 2);
    }

    #[test]
    fn nothing_there_is_said_with_the_address() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(ask(&http(), address).text, format!("GET /readyz: nothing listens on {address}"));
    }

    #[test]
    fn a_tcp_answer_has_to_start_as_expected() {
        let ping = Probe::Tcp { send: Some("PING\r\n".to_owned()), expect: Some("+PONG".to_owned()) };
        assert!(answered("+PONG\r\n", &ping).ok);
        let seen = answered("-NOAUTH\r\n", &ping);
        assert_eq!((seen.ok, seen.text.as_str()), (false, "connect to ADDRESS: `-NOAUTH` instead of `+PONG`"));
        assert!(answered("", &Probe::Tcp { send: None, expect: None }).ok);
    }
}
