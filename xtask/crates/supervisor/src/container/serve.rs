//! The answers that a shim gives on its private address, and to nobody but this machine. It is no way to the service:
//! besides how the container is, only paths that its [`Place`](super::Place) names are passed on. Anybody on this machine
//! may ask; to have something done takes the token of the supervisor.

use super::explain;
use super::shim::Shim;
use crate::probe::Seen;
use base::http;
use base::http::{Endpoint, Request, Url};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How the container is.
pub const READY: &str = "/ready";
pub const LIVE: &str = "/live";
/// Has a proxy look for its routes, where the file system does not tell it of changes. For the shim's owner alone.
pub const RELOAD: &str = "/reload";

/// How long a connection may take to say what it wants, and to take the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the container may take for what is passed on.
const RELAY_WITHIN: Duration = Duration::from_secs(2);
/// So many may be silent at a time, and so many be answered, of those who are not known: anyone on the machine can come.
const MOST_STRANGERS: usize = 32;
/// More than any question here has.
const LARGEST_HEAD: u64 = 8 * 1024;
/// The pause after an accept that failed for want of memory or descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

struct Question {
    method: String,
    path: String,
    authorization: Option<String>,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// The value of the header `Authorization` by which the owner of a shim is known.
pub fn authorization(token: &str) -> String {
    format!("Bearer {token}")
}

/// Answers for the life of the process.
pub(super) fn serve(listener: &TcpListener, shim: &Arc<Shim>) {
    let places = Arc::new(Places::default());
    for number in 0.. {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        if places.admit(number, &stream).is_err() {
            continue;
        }
        let (shim, here) = (Arc::clone(shim), Arc::clone(&places));
        let thread = std::thread::Builder::new().spawn(move || {
            // A peer that has gone away is none of our concern.
            let _ = converse(&stream, &shim, &here, number);
            here.leave(number);
        });
        if thread.is_err() {
            places.leave(number);
        }
    }
}

/// The places of those who are not known to be the supervisor. It has as many as it likes, once it has said who it is.
#[derive(Default)]
struct Places {
    /// Who has not said anything yet, the one that has been silent longest first.
    silent: Mutex<VecDeque<(u64, TcpStream)>>,
    /// How many strangers are being answered.
    answered: AtomicUsize,
}

impl Places {
    /// Where there are too many, the one that has been silent longest makes room: whoever means to ask asks at once.
    fn admit(&self, number: u64, stream: &TcpStream) -> std::io::Result<()> {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.push_back((number, stream.try_clone()?));
        if silent.len() > MOST_STRANGERS
            && let Some((_, oldest)) = silent.pop_front()
        {
            let _ = oldest.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    fn leave(&self, number: u64) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != number);
    }

    /// Answers a stranger, unless too many are being answered.
    fn answer(&self, answer: impl FnOnce() -> Answer) -> Answer {
        let before = self.answered.fetch_add(1, Ordering::SeqCst);
        let answer = match before < MOST_STRANGERS {
            true => answer(),
            false => Answer { status: 503, body: b"too many ask at this moment".to_vec() },
        };
        self.answered.fetch_sub(1, Ordering::SeqCst);
        answer
    }
}

fn converse(mut stream: &TcpStream, shim: &Shim, places: &Places, number: u64) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let Some(question) = read_question(stream)? else { return Ok(()) };
    places.leave(number);
    let Answer { status, body } = match shim.is_owner(question.authorization.as_deref()) {
        true => answer(&question, shim),
        false => places.answer(|| answer(&question, shim)),
    };
    let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat())
}

/// `None` for what is no HTTP.
fn read_question(stream: &TcpStream) -> std::io::Result<Option<Question>> {
    let mut head = Vec::new();
    let mut reader = stream.take(LARGEST_HEAD);
    let mut buffer = [0; 1024];
    loop {
        let count = reader.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut question = httparse::Request::new(&mut headers);
        match question.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                let Some((method, path)) = question.method.zip(question.path) else { return Ok(None) };
                let (method, path) = (method.to_owned(), path.to_owned());
                let authorization = question.headers.iter().find(|h| h.name.eq_ignore_ascii_case("authorization"));
                let authorization = authorization.and_then(|header| std::str::from_utf8(header.value).ok());
                return Ok(Some(Question { method, path, authorization: authorization.map(str::to_owned) }));
            }
            Ok(httparse::Status::Partial) if count > 0 => {}
            _ => return Ok(None),
        }
    }
}

fn answer(question: &Question, shim: &Shim) -> Answer {
    let place = &shim.spec.place;
    match (question.method.as_str(), question.path.as_str()) {
        ("GET", READY) => judged(shim.ask(&shim.spec.ready)),
        ("GET", LIVE) => judged(shim.ask_live()),
        ("GET", explain::PATH) => Answer { status: 200, body: shim.explain().to_json().to_string().into_bytes() },
        ("POST", RELOAD) if !shim.is_owner(question.authorization.as_deref()) => {
            Answer { status: 403, body: b"only the supervisor may do this".to_vec() }
        }
        ("POST", RELOAD) if !place.relays.is_empty() => {
            Answer { status: if shim.client.hang_up() { 200 } else { 502 }, body: Vec::new() }
        }
        ("GET", path) if place.relays.iter().any(|start| path.starts_with(start)) => match shim.address() {
            Some(address) => relay(address, path),
            None => match shim.fetch_inside(path) {
                Some(text) => Answer { status: 200, body: text.into_bytes() },
                None => failed("the container does not answer"),
            },
        },
        _ => Answer { status: 404, body: Vec::new() },
    }
}

fn judged(seen: Seen) -> Answer {
    Answer { status: if seen.ok { 200 } else { 503 }, body: seen.text.into_bytes() }
}

fn relay(address: SocketAddr, path: &str) -> Answer {
    let url = Url { endpoint: Endpoint::from(address), path: path.to_owned() };
    match http::send(&Request::get(url, RELAY_WITHIN), &|| false) {
        Ok(response) => Answer { status: response.status, body: response.body },
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(why: &str) -> Answer {
    Answer { status: 502, body: why.as_bytes().to_vec() }
}
