//! Contracts against a server that answers from a script.

use super::*;
use model::smoke::Method;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

type Answer = Box<dyn FnMut(&str, &str) -> (u16, String) + Send>;

/// A service that answers `METHOD PATH` and a body with a status and a body.
fn serve(mut answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).unwrap();
            }
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).unwrap();
            let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
            let (status, text) = answer(line, &String::from_utf8_lossy(&body));
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

fn check(name: &str, path: &str, status: u16) -> SmokeCheck {
    SmokeCheck {
        name: name.to_owned(),
        service: "a".parse().unwrap(),
        method: Method::Get,
        path: path.to_owned(),
        headers: BTreeMap::new(),
        body: None,
        expect: Expectation { status: Some(status), ..Expectation::default() },
        capture: BTreeMap::new(),
        within: Duration::ZERO,
    }
}

fn system(smoke: Vec<SmokeCheck>) -> System {
    System {
        name: "a".parse().unwrap(),
        description: String::new(),
        services: Vec::new(),
        smoke,
        denied: Vec::new(),
        jobs: Vec::new(),
        was: BTreeSet::new(),
    }
}

fn run_at(address: SocketAddr, system: &System) -> Vec<CheckResult> {
    let surroundings = Surroundings {
        resolve: &|_| Ok(address.into()),
        deny: &|_| Outcome::Skipped("not here".to_owned()),
        stop: &|| false,
    };
    run(system, &surroundings, &mut |_| {})
}

fn outcomes(results: &[CheckResult]) -> Vec<&Outcome> {
    results.iter().map(|result| &result.outcome).collect()
}

fn failure(result: &CheckResult) -> &str {
    match &result.outcome {
        Outcome::Failed(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_captured_and_what_is_random_is_used_later() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let address = serve(Box::new(move |line, body| {
        log.lock().unwrap().push(format!("{line} {body}"));
        let answer = if line.starts_with("POST") { r#"{"id": 7, "code": "a/b"}"# } else { "7" };
        (200, answer.to_owned())
    }));
    let mut create = check("create", "/new", 200);
    create.method = Method::Post;
    create.body = Some(json!({"key": "${random}"}));
    create.capture =
        [("id", "/id"), ("code", "/code")].map(|(name, pointer)| (name.to_owned(), pointer.to_owned())).into();
    let mut read = check("read", "/${code}?key=${random}", 200);
    read.expect.json = Some(json!("${id}"));
    let results = run_at(address, &system(vec![create, read]));
    assert_eq!(outcomes(&results), [&Outcome::Passed, &Outcome::Passed]);
    let seen = seen.lock().unwrap();
    let random = seen[0].split('"').nth(3).unwrap();
    assert_eq!(random.len(), 16);
    assert_eq!(seen[0], format!(r#"POST /new {{"key":"{random}"}}"#));
    assert_eq!(seen[1], format!("GET /a%2Fb?key={random} "));
}

#[test]
fn a_failure_names_the_request_what_came_and_what_was_expected() {
    let address = serve(Box::new(|_, _| (500, format!("{{\n\"a\": 1, \"b\": \"{}\"}}", "x".repeat(300)))));
    let mut wrong = check("wrong", "/pw/x", 404);
    wrong.expect.json = Some(json!({"a": 2}));
    let results = run_at(address, &system(vec![wrong]));
    let text = failure(&results[0]);
    let start =
        format!("GET http://{address}/pw/x: status 500, expected 404; `/a` is `1`, expected `2` (body: {{ \"a\": 1, ");
    assert!(text.starts_with(&start), "{text}");
    assert!(text.ends_with("xxx…)") && text.len() < start.len() + 220, "{text}");
    assert_eq!(results[0].attempts, 1);
}

#[test]
fn nobody_there_is_a_failure_too() {
    // A port that programs without privileges cannot take.
    let address = "127.0.0.1:1".parse().unwrap();
    let results = run_at(address, &system(vec![check("up", "/", 200)]));
    assert_eq!(failure(&results[0]), "GET http://127.0.0.1:1/: connect to 127.0.0.1:1: connection refused");
}

#[test]
fn a_check_is_repeated_until_it_holds() {
    let mut requests = 0;
    let address = serve(Box::new(move |_, _| {
        requests += 1;
        (if requests < 4 { 404 } else { 200 }, String::new())
    }));
    let mut patient = check("arrives", "/", 200);
    patient.within = Duration::from_secs(60);
    let system = system(vec![patient]);
    let waits = RefCell::new(Vec::new());
    let surroundings = Surroundings { resolve: &|_| Ok(address.into()), deny: &|_| Outcome::Passed, stop: &|| false };
    let results = run(&system, &surroundings, &mut |progress| {
        if let Progress::Waiting { last, .. } = progress {
            waits.borrow_mut().push(last.to_owned());
        }
    });
    assert_eq!((outcomes(&results).as_slice(), results[0].attempts), ([&Outcome::Passed].as_slice(), 4));
    let expected = format!("GET http://{address}/: status 404, expected 200 (body: empty)");
    assert_eq!(waits.into_inner(), vec![expected; 3]);
}

#[test]
fn a_check_is_given_up_when_its_time_has_passed() {
    let address = serve(Box::new(|_, _| (404, String::new())));
    let mut patient = check("never", "/", 200);
    patient.within = Duration::from_millis(200);
    let results = run_at(address, &system(vec![patient]));
    let text = failure(&results[0]);
    let start = format!("GET http://{address}/: status 404, expected 200 (body: empty), still so at request ");
    assert!(text.starts_with(&start), "{text}");
    assert!(results[0].elapsed >= Duration::from_millis(200));
    // Pauses of 50, 75 and 112 milliseconds fit, and one last attempt.
    assert!((2..=5).contains(&results[0].attempts), "{}", results[0].attempts);
}

#[test]
fn what_was_not_captured_skips_those_that_need_it() {
    let address = serve(Box::new(|_, _| (200, "{}".to_owned())));
    let mut create = check("create", "/", 200);
    create.capture = [("code".to_owned(), "/code".to_owned())].into();
    let results = run_at(address, &system(vec![create, check("read", "/${code}", 200)]));
    assert!(failure(&results[0]).contains("nothing at `/code` to capture as `code`"));
    let reason = "needs `code`, which an earlier check did not capture";
    assert_eq!(results[1].outcome, Outcome::Skipped(reason.to_owned()));
}

#[test]
fn who_cannot_be_asked_and_what_is_denied_is_skipped_with_the_reason() {
    let mut system = system(vec![check("up", "/", 200)]);
    system.denied.push(DeniedPath { to: "b".parse().unwrap(), from: Origin::OtherServices });
    let surroundings = Surroundings {
        resolve: &|name| Err(format!("`{name}` is not deployed")),
        deny: &|denied| Outcome::Skipped(format!("`{}` shares this loopback", denied.to)),
        stop: &|| false,
    };
    let mut names = Vec::new();
    let results = run(&system, &surroundings, &mut |progress| {
        if let Progress::Finished(result) = progress {
            names.push(result.name.clone());
        }
    });
    assert_eq!(names, ["up", "`b` is refused from services that do not need it"]);
    let skipped = |reason: &str| Outcome::Skipped(reason.to_owned());
    let expected = [skipped("`a` is not deployed"), skipped("`b` shares this loopback")];
    assert_eq!(outcomes(&results), expected.iter().collect::<Vec<_>>());
}

#[test]
fn an_interruption_ends_waiting_at_once() {
    let address = serve(Box::new(|_, _| (404, String::new())));
    let mut patient = check("never", "/", 200);
    patient.within = Duration::from_secs(600);
    let system = system(vec![patient, check("next", "/", 404)]);
    let interrupted = Cell::new(false);
    let surroundings =
        Surroundings { resolve: &|_| Ok(address.into()), deny: &|_| Outcome::Passed, stop: &|| interrupted.get() };
    let results = run(&system, &surroundings, &mut |progress| {
        interrupted.set(interrupted.get() || matches!(progress, Progress::Waiting { .. }));
    });
    let skipped = Outcome::Skipped("interrupted".to_owned());
    assert_eq!(outcomes(&results), [&skipped, &skipped]);
    assert!(results[0].elapsed < Duration::from_secs(60));
}

/// Answers the first request with these bytes and then hangs up, and every later one with 200 and `0`. How many came.
fn serve_first(first: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).unwrap();
            }
            let mut log = log.lock().unwrap();
            let answer = if log.is_empty() { first } else { "HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\n0" };
            log.push(head.lines().next().unwrap().to_owned());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, seen)
}

fn once(method: Method, first: &'static str) -> (CheckResult, usize) {
    let (address, seen) = serve_first(first);
    let mut patient = check("deletes", "/pw/a", 200);
    patient.method = method;
    patient.expect.contains = Some(if method == Method::Head { String::new() } else { "0".to_owned() });
    patient.within = Duration::from_secs(5);
    let result = run_at(address, &system(vec![patient])).remove(0);
    let requests = seen.lock().unwrap().len();
    (result, requests)
}

/// No answer, half a head, half a body, and what says nothing of whether it was done.
const LOST: [&str; 7] = [
    "",
    "HTTP/1.1 200",
    "HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n0",
    "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 502 x\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 504 x\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\n1",
];

#[test]
fn what_may_have_been_done_is_not_asked_for_again() {
    for (method, first) in [Method::Delete, Method::Post, Method::Put].into_iter().flat_map(|m| LOST.map(|f| (m, f))) {
        let (result, requests) = once(method, first);
        assert_eq!((requests, result.attempts), (1, 1), "{method:?} {first:?}");
        let text = failure(&result);
        assert!(text.ends_with("; it may have been done, so it is not repeated"), "{text}");
    }
}

#[test]
fn what_changes_nothing_or_was_refused_is_asked_again() {
    for (method, first) in [Method::Get, Method::Head].into_iter().flat_map(|m| LOST.map(|f| (m, f))) {
        let (result, requests) = once(method, first);
        // To a `HEAD` the body's length says nothing.
        if method == Method::Head && requests == 1 {
            continue;
        }
        assert_eq!((&result.outcome, requests), (&Outcome::Passed, 2), "{method:?} {first:?}");
    }
    for first in ["HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"] {
        let (result, requests) = once(Method::Delete, first);
        assert_eq!((&result.outcome, requests), (&Outcome::Passed, 2), "{first:?}");
    }
}

#[test]
fn what_was_never_sent_is_sent_again_whatever_it_is() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut delete = check("deletes", "/pw/a", 200);
    delete.method = Method::Delete;
    delete.within = Duration::from_millis(300);
    let result = run_at(free, &system(vec![delete])).remove(0);
    assert!(result.attempts > 1 && failure(&result).contains("connection refused"), "{result:?}");
}
