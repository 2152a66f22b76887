//! The answers that a shim gives on its socket, which is its owner's alone. It is no way to the service: besides how the
//! container is, only paths that its [`Place`](supervisor::container::Place) names are passed on.

use super::shim::Shim;
use base::http;
use base::http::{Endpoint, Request, Url};
use base::socket;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;
use supervisor::container::{EXPLAIN, LIVE, READY, RELOAD};
use supervisor::probe::Seen;

/// How long a connection may take to say what it wants, and to take the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the container may take for what is passed on.
const RELAY_WITHIN: Duration = Duration::from_secs(2);
/// More than any question here has.
const LARGEST_HEAD: u64 = 8 * 1024;
/// The pause after an accept that failed for want of memory or descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether the socket is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

struct Question {
    method: String,
    path: String,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Answers for the life of the process. Something that cleans up may remove the socket, and whoever asks knows no other: it
/// is then made again.
pub(super) fn serve(mut listener: UnixListener, shim: &Arc<Shim>) {
    let folder = listener.local_addr().ok().and_then(|address| Some(address.as_pathname()?.parent()?.to_owned()));
    let folder = folder.unwrap_or_default();
    loop {
        let answering = Arc::clone(shim);
        if std::thread::Builder::new().spawn(move || accept(&listener, &answering)).is_err() {
            socket::remove(&folder);
        }
        listener = loop {
            std::thread::sleep(LOOK_EVERY);
            if !socket::is_ours(&folder) {
                socket::remove(&folder);
                if let Ok(again) = socket::listen_in(&folder) {
                    break again;
                }
            }
        };
    }
}

/// Nobody else can open the socket, so there is room for as many as come.
fn accept(listener: &UnixListener, shim: &Arc<Shim>) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let shim = Arc::clone(shim);
        // Without a thread for it the connection is closed, and a peer that has gone away is none of our concern.
        let _ = std::thread::Builder::new().spawn(move || converse(&stream, &shim));
    }
}

fn converse(mut stream: &UnixStream, shim: &Shim) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let Some(question) = read_question(stream)? else { return Ok(()) };
    let Answer { status, body } = answer(&question, shim);
    let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat())
}

/// `None` for what is no HTTP.
fn read_question(stream: &UnixStream) -> std::io::Result<Option<Question>> {
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
                return Ok(Some(Question { method: method.to_owned(), path: path.to_owned() }));
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
        ("GET", EXPLAIN) => Answer { status: 200, body: shim.explain().to_json().to_string().into_bytes() },
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
