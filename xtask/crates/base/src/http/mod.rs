//! A small HTTP/1.1 client: one request, one answer, no redirects; what goes over TLS or by way of a proxy is handed to
//! `curl`.
//!
//! It connects where it is told to and names whichever host it is told to, so a public name can be asked before it
//! resolves; its waits end early when the caller says so. Looking up a name is the system's and knows no deadline.

mod answer;
pub mod curl;
mod secure;
mod stream;
mod url;

pub use url::{Endpoint, Scheme, Url, Via, is_here, is_path, percent_encode};

use crate::ctx::Vars;
use answer::Incoming;
use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use stream::Stream;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: &'static str,
    pub url: Url,
    /// Besides `Host`, `Connection` and `Content-Length`, which are set here.
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    /// From the first attempt to connect to the last byte of the answer.
    pub timeout: Duration,
}

impl Request {
    pub fn get(url: Url, timeout: Duration) -> Self {
        Self { method: "GET", url, headers: Vec::new(), body: None, timeout }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first header with this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether a probe takes it for good: as Kubernetes does, a redirect is as good as an answer.
    pub fn passes_probe(&self) -> bool {
        (200..400).contains(&self.status)
    }

    /// Whether it sends whoever asked for `url` to the same host over TLS.
    pub fn leads_to_tls(&self, url: &Url) -> bool {
        let there = || self.header("location").and_then(|location| location.parse::<Url>().ok());
        (300..400).contains(&self.status)
            && there()
                .is_some_and(|there| there.endpoint.scheme == Scheme::Https && there.endpoint.host == url.endpoint.host)
    }
}

/// The longest that is asked of a socket at once; some systems refuse more than a few hours.
const LONGEST: Duration = Duration::from_secs(3600);

/// Why there is no answer: what failed, and the system's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    words: String,
    what: Lost,
}

/// How far a request came that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Nothing of it has left.
    Unsent,
    /// Nor is it known where to.
    Unresolved,
    /// Its answer is larger than what is read of one.
    TooLarge,
    /// It may have arrived.
    Unknown,
}

impl HttpError {
    /// For what went wrong after something may have been sent, which is what is thought unless it is known better.
    fn new(words: String) -> Self {
        Self { words, what: Lost::Unknown }
    }

    fn unsent(self) -> Self {
        if self.is_unresolved() { self } else { Self { what: Lost::Unsent, ..self } }
    }

    /// Whether nobody can have acted on the request: it never left.
    pub fn is_unsent(&self) -> bool {
        self.what == Lost::Unsent || self.is_unresolved()
    }

    /// Whether a name was not found: a word of the resolver here, not of whom the name is of.
    pub fn is_unresolved(&self) -> bool {
        self.what == Lost::Unresolved
    }

    pub fn is_too_large(&self) -> bool {
        self.what == Lost::TooLarge
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for HttpError {}

/// Sends a request and reads its answer, whatever its status. `stop` is asked all the while; once it says yes,
/// waiting ends with an error.
pub fn send(request: &Request, stop: &dyn Fn() -> bool) -> Result<Response, HttpError> {
    let proxy = curl::proxy(&request.url.endpoint, Vars::of_process);
    if proxy.is_some() || request.url.endpoint.scheme == Scheme::Https {
        return secure::send(request, proxy, stop);
    }
    begin(request, stop)?.read_response(request.method == "HEAD")
}

/// Sends a request and hands on the body of a good answer as it comes, until it ends or `sink` wants no more. The body of
/// any other answer is part of the result. Nothing that is followed so is behind TLS.
pub fn stream(
    request: &Request,
    stop: &dyn Fn() -> bool,
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<Response, HttpError> {
    begin(request, stop)?.stream_response(sink)
}

fn begin<'s>(request: &Request, stop: &'s dyn Fn() -> bool) -> Result<Incoming<'s>, HttpError> {
    let bytes = encode(request).map_err(HttpError::unsent)?;
    let exchange = Exchange { deadline: Instant::now().checked_add(request.timeout), timeout: request.timeout, stop };
    let mut stream = exchange.connect(&request.url.endpoint).map_err(HttpError::unsent)?;
    exchange.write(&mut stream, &bytes)?;
    Ok(Incoming::new(stream, exchange))
}

/// Whether path and headers are what they seem, wherever they are written.
fn check(request: &Request) -> Result<(), HttpError> {
    let path = &request.url.path;
    if !is_path(path) {
        let shown = path.escape_debug();
        return Err(HttpError::new(format!("`{shown}` cannot be the path of a request")));
    }
    for (name, value) in &request.headers {
        let broken = |text: &str| text.contains(|c: char| c.is_control() && c != '\t');
        if broken(name) || broken(value) || name.contains([':', ' ']) {
            let shown = name.escape_debug();
            return Err(HttpError::new(format!("header `{shown}` cannot be sent")));
        }
    }
    Ok(())
}

fn encode(request: &Request) -> Result<Vec<u8>, HttpError> {
    check(request)?;
    let path = &request.url.path;
    let method = request.method;
    let host = request.url.endpoint.authority();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = request.body.as_deref();
    if body.is_some() || matches!(method, "POST" | "PUT") {
        let length = body.map_or(0, <[u8]>::len);
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    Ok(bytes)
}

/// The time that one request has.
struct Exchange<'s> {
    /// None where the timeout is too long for the clock to express.
    deadline: Option<Instant>,
    timeout: Duration,
    stop: &'s dyn Fn() -> bool,
}

impl Exchange<'_> {
    /// The time left, at most `longest` and never zero, which sockets take for no limit.
    fn left(&self, longest: Duration) -> Result<Duration, HttpError> {
        if (self.stop)() {
            return Err(HttpError::new("interrupted".to_owned()));
        }
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match left {
            Some(Duration::ZERO) => {
                let timeout = humantime::format_duration(self.timeout);
                Err(HttpError::new(format!("no answer within {timeout}")))
            }
            Some(left) => Ok(left.min(longest)),
            None => Ok(longest),
        }
    }

    fn connect(&self, endpoint: &Endpoint) -> Result<Stream, HttpError> {
        let Endpoint { host, port, via, .. } = endpoint;
        let look_up = |host: &str, port: u16| -> Result<Vec<SocketAddr>, HttpError> {
            let found = (host, port).to_socket_addrs();
            let unresolved = |error: HttpError| HttpError { what: Lost::Unresolved, ..error };
            Ok(found.map_err(|error| unresolved(failed(&format!("look up `{host}`"), &error)))?.collect())
        };
        let addresses = match via {
            Some(Via::Address(address)) => vec![*address],
            Some(Via::Socket(path)) => {
                let connected = UnixStream::connect(path).map(Stream::Unix);
                return connected.map_err(|error| failed(&format!("connect to `{}`", path.display()), &error));
            }
            Some(Via::Name(name, port)) => look_up(name, *port)?,
            None => look_up(host, *port)?,
        };
        let mut last = HttpError::new(format!("`{host}` has no address"));
        for address in addresses {
            let left = self.left(LONGEST)?;
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => return Ok(Stream::Tcp(stream)),
                Err(error) => last = failed(&format!("connect to {address}"), &error),
            }
        }
        Err(last)
    }

    fn write(&self, stream: &mut Stream, bytes: &[u8]) -> Result<(), HttpError> {
        let left = self.left(LONGEST)?;
        let written = stream.write_all(bytes, left);
        written.map_err(|error| failed("send the request", &error))
    }
}

/// `connect to 127.0.0.1:80: connection refused`
fn failed(what: &str, error: &std::io::Error) -> HttpError {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = words.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    let words: String = first.into_iter().chain(letters).collect();
    HttpError::new(format!("{what}: {words}"))
}

#[cfg(test)]
mod tests;
