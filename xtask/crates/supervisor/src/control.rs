//! The supervisor's end of the conversation: who may ask, and what is done for each request.

use super::protocol::{LONGEST_LINE, Reply, Request, UNREADABLE};
use super::service_manager::{ServiceManager, Shared};
use model::name::ServiceName;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to say what it wants, and to take the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after an accept that failed for want of memory or descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests for the life of the process. Nobody else can open the socket, so there is room for as many as come.
pub(super) fn serve(listener: &UnixListener, token: &Arc<str>, shared: &Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let (token, shared) = (Arc::clone(token), Arc::clone(shared));
        // Without a thread for it the connection is closed, which is an answer too.
        let _ = std::thread::Builder::new().spawn(move || converse(stream, &token, &shared));
    }
}

/// Reads one request, does it and answers. A peer that has gone away does not change what is done.
fn converse(stream: UnixStream, token: &str, shared: &Shared) {
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
    let last = matches!(request, Request::Shutdown(_));
    answer(&stream, &perform(request, shared));
    if last {
        shared.with(|manager, _| manager.over = true);
    }
}

fn answer(mut stream: &UnixStream, reply: &Reply) {
    let _ = writeln!(stream, "{}", reply.to_json());
}

fn parse(line: &str, token: &str) -> Result<Request, &'static str> {
    let value: Value = serde_json::from_str(line).map_err(|_| "not a request")?;
    if !same(value["token"].as_str().unwrap_or_default(), token) {
        return Err("wrong token");
    }
    Request::from_json(&value).ok_or(UNREADABLE)
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
        Request::Schedule(spec) => {
            let put = |manager: &mut ServiceManager| match manager.is_closing() {
                true => Reply::Refused("the supervisor is shutting down".to_owned()),
                false => {
                    manager.schedule.put(*spec);
                    Reply::Done
                }
            };
            shared.with(|manager, _| put(manager))
        }
        Request::Unschedule { system, job } => {
            shared.with(|manager, now| manager.schedule.drop(&system, job.as_ref(), now));
            shared.wait_until(|manager| manager.schedule.is_rid_of(&system, job.as_ref()));
            Reply::Done
        }
        Request::Jobs => Reply::Jobs(shared.lock().schedule.status()),
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
