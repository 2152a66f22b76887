//! A server in between that breaks connections, and one that gives tokens.

use super::head::Head;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What passes is written down, and the first requests that begin so break their connection.
pub(crate) struct Flaky {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    requests: Vec<String>,
    breaks: usize,
}

impl Flaky {
    /// Breaks the connection of the first `breaks` requests whose first line has `part` in it.
    pub(crate) fn before(upstream: SocketAddr, part: &'static str, breaks: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen { breaks, ..Seen::default() }));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || relay(&client, upstream, part, &seen));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn requests(&self, part: &str) -> usize {
        self.seen.lock().unwrap().requests.iter().filter(|line| line.contains(part)).count()
    }
}

fn relay(client: &TcpStream, upstream: SocketAddr, part: &str, seen: &Mutex<Seen>) {
    let Ok(server) = TcpStream::connect(upstream) else { return };
    let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut reader = BufReader::new(client);
    // Whatever breaks here is a connection that is over.
    let _ = requests(&mut reader, &server, part, seen);
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

fn requests(
    reader: &mut BufReader<&TcpStream>,
    mut server: &TcpStream,
    part: &str,
    seen: &Mutex<Seen>,
) -> std::io::Result<()> {
    loop {
        let Some(head) = Head::read(reader)? else { return Ok(()) };
        let chunked = head.header("transfer-encoding").is_some_and(|value| value.ends_with("chunked"));
        let breaks = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(head.first().to_owned());
            let breaks = seen.breaks > 0 && head.first().contains(part);
            seen.breaks -= usize::from(breaks);
            breaks
        };
        if breaks {
            return Ok(());
        }
        server.write_all(format!("{}\r\n", head.without(&[])).as_bytes())?;
        if chunked {
            chunks(reader, server)?;
        } else {
            std::io::copy(&mut reader.by_ref().take(head.length()), &mut server)?;
        }
    }
}

fn chunks(reader: &mut BufReader<&TcpStream>, mut server: &TcpStream) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        server.write_all(line.as_bytes())?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        std::io::copy(&mut reader.by_ref().take(size + 2), &mut server)?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// A registry that wants a token, and gives one to `me`. It has one manifest under every name.
pub(crate) struct Tokens {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

pub(crate) const MANIFEST: &str = r#"{"schemaVersion":2}"#;

impl Tokens {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                answer(&client, address, &shared);
            }
        });
        Self { address, requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut client: &TcpStream, address: SocketAddr, requests: &Mutex<Vec<String>>) {
    let Ok(Some(head)) = Head::read(&mut BufReader::new(client)) else { return };
    let first = head.first();
    requests.lock().unwrap().push(first.to_owned());
    let is_me = head.header("authorization") == Some("Basic bWU6c2VjcmV0");
    let has_token = head.header("authorization") == Some("Bearer a.b");
    let (status, header, body) = match (first.contains(" /token?"), is_me, has_token) {
        (true, true, _) => ("200 OK", String::new(), r#"{"token":"a.b"}"#),
        (true, false, _) => ("401 Unauthorized", String::new(), r#"{"details":"incorrect username or password"}"#),
        (false, _, true) => ("200 OK", String::new(), MANIFEST),
        _ => {
            let demand = format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"try, it\"\r\n");
            ("401 Unauthorized", demand, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#)
        }
    };
    let body = if first.starts_with("HEAD") { "" } else { body };
    let text =
        format!("HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = client.write_all(text.as_bytes());
}
