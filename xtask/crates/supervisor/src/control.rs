//! The supervisor's end of the conversation: who may ask, and what is done for each request.

use super::protocol::{LONGEST_LINE, Reply, Request};
use super::service_manager::Shared;
use model::name::ServiceName;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a connection may take to say what it wants, and to take the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many connections at a time may not have shown the token yet: anyone on the machine can open them. The next ones
/// wait until the system has room for them here; those that have shown it do not count.
const MOST_STRANGERS: usize = 64;
/// The pause after an accept that failed for want of memory or descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests for the life of the process.
pub(super) fn serve(listener: &TcpListener, token: &Arc<str>, shared: &Arc<Shared>) {
    let strangers = Arc::new(Strangers::default());
    loop {
        let place = Strangers::admit(&strangers);
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let (token, shared) = (Arc::clone(token), Arc::clone(shared));
        // Without a thread for it the connection is closed, which is an answer too.
        let _ = std::thread::Builder::new().spawn(move || converse(stream, place, &token, &shared));
    }
}

/// The connections that have not shown the token yet.
#[derive(Default)]
struct Strangers {
    number: Mutex<usize>,
    fewer: Condvar,
}

/// The place of one of them, given back when it is dropped.
struct Place(Arc<Strangers>);

impl Strangers {
    /// Waits until there is room for one more.
    fn admit(strangers: &Arc<Self>) -> Place {
        let number = strangers.number.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |number: &mut usize| *number >= MOST_STRANGERS;
        let mut number = strangers.fewer.wait_while(number, full).unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        Place(Arc::clone(strangers))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.number.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_one();
    }
}

/// Reads one request, does it and answers. A peer that has gone away does not change what is done.
fn converse(stream: TcpStream, place: Place, token: &str, shared: &Shared) {
    let limits = stream.set_read_timeout(Some(TIMEOUT)).and(stream.set_write_timeout(Some(TIMEOUT)));
    let mut line = String::new();
    let read = limits.and_then(|()| BufReader::new((&stream).take(LONGEST_LINE)).read_line(&mut line));
    if read.is_err() {
        return;
    }
    let request = match parse(&line, token) {
        Ok(request) => request,
        Err(refusal) => return answer(&stream, &Reply::Refused(refusal.to_owned())),
    };
    drop(place);
    let last = matches!(request, Request::Shutdown(_));
    answer(&stream, &perform(request, shared));
    if last {
        shared.with(|manager, _| manager.over = true);
    }
}

fn answer(mut stream: &TcpStream, reply: &Reply) {
    let _ = writeln!(stream, "{}", reply.to_json());
}

fn parse(line: &str, token: &str) -> Result<Request, &'static str> {
    let value: Value = serde_json::from_str(line).map_err(|_| "not a request")?;
    if !same(value["token"].as_str().unwrap_or_default(), token) {
        return Err("wrong token");
    }
    Request::from_json(&value).ok_or("not a request of this version")
}

/// Takes as long for a wrong text of the right length wherever it differs.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn perform(request: Request, shared: &Shared) -> Reply {
    match request {
        Request::Status(services) => Reply::Status(shared.lock().status(&services)),
        Request::Start(spec) => match shared.with(|manager, now| manager.start(*spec, now)) {
            Ok(number) => Reply::Started(number),
            Err(error) => Reply::Refused(error),
        },
        Request::Promote { service, instance } => match shared.promote(&service, instance) {
            Ok(()) => settled(shared, &service),
            Err(error) => Reply::Refused(error),
        },
        Request::Discard { service, instance } => {
            shared.with(|manager, now| manager.discard(&service, instance, now));
            settled(shared, &service)
        }
        Request::Stop(service) => {
            shared.with(|manager, now| manager.stop(&service, now));
            settled(shared, &service)
        }
        Request::Shutdown(order) => {
            shared.shut_down(order);
            Reply::Done
        }
    }
}

/// Answers when what was told to end has ended.
fn settled(shared: &Shared, service: &ServiceName) -> Reply {
    shared.wait_until(|manager| manager.is_settled(service));
    Reply::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens() {
        assert_eq!(parse(r#"{"token":"abc","request":"status"}"#, "abc"), Ok(Request::Status(Vec::new())));
        for line in
            [r#"{"token":"abd","request":"status"}"#, r#"{"token":"ab","request":"status"}"#, r#"{"request":"status"}"#]
        {
            assert_eq!(parse(line, "abc"), Err("wrong token"));
        }
        assert_eq!(parse("GET / HTTP/1.1", "abc"), Err("not a request"));
        assert_eq!(parse(r#"{"token":"abc","request":"x"}"#, "abc"), Err("not a request of this version"));
    }
}
