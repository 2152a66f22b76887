//! What a line of a log says of itself: when it was said, how grave it is, and the words for people where it is JSON.

use crate::cli::Level;
use base::terminal::Paint;
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a line of JSON may call its time, its level and its text.
const TIME: [&str; 4] = ["timestamp", "time", "ts", "@timestamp"];
const LEVEL: [&str; 4] = ["level", "severity", "lvl", "log.level"];
const MESSAGE: [&str; 3] = ["message", "msg", "event"];
/// How far into a line without JSON its level is looked for, in bytes.
const HEAD: usize = 80;

/// As pino and bunyan count them (getpino.io/#/docs/api?id=levels).
fn level_of_number(number: u64) -> Option<Level> {
    Some(match number {
        10..20 => Level::Trace,
        20..30 => Level::Debug,
        30..40 => Level::Info,
        40..50 => Level::Warn,
        50..70 => Level::Error,
        _ => return None,
    })
}

fn shown(level: Level, paint: Paint) -> String {
    match level {
        Level::Trace => paint.dim("TRACE"),
        Level::Debug => paint.dim("DEBUG"),
        Level::Info => "INFO ".to_owned(),
        Level::Warn => paint.warn("WARN "),
        Level::Error => paint.bad("ERROR"),
    }
}

/// What is known of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) time: Option<SystemTime>,
    pub(super) level: Option<Level>,
}

impl Known {
    pub(super) fn of(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        match object(&text) {
            Some(fields) => Self { time: time_of(&fields), level: level_of(&fields) },
            None => Self { time: text.split_whitespace().next().and_then(parse_time), level: level_in(&text) },
        }
    }
}

/// A line of JSON as people read it: the time of day, the level, the text, and then what else it has.
pub(super) fn for_people(line: &[u8], paint: Paint) -> Option<String> {
    let mut fields = object(std::str::from_utf8(line).ok()?)?;
    let (time, level) = (time_of(&fields), level_of(&fields));
    let message = MESSAGE.iter().find_map(|key| fields.get(*key).and_then(Value::as_str).map(|text| (*key, text)))?;
    let mut parts = Vec::new();
    if let Some(time) = time {
        let whole = humantime::format_rfc3339_millis(time).to_string();
        parts.push(paint.dim(whole.get(11..23).unwrap_or(&whole)));
    }
    parts.extend(level.map(|level| shown(level, paint)));
    parts.push(message.1.to_owned());
    let message = message.0;
    let is_shown = |key: &str| {
        let is_time = time.is_some() && TIME.contains(&key);
        let is_level = level.is_some() && LEVEL.contains(&key);
        !is_time && !is_level && key != message
    };
    fields.retain(|key, _| is_shown(key));
    let rest = fields.iter().map(|(key, value)| match value {
        Value::String(text) if !text.contains([' ', '"', '\n']) && !text.is_empty() => format!("{key}={text}"),
        value => format!("{key}={value}"),
    });
    let rest: Vec<String> = rest.collect();
    if !rest.is_empty() {
        parts.push(paint.dim(&rest.join(" ")));
    }
    Some(parts.join(" "))
}

fn object(text: &str) -> Option<Map<String, Value>> {
    let text = text.trim();
    if text.starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

fn time_of(fields: &Map<String, Value>) -> Option<SystemTime> {
    TIME.iter().find_map(|key| match fields.get(*key)? {
        Value::String(text) => parse_time(text),
        // In seconds, or where there are too many of them in thousandths.
        Value::Number(number) => {
            let number = number.as_f64()?;
            let seconds = if number > 1e11 { number / 1e3 } else { number };
            UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
        }
        _ => None,
    })
}

fn level_of(fields: &Map<String, Value>) -> Option<Level> {
    LEVEL.iter().find_map(|key| match fields.get(*key)? {
        Value::String(text) => Level::parse(text),
        Value::Number(number) => level_of_number(number.as_u64()?),
        _ => None,
    })
}

/// A level that a line without JSON names in its head, in capitals or as `level=warn`.
fn level_in(text: &str) -> Option<Level> {
    let named = text.split_whitespace().find_map(|word| word.strip_prefix("level="));
    let head = text.get(..HEAD).unwrap_or(text);
    let words = head.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let loud = words.filter(|word| word.chars().all(|c| c.is_ascii_uppercase()));
    named.map(|word| word.trim_matches('"')).into_iter().chain(loud).find_map(Level::parse)
}

fn parse_time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<SystemTime> {
        Some(humantime::parse_rfc3339(text).unwrap())
    }

    #[test]
    fn a_line_says_when_it_was_said_and_how_grave_it_is() {
        for (line, time, level) in [
            (
                r#"{"timestamp":"2026-11-21T16:00:00.5Z","level":"WARN"}"#,
                at("2026-11-21T16:00:00.5Z"),
                Some(Level::Warn),
            ),
            (r#"{"level":50,"time":1700000000000,"msg":"x"}"#, at("2023-11-14T22:13:20Z"), Some(Level::Error)),
            (r#"{"level":"info","ts":1700000000}"#, at("2023-11-14T22:13:20Z"), Some(Level::Info)),
            ("2026-11-21T17:00:00Z INFO it goes", at("2026-11-21T17:00:00Z"), Some(Level::Info)),
            ("ERROR:root:it does not", None, Some(Level::Error)),
            ("time=x level=warning msg=y", None, Some(Level::Warn)),
            ("Ready to accept connections, no error", None, None),
            ("{\"a\":1}", None, None),
        ] {
            assert_eq!(Known::of(line.as_bytes()), Known { time, level }, "{line}");
        }
    }

    #[test]
    fn json_is_shown_as_people_read_it() {
        let shown = |line: &str| for_people(line.as_bytes(), Paint::plain());
        let line = r#"{"timestamp":"2026-11-21T16:00:00.5Z","level":"INFO","message":"request","path":"/a","status":200,"took":"1 ms"}"#;
        assert_eq!(shown(line).as_deref(), Some("16:00:00.500 INFO  request path=/a status=200 took=\"1 ms\""));
        assert_eq!(shown(r#"{"msg":"started"}"#).as_deref(), Some("started"));
        // What says nothing to people stays what it is.
        assert_eq!(shown(r#"{"a":1}"#), None);
        assert_eq!(shown("plain"), None);
    }
}
