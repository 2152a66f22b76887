//! Reads the smoke contract of a system's file.

use super::decode::{At, Table, Value, choose};
use super::error::{find, quoted};
use super::grammar::check_path;
use super::name::ServiceName;
use super::references::Roster;
use super::smoke::{DeniedPath, Expectation, Kind, Method, Origin, RANDOM, SmokeCheck};
use super::template::{Part, split};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Longer than anything that still deserves the name of a smoke check.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The names that earlier checks captured.
type Captured = BTreeSet<String>;

/// Reads the list `smoke`.
pub(super) fn read_checks(value: &Value<'_>, roster: &Roster<'_>) -> Vec<SmokeCheck> {
    let mut captured = Captured::new();
    let mut names = BTreeSet::new();
    let mut checks = Vec::new();
    for value in value.list().unwrap_or_default() {
        let check = value.table(|table| read_check(table, roster, &captured)).flatten();
        let Some(check) = check else { continue };
        if !names.insert(check.name.clone()) {
            value.report(format!("a second check named {}", quoted(&check.name)));
        }
        captured.extend(check.capture.keys().cloned());
        checks.push(check);
    }
    checks
}

fn read_check(table: &Table<'_>, roster: &Roster<'_>, captured: &Captured) -> Option<SmokeCheck> {
    let fixed = |text: &str| check_text(text, captured);
    let name = table.required("name").and_then(|value| value.sentence());
    let service = read_service(table, roster);
    let request = table.required("request").and_then(|value| read_request(&value, captured));
    let headers = read_headers(table, "headers", &fixed);
    let body = table.optional("body").map(|value| value.json(&fixed));
    let expect = read_expectation(table, captured);
    let capture = table.optional("capture").map(|value| read_capture(&value));
    let within = table.optional("within");
    let within = within.and_then(|value| value.duration(Duration::ZERO..=LONGEST_WAIT));
    let (method, path) = request?;
    if method == Method::Head && (expect.json.is_some() || expect.contains.is_some()) {
        table.at.report("the answer to `HEAD` has no body to check");
    }
    Some(SmokeCheck {
        name: name?,
        service: service?,
        method,
        path,
        headers,
        body: body.flatten(),
        expect,
        capture: capture.unwrap_or_default(),
        within: within.unwrap_or(Duration::ZERO),
    })
}

/// The service that a check asks: the system's only public one unless another is named.
fn read_service(table: &Table<'_>, roster: &Roster<'_>) -> Option<ServiceName> {
    if let Some(value) = table.optional("service") {
        return read_asked(&value, roster);
    }
    let mut public = roster.values().flatten().filter(|service| service.public);
    match (public.next(), public.next()) {
        (Some(only), None) => Some(only.name.clone()),
        _ => {
            let complete = roster.values().all(Option::is_some);
            if complete {
                table.missing("key `service`; it may only be left out where one service is public");
            }
            None
        }
    }
}

/// A service that can be asked something.
fn read_asked(value: &Value<'_>, roster: &Roster<'_>) -> Option<ServiceName> {
    let name = read_roster_name(value, roster)?;
    if roster.get(name.as_str()).copied().flatten().is_some_and(|service| service.port.is_none()) {
        value.report(format!("`{name}` has no `port`, so nothing can be asked of it"));
    }
    Some(name)
}

fn read_roster_name(value: &Value<'_>, roster: &Roster<'_>) -> Option<ServiceName> {
    let name = value.text()?;
    let known = find(name, "service", "services of this system", roster.keys().copied());
    known.map_err(|message| value.report(message)).ok()?;
    name.parse().ok()
}

/// `GET /path?query`.
fn read_request(value: &Value<'_>, captured: &Captured) -> Option<(Method, String)> {
    let text = value.text()?;
    let (method, path) = text.split_once(' ').unwrap_or((text, ""));
    let methods = Method::ALL.map(|method| (method.as_str(), method));
    let method = choose(method, &methods).map_err(|message| {
        value.report(format!("{message}; expected a method and a path such as `GET /`"));
    });
    let checked = check_text(path, captured).and_then(|()| check_path(path));
    let checked = checked.map_err(|message| value.report(message));
    checked.ok()?;
    Some((method.ok()?, path.to_owned()))
}

fn read_headers(
    table: &Table<'_>,
    key: &'static str,
    check: &dyn Fn(&str) -> Result<(), String>,
) -> BTreeMap<String, String> {
    let entries = table.optional(key).and_then(|value| value.entries());
    let mut headers = BTreeMap::new();
    for (name, value) in entries.into_iter().flatten() {
        if !is_header_name(name) {
            value.report("not the name of a header");
        }
        let text = value.sentence().and_then(|_| value.checked(check));
        if let Some(text) = text {
            headers.insert(name.to_ascii_lowercase(), text);
        }
    }
    headers
}

/// Source: the `token` of RFC 9110 section 5.6.2.
fn is_header_name(name: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(token)
}

fn read_expectation(table: &Table<'_>, captured: &Captured) -> Expectation {
    let status = table.optional("status");
    let expected = table.optional("expect_headers");
    let json = table.optional("json");
    let contains = table.optional("contains");
    if [&status, &expected, &json, &contains].into_iter().all(Option::is_none) {
        table.missing("what to expect: `status`, `json`, `contains` or `expect_headers`");
    }
    let status = status.and_then(|value| value.number(100..=599));
    let headers = read_headers(table, "expect_headers", &|text| match Kind::of(text) {
        Some(Kind::Any) => Ok(()),
        _ => check_text(text, captured),
    });
    let json = json.and_then(|value| {
        value.json(&|text| match Kind::of(text) {
            Some(_) => Ok(()),
            None => check_text(text, captured),
        })
    });
    let contains = contains.and_then(|value| value.checked(&|text| check_text(text, captured)));
    Expectation { status, headers, json, contains }
}

fn read_capture(value: &Value<'_>) -> BTreeMap<String, String> {
    let mut capture = BTreeMap::new();
    for (name, value) in value.entries().into_iter().flatten() {
        if name == RANDOM || Kind::NAMES.iter().any(|(kind, _)| *kind == name) {
            value.report(format!("`${{{name}}}` has a meaning of its own"));
        }
        if name.is_empty() || name.contains(['{', '}']) {
            value.report("cannot be referred to by that name");
        }
        if let Some(pointer) = value.checked(&check_pointer) {
            capture.insert(name.to_owned(), pointer);
        }
    }
    capture
}

/// Source: RFC 6901 section 3.
fn check_pointer(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(());
    }
    Err(format!("{} is not a JSON pointer such as `/code`", quoted(text)))
}

/// Whether all names in a text are known when its check runs.
fn check_text(text: &str, captured: &Captured) -> Result<(), String> {
    for part in split(text)? {
        let Part::Name(name) = part else { continue };
        if Kind::NAMES.iter().any(|(kind, _)| *kind == name) {
            return Err(format!("`${{{name}}}` cannot stand here; it is the whole of a string in `json`"));
        }
        let known = captured.iter().map(String::as_str).chain([RANDOM]);
        find(name, "name", "names known by then", known)?;
    }
    Ok(())
}

/// A denied path whose origin is a service of whichever system, looked up once all are read.
pub(super) struct ForeignOrigin<'d> {
    pub(super) service: ServiceName,
    pub(super) at: At<'d>,
}

/// Reads the list `denied`.
pub(super) fn read_denied<'d>(
    value: &Value<'d>,
    roster: &Roster<'_>,
    foreign: &mut Vec<ForeignOrigin<'d>>,
) -> Vec<DeniedPath> {
    let values = value.list().unwrap_or_default();
    let read = values.iter().filter_map(|value| {
        value.table(|table| {
            let to = table.required("to").and_then(|to| read_asked(&to, roster));
            let from = table.required("from").and_then(|from| read_origin(&from, foreign));
            let (to, from) = (to?, from?);
            Some(DeniedPath { to, from })
        })?
    });
    read.collect()
}

fn read_origin<'d>(value: &Value<'d>, foreign: &mut Vec<ForeignOrigin<'d>>) -> Option<Origin> {
    match value.text()? {
        "outside" => Some(Origin::Outside),
        "other-services" => Some(Origin::OtherServices),
        _ => {
            let service: ServiceName = value.parse()?;
            foreign.push(ForeignOrigin { service: service.clone(), at: value.at.clone() });
            Some(Origin::Service(service))
        }
    }
}
