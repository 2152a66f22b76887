//! Clients that ask all the while, and count what they get.

use crate::engine::PORT;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Threads of each kind, and how long each waits from one request to the next: 200 requests a second together.
const CLIENTS: usize = 4;
const EVERY: Duration = Duration::from_millis(40);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What was answered how often, and what was lost.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answers: BTreeMap<String, usize>,
    pub(crate) lost: Vec<String>,
}

/// Asks for `/` while `act` runs: clients that keep their connection, and clients with a new one each time.
pub(crate) fn during<T>(address: SocketAddr, act: impl FnOnce() -> T) -> (T, Tally) {
    let done = AtomicBool::new(false);
    let tally = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2 * CLIENTS)
            .map(|number| {
                scope.spawn({
                    let done = &done;
                    move || ask_all_the_while(address, number < CLIENTS, done)
                })
            })
            .collect();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        done.store(true, Ordering::SeqCst);
        let mut tally = Tally::default();
        for (answers, lost) in clients.into_iter().map(|client| client.join().unwrap()) {
            for (answer, count) in answers {
                *tally.answers.entry(answer).or_default() += count;
            }
            tally.lost.extend(lost);
        }
        outcome.map(|outcome| (outcome, tally))
    });
    tally.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn ask_all_the_while(address: SocketAddr, keeps: bool, done: &AtomicBool) -> (BTreeMap<String, usize>, Vec<String>) {
    let (mut answers, mut lost) = (BTreeMap::<String, usize>::new(), Vec::new());
    let mut connection = None;
    let mut due = Instant::now();
    while !done.load(Ordering::SeqCst) {
        let kept = connection.take().filter(|_| keeps);
        match exchange(kept, address, "/") {
            Ok((answer, stream)) => {
                *answers.entry(answer).or_default() += 1;
                connection = Some(stream);
            }
            Err(error) => lost.push(error.to_string()),
        }
        due += EVERY;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    (answers, lost)
}

pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    exchange(None, address, path).map(|(body, _)| body)
}

/// One request, over this connection or a new one. Anything but 200 is an error.
fn exchange(kept: Option<TcpStream>, address: SocketAddr, path: &str) -> std::io::Result<(String, TcpStream)> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect_timeout(&address, ANSWER_WITHIN)?,
    };
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\n\r\n").as_bytes())?;
    let mut reader = BufReader::new(&stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::Error::other(format!("closed after `{head}`")));
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    if length.is_none() {
        // Of unknown length: in chunks, the last of which is empty.
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && line.trim() != "0" {
            let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)? + 2];
            reader.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk);
            line.clear();
        }
        reader.read_line(&mut line)?;
    }
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(std::io::Error::other(format!("{head}{}", String::from_utf8_lossy(&body))));
    }
    Ok((String::from_utf8_lossy(&body).trim().to_owned(), stream))
}
