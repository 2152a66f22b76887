//! Holds an answer against what was expected of it, and names each difference.

use base::http::Response;
use model::smoke::{Expectation, Kind};
use serde_json::{Number, Value};

/// How far the present second may be from that of `${now}`.
const NOW_WITHIN: u64 = 120;

/// From here on it is the server that failed, which proves nothing unless it is what is asked for.
const FAILED: u16 = 500;

/// More differences than this say no more.
const SHOWN: usize = 5;

/// Every difference as a phrase: `status 500, expected 404`. `now` is the present epoch second.
pub(super) fn differences(response: &Response, expect: &Expectation, now: u64) -> Vec<String> {
    let mut found = Vec::new();
    match expect.status {
        Some(status) if status != response.status => {
            found.push(format!("status {}, expected {status}", response.status));
        }
        None if response.status >= FAILED => {
            found.push(format!("status {}, expected one below {FAILED} as none is named", response.status));
        }
        _ => {}
    }
    for (name, value) in &expect.headers {
        let any = Kind::of(value) == Some(Kind::Any);
        match response.header(name) {
            None => found.push(format!("no header `{name}`, expected `{value}`")),
            Some(actual) if !any && actual != value => {
                found.push(format!("header `{name}` is `{actual}`, expected `{value}`"));
            }
            Some(_) => {}
        }
    }
    if let Some(expected) = &expect.json {
        found.extend(json_differences(&response.body, expected, now));
    }
    let body = String::from_utf8_lossy(&response.body);
    if let Some(text) = expect.contains.as_ref().filter(|text| !body.contains(*text)) {
        found.push(format!("the body does not contain `{text}`"));
    }
    found
}

fn json_differences(body: &[u8], expected: &Value, now: u64) -> Vec<String> {
    match serde_json::from_slice(body) {
        Ok(actual) => {
            let mut comparison = Comparison { now, found: Vec::new() };
            comparison.compare("", expected, &actual);
            comparison.found
        }
        Err(error) => vec![format!("the body is not JSON: {error}")],
    }
}

struct Comparison {
    now: u64,
    found: Vec<String>,
}

impl Comparison {
    fn compare(&mut self, pointer: &str, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (Value::String(text), _) if Kind::of(text).is_some_and(|kind| self.is(kind, actual)) => {}
            (Value::Object(expected), Value::Object(actual)) => {
                for (key, expected) in expected {
                    let escaped = key.replace('~', "~0").replace('/', "~1");
                    let pointer = format!("{pointer}/{escaped}");
                    match actual.get(key) {
                        Some(actual) => self.compare(&pointer, expected, actual),
                        None => self.report(format!("`{pointer}` is missing, expected {}", wanted(expected))),
                    }
                }
            }
            (Value::Array(expected), Value::Array(actual)) => {
                if expected.len() != actual.len() {
                    let (want, have) = (expected.len(), actual.len());
                    self.report(format!("{} has {have} elements, expected {want}", place(pointer)));
                    return;
                }
                for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                    self.compare(&format!("{pointer}/{index}"), expected, actual);
                }
            }
            (Value::Number(expected), Value::Number(actual)) if same_number(expected, actual) => {}
            (expected, actual) if expected == actual => {}
            (expected, actual) => {
                let actual = shown(actual);
                self.report(format!("{} is {actual}, expected {}", place(pointer), wanted(expected)));
            }
        }
    }

    fn report(&mut self, difference: String) {
        if self.found.len() < SHOWN {
            self.found.push(difference);
        }
    }

    fn is(&self, kind: Kind, value: &Value) -> bool {
        match kind {
            Kind::Any => true,
            Kind::String => value.is_string(),
            Kind::Integer => value.is_i64() || value.is_u64(),
            Kind::Number => value.is_number(),
            Kind::Boolean => value.is_boolean(),
            Kind::Now => value.as_u64().is_some_and(|second| second.abs_diff(self.now) <= NOW_WITHIN),
        }
    }
}

/// JSON has one kind of number: `1` and `1.0` are the same.
fn same_number(expected: &Number, actual: &Number) -> bool {
    expected == actual || (expected.is_f64() || actual.is_f64()) && expected.as_f64() == actual.as_f64()
}

fn place(pointer: &str) -> String {
    match pointer {
        "" => "the body".to_owned(),
        pointer => format!("`{pointer}`"),
    }
}

fn wanted(expected: &Value) -> String {
    let kind = expected.as_str().and_then(Kind::of);
    let words = match kind {
        None => return shown(expected),
        Some(Kind::Any) => "any value",
        Some(Kind::String) => "a string",
        Some(Kind::Integer) => "an integer",
        Some(Kind::Number) => "a number",
        Some(Kind::Boolean) => "a boolean",
        Some(Kind::Now) => "the present epoch second",
    };
    words.to_owned()
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compare(expected: Value, actual: &str) -> Vec<String> {
        json_differences(actual.as_bytes(), &expected, 1_700_000_000)
    }

    #[test]
    fn objects_match_by_the_keys_that_are_named() {
        let none: Vec<String> = Vec::new();
        assert_eq!(compare(json!({"a": 1}), r#"{"a": 1, "b": 2}"#), none);
        assert_eq!(compare(json!({"a": {"b": 1.0}}), r#"{"a": {"b": 1}}"#), none);
        assert_eq!(compare(json!([1, "x", null]), r#"[1, "x", null]"#), none);
        assert_eq!(compare(json!("plain"), r#""plain""#), none);
    }

    #[test]
    fn a_difference_names_its_place_what_is_there_and_what_should_be() {
        let expected = json!([{"id": "I1", "paid": "${boolean}", "a/b": 1}]);
        assert_eq!(
            compare(expected.clone(), r#"[{"id": "I2", "paid": 1}]"#),
            [
                "`/0/a~1b` is missing, expected `1`",
                "`/0/id` is `\"I2\"`, expected `\"I1\"`",
                "`/0/paid` is `1`, expected a boolean",
            ]
        );
        assert_eq!(compare(expected, "[]"), ["the body has 0 elements, expected 1"]);
        assert_eq!(compare(json!({}), "[]"), ["the body is `[]`, expected `{}`"]);
        assert_eq!(compare(json!(1), "<html>"), ["the body is not JSON: expected value at line 1 column 1"]);
    }

    #[test]
    fn kinds_match_by_what_a_value_is() {
        for (kind, matching, other) in [
            ("${any}", "null", None),
            ("${string}", "\"x\"", Some("1")),
            ("${integer}", "1", Some("1.5")),
            ("${number}", "1.5", Some("\"1.5\"")),
            ("${boolean}", "false", Some("0")),
            ("${now}", "1700000120", Some("1700000121")),
            ("${now}", "1699999880", Some("\"1700000000\"")),
        ] {
            assert!(compare(json!(kind), matching).is_empty(), "{kind} {matching}");
            if let Some(other) = other {
                assert_eq!(compare(json!(kind), other).len(), 1, "{kind} {other}");
            }
        }
    }

    #[test]
    fn a_server_that_fails_is_a_difference_unless_that_is_named() {
        let response = Response { status: 502, headers: Vec::new(), body: Vec::new() };
        let mut expect = Expectation::default();
        assert_eq!(differences(&response, &expect, 0), ["status 502, expected one below 500 as none is named"]);
        expect.status = Some(502);
        assert!(differences(&response, &expect, 0).is_empty());
    }

    #[test]
    fn status_headers_and_text_are_compared_when_they_are_named() {
        let response = Response {
            status: 307,
            headers: vec![("location".to_owned(), "http://a/".to_owned())],
            body: b"moved".to_vec(),
        };
        let mut expect = Expectation::default();
        assert!(differences(&response, &expect, 0).is_empty());
        expect.status = Some(301);
        expect.contains = Some("gone".to_owned());
        expect.headers = [("location", "http://b/"), ("etag", "${any}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert_eq!(
            differences(&response, &expect, 0),
            [
                "status 307, expected 301",
                "no header `etag`, expected `${any}`",
                "header `location` is `http://a/`, expected `http://b/`",
                "the body does not contain `gone`",
            ]
        );
        expect.headers = [("location".to_owned(), "${any}".to_owned())].into();
        (expect.status, expect.contains) = (Some(307), Some("moved".to_owned()));
        assert!(differences(&response, &expect, 0).is_empty());
    }
}
