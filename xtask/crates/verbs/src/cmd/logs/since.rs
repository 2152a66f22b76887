//! The lines of a log file that are not older than a time, as far as the lines say when they were written.

use serde_json::Value;
use std::time::SystemTime;

/// What a line of JSON may call its time.
const KEYS: [&str; 3] = ["timestamp", "time", "ts"];

/// The part of the text that begins with the first line written at `from` or later; a line without a time belongs to
/// the one before it. `None` when no line says when it was written.
pub(super) fn since(text: &[u8], from: SystemTime) -> Option<&[u8]> {
    let mut at = 0;
    let mut timed = text.is_empty();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if let Some(time) = time_of(line) {
            timed = true;
            if time >= from {
                return Some(&text[at..]);
            }
        }
        at += line.len();
    }
    timed.then_some(&[])
}

fn time_of(line: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(line).ok()?.trim();
    if text.starts_with('{') {
        let value: Value = serde_json::from_str(text).ok()?;
        return KEYS.iter().find_map(|key| parse(value[key].as_str()?));
    }
    parse(text.split_whitespace().next()?)
}

fn parse(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn what_is_older_is_left_out_with_the_lines_that_belong_to_it() {
        let text =
            b"{\"timestamp\":\"2026-11-21T16:00:00.5Z\",\"a\":1}\nmore of it\n2026-11-21T17:00:00Z plain\nand more\n";
        let from = |time: &str| since(text, at(time)).map(|text| String::from_utf8_lossy(text).into_owned());
        assert_eq!(from("2026-11-21T16:30:00Z").as_deref(), Some("2026-11-21T17:00:00Z plain\nand more\n"));
        assert_eq!(from("2026-11-21T16:00:00Z").map(|text| text.len()), Some(text.len()));
        assert_eq!(from("2026-11-21T18:00:00Z").as_deref(), Some(""));
    }

    #[test]
    fn lines_without_times_cannot_be_told_apart() {
        let from = at("2026-11-21T16:00:00Z");
        assert_eq!(since(b"Ready to accept connections\n{\"a\":1}\n", from), None);
        assert_eq!(since(b"", from), Some(&b""[..]));
    }
}
