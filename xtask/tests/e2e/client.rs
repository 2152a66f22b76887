//! Clients that count what becomes of their requests while a service is replaced.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::sandbox::{endpoint, eventually, get};

/// What a client has seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) bodies: Vec<String>,
    pub(crate) failures: Vec<String>,
}

/// Clients that send one request after the other: half of them on a connection that they keep, half on a new connection
/// for each.
pub(crate) struct Hammer {
    stop: Arc<AtomicBool>,
    clients: Vec<(Arc<Mutex<Seen>>, JoinHandle<()>)>,
}

impl Hammer {
    /// Four clients that together send this many requests a second: as fast as they can, they would take the processors
    /// from what is tried.
    pub(crate) fn start(place: &str, per_second: u32) -> Self {
        Self::asking(place, "/hammer", per_second)
    }

    /// The same for a path of its own.
    pub(crate) fn asking(place: &str, path: &'static str, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let every = Duration::from_secs(4) / per_second;
        let pair = |_| {
            let on_new = |place: String| move || get(&place, path);
            let mut kept = KeptConnection { place: place.to_owned(), path, stream: None };
            [client(&stop, every, on_new(place.to_owned())), client(&stop, every, move || kept.get())]
        };
        let clients = (0..2).flat_map(pair).collect();
        Self { stop, clients }
    }

    /// Goes on until every client is given such an answer, then ends them; what each of them has seen.
    pub(crate) fn until_answered(self, text: &str) -> Vec<Seen> {
        for (seen, _) in &self.clients {
            eventually("such an answer", || match seen.lock().unwrap().bodies.last() {
                Some(body) if body.contains(text) => Ok(()),
                last => Err(format!("{last:?}")),
            });
        }
        self.stop.store(true, Ordering::SeqCst);
        let end = |(seen, client): (Arc<Mutex<Seen>>, JoinHandle<()>)| {
            client.join().unwrap();
            seen.lock().unwrap().clone()
        };
        self.clients.into_iter().map(end).collect()
    }
}

/// One that falls behind catches up.
fn client(
    stop: &Arc<AtomicBool>,
    every: Duration,
    mut ask: impl FnMut() -> Result<(u16, String), String> + Send + 'static,
) -> (Arc<Mutex<Seen>>, JoinHandle<()>) {
    let (stop, seen) = (Arc::clone(stop), Arc::<Mutex<Seen>>::default());
    let shared = Arc::clone(&seen);
    let client = std::thread::spawn(move || {
        let mut due = Instant::now();
        while !stop.load(Ordering::SeqCst) {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += every;
            let answer = ask();
            let mut seen = shared.lock().unwrap();
            match answer {
                Ok((200, body)) => seen.bodies.push(body),
                other => {
                    let failure = format!("after {} answers: {other:?}", seen.bodies.len());
                    seen.failures.push(failure);
                }
            }
        }
    });
    (seen, client)
}

/// A connection that is used again until the server says that it closes it.
struct KeptConnection {
    place: String,
    path: &'static str,
    stream: Option<BufReader<TcpStream>>,
}

impl KeptConnection {
    fn get(&mut self) -> Result<(u16, String), String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().map_err(|error| format!("connect: {error}"))?,
        };
        let host = endpoint(&self.place)?.host;
        let answer =
            exchange(&mut stream, self.path, &host).map_err(|error| format!("on a kept connection: {error}"))?;
        if answer.keep {
            self.stream = Some(stream);
        }
        Ok((answer.status, answer.body))
    }

    fn connect(&self) -> std::io::Result<BufReader<TcpStream>> {
        let address = self.place.rsplit('@').next().unwrap_or_default();
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(BufReader::new(stream))
    }
}

struct Answer {
    status: u16,
    body: String,
    keep: bool,
}

fn exchange(stream: &mut BufReader<TcpStream>, path: &str, host: &str) -> std::io::Result<Answer> {
    stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
    let mut answer = Answer { status: 0, body: String::new(), keep: true };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_lowercase();
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("connection", "close")) => answer.keep = false,
            Some(_) => {}
            None if line.is_empty() => break,
            None => answer.status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0),
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    answer.body = String::from_utf8(body).unwrap();
    Ok(answer)
}
