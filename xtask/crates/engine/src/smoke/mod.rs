//! Runs the smoke contract of a system against what is running.
//!
//! Knows nothing of targets: the caller says where a service is reached, and what a denied path comes to.

mod compare;
mod names;
mod verdict;

use base::http;
use base::http::{Endpoint, Request, Response, Url};
use model::name::ServiceName;
use model::smoke::{DeniedPath, Expectation, Kind, Origin, SmokeCheck};
use model::system::System;
use names::{Names, Unknown};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
pub use verdict::verdict;

/// The longest that a single request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a pause goes on before it looks whether it should stop.
const SLICE: Duration = Duration::from_millis(20);

/// What a run needs to know from its caller.
pub struct Surroundings<'s> {
    /// Where a service is reached, or why it cannot be asked: its checks are skipped then.
    pub resolve: &'s dyn Fn(&ServiceName) -> Result<Endpoint, String>,
    /// What becomes of a path that must be refused. All of them are asked about at the same time.
    pub deny: &'s (dyn Fn(&DeniedPath) -> Outcome + Sync),
    /// Asked all the while; once it says yes, what is left is skipped.
    pub stop: &'s dyn Fn() -> bool,
}

/// What one check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    pub name: String,
    pub service: ServiceName,
    pub outcome: Outcome,
    pub elapsed: Duration,
    /// Requests sent.
    pub attempts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// The request, what was found and what was expected.
    Failed(String),
    /// Why it was not tried.
    Skipped(String),
}

/// What happens while a contract runs.
#[derive(Debug)]
pub enum Progress<'p> {
    Started(&'p SmokeCheck),
    /// An attempt failed and another one follows.
    Waiting {
        check: &'p SmokeCheck,
        last: &'p str,
    },
    Finished(&'p CheckResult),
}

/// Runs all checks of a system in their order, and meanwhile asks about its denied paths. One result for each, always.
pub fn run(
    system: &System,
    surroundings: &Surroundings<'_>,
    on_progress: &mut dyn FnMut(Progress<'_>),
) -> Vec<CheckResult> {
    let deny = surroundings.deny;
    std::thread::scope(|scope| {
        let denied = system.denied.iter().map(|denied| (denied, scope.spawn(|| deny_one(denied, deny))));
        let denied: Vec<_> = denied.collect();
        let mut results = run_checks(system, surroundings, on_progress);
        for (path, denied) in denied {
            let result = denied.join().unwrap_or_else(|_| denied_result(path, Outcome::Failed("panicked".to_owned())));
            on_progress(Progress::Finished(&result));
            results.push(result);
        }
        results
    })
}

fn deny_one(denied: &DeniedPath, deny: &(dyn Fn(&DeniedPath) -> Outcome + Sync)) -> CheckResult {
    let started = Instant::now();
    let result = denied_result(denied, deny(denied));
    CheckResult { elapsed: started.elapsed(), ..result }
}

fn denied_result(denied: &DeniedPath, outcome: Outcome) -> CheckResult {
    let (name, service) = (describe(denied), denied.to.clone());
    CheckResult { name, service, outcome, elapsed: Duration::ZERO, attempts: 0 }
}

fn run_checks(
    system: &System,
    surroundings: &Surroundings<'_>,
    on_progress: &mut dyn FnMut(Progress<'_>),
) -> Vec<CheckResult> {
    let mut run = Run { surroundings, on_progress, names: Names::new(random_text()) };
    let mut results = Vec::new();
    for check in &system.smoke {
        (run.on_progress)(Progress::Started(check));
        let started = Instant::now();
        let (outcome, attempts) = run.check(check);
        let result = CheckResult {
            name: check.name.clone(),
            service: check.service.clone(),
            outcome,
            elapsed: started.elapsed(),
            attempts,
        };
        (run.on_progress)(Progress::Finished(&result));
        results.push(result);
    }
    results
}

/// What a denied path says, as a sentence for people.
pub fn describe(denied: &DeniedPath) -> String {
    let from = match &denied.from {
        Origin::Outside => "outside".to_owned(),
        Origin::Service(name) => format!("`{name}`"),
        Origin::OtherServices => "services that do not need it".to_owned(),
    };
    format!("`{}` is refused from {from}", denied.to)
}

/// Sixteen characters that no other run has. They name data and keep nothing secret, so where the system gives no
/// random bytes, the time and the process will do.
fn random_text() -> String {
    let number = match base::random::bytes() {
        Ok(bytes) => u64::from_ne_bytes(bytes),
        Err(_) => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let nanos = since.map_or(0, |since| u64::from(since.subsec_nanos()));
            nanos << 32 | u64::from(std::process::id())
        }
    };
    format!("{number:016x}")
}

struct Run<'r> {
    surroundings: &'r Surroundings<'r>,
    on_progress: &'r mut dyn FnMut(Progress<'_>),
    names: Names,
}

impl Run<'_> {
    /// Repeats a check until it holds or its time has passed; also says how many requests that took.
    fn check(&mut self, check: &SmokeCheck) -> (Outcome, u32) {
        let skipped = |reason: String| (Outcome::Skipped(reason), 0);
        let endpoint = match (self.surroundings.resolve)(&check.service) {
            Ok(endpoint) => endpoint,
            Err(reason) => return skipped(reason),
        };
        let (request, expect) = match self.prepare(check, endpoint) {
            Ok(prepared) => prepared,
            Err(Unknown(name)) => {
                return skipped(format!("needs `{name}`, which an earlier check did not capture"));
            }
        };
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0;
        loop {
            if (self.surroundings.stop)() {
                return (Outcome::Skipped("interrupted".to_owned()), attempts);
            }
            attempts += 1;
            let left = check.within.saturating_sub(started.elapsed());
            let failure = match self.attempt(check, &request, &expect) {
                Ok(()) => return (Outcome::Passed, attempts),
                Err(Failure { words, repeatable }) if repeatable || (self.surroundings.stop)() => words,
                Err(Failure { words, .. }) => {
                    let words = format!("{words}; it may have been done, so it is not repeated");
                    return (Outcome::Failed(words), attempts);
                }
            };
            if left.is_zero() && !(self.surroundings.stop)() {
                let failure = in_the_end(failure, attempts, started.elapsed());
                return (Outcome::Failed(failure), attempts);
            }
            let last = failure.as_str();
            (self.on_progress)(Progress::Waiting { check, last });
            self.rest(pause.min(left));
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    fn prepare(&self, check: &SmokeCheck, endpoint: Endpoint) -> Result<(Request, Expectation), Unknown> {
        let filled = |texts: &BTreeMap<String, String>| {
            let pairs = texts.iter().map(|(name, text)| Ok((name.clone(), self.names.text(text)?)));
            pairs.collect::<Result<Vec<_>, _>>()
        };
        let mut headers = filled(&check.headers)?;
        let body = check.body.as_ref().map(|body| self.names.json(body)).transpose()?;
        if body.is_some() && !check.headers.contains_key("content-type") {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let request = Request {
            method: check.method.as_str(),
            url: Url { endpoint, path: self.names.path(&check.path)? },
            headers,
            body: body.map(|body| body.to_string().into_bytes()),
            timeout: REQUEST_TIMEOUT,
        };
        let expect = self.expectation(&check.expect)?;
        Ok((request, expect))
    }

    fn expectation(&self, expect: &Expectation) -> Result<Expectation, Unknown> {
        let filled = |text: &String| match Kind::of(text) {
            Some(_) => Ok(text.clone()),
            None => self.names.text(text),
        };
        let headers = expect.headers.iter();
        let headers = headers.map(|(name, text)| Ok((name.clone(), filled(text)?)));
        Ok(Expectation {
            status: expect.status,
            headers: headers.collect::<Result<_, _>>()?,
            json: expect.json.as_ref().map(|json| self.names.json(json)).transpose()?,
            contains: expect.contains.as_ref().map(filled).transpose()?,
        })
    }

    /// One request. The error names it, what was found and what was expected.
    fn attempt(&mut self, check: &SmokeCheck, request: &Request, expect: &Expectation) -> Result<(), Failure> {
        let failure = |what: String, repeatable: bool| Failure {
            words: format!("{} {}: {what}", request.method, request.url),
            repeatable: repeatable || check.method.is_safe() || check.within.is_zero(),
        };
        let response = http::send(request, self.surroundings.stop)
            .map_err(|error| failure(error.to_string(), error.is_unsent()))?;
        let mut wrong = compare::differences(&response, expect, now());
        if wrong.is_empty() {
            match capture(check, &response) {
                Ok(captured) => captured.into_iter().for_each(|(name, value)| self.names.insert(name, value)),
                Err(missing) => wrong.push(missing),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let what = format!("{} (body: {})", wrong.join("; "), excerpt(&response.body));
        Err(failure(what, says_not_done(response.status)))
    }

    fn rest(&self, pause: Duration) {
        let started = Instant::now();
        while started.elapsed() < pause && !(self.surroundings.stop)() {
            std::thread::sleep(SLICE.min(pause));
        }
    }
}

/// Why an attempt failed.
struct Failure {
    words: String,
    /// Another attempt does nothing twice.
    repeatable: bool,
}

/// Whether an answer says that what was asked for was not done: it was refused (4xx), or nobody was there who could (503,
/// which is what an ingress says of a service without a ready pod). A gateway that got no answer (502, 504) or a service
/// that broke down (500) cannot know.
fn says_not_done(status: u16) -> bool {
    (400..500).contains(&status) || status == 503
}

/// What the check captures from an answer; all of it or nothing.
fn capture(check: &SmokeCheck, response: &Response) -> Result<Vec<(String, Value)>, String> {
    if check.capture.is_empty() {
        return Ok(Vec::new());
    }
    let body: Value = serde_json::from_slice(&response.body)
        .map_err(|error| format!("the body is not JSON to capture from: {error}"))?;
    let captured = check.capture.iter().map(|(name, pointer)| {
        let value = body.pointer(pointer).cloned();
        let value = value.ok_or_else(|| format!("nothing at `{pointer}` to capture as `{name}`"))?;
        Ok((name.clone(), value))
    });
    captured.collect()
}

/// The present epoch second.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The start of a body, on one line.
fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    if body.is_empty() {
        return "empty".to_owned();
    }
    let text = String::from_utf8_lossy(body);
    let mut shown: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn in_the_end(failure: String, attempts: u32, elapsed: Duration) -> String {
    match attempts {
        1 => failure,
        _ => format!("{failure}, still so at request {attempts} after {:.1} s", elapsed.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests;
