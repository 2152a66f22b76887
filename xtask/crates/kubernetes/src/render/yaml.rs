//! JSON as YAML that people like to read: what this tool itself adds to the chart's manifests.

use serde_json::Value;
use std::fmt::Write;

/// A document; the keys of maps are in the order of the alphabet.
pub(super) fn of(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(_) | Value::Array(_) => block(value, 0, &mut out),
        scalar => scalar_line(scalar, &mut out),
    }
    out
}

/// A text as a scalar on one line: as it is where it can be nothing else, in quotes elsewhere.
pub(super) fn text(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { Value::from(text).to_string() }
}

fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = write!(out, "{:indent$}{}:", "", text(key), indent = depth * 2);
                nested(value, depth, out);
            }
        }
        Value::Array(list) => {
            for value in list {
                let _ = write!(out, "{:indent$}-", "", indent = depth * 2);
                nested(value, depth, out);
            }
        }
        scalar => scalar_line(scalar, out),
    }
}

/// What comes after `key:` or `-`.
fn nested(value: &Value, depth: usize, out: &mut String) {
    let is_empty = match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    if is_empty {
        out.push(' ');
        scalar_line(value, out);
        return;
    }
    out.push('\n');
    block(value, depth + 1, out);
}

fn scalar_line(value: &Value, out: &mut String) {
    match value {
        Value::String(value) => out.push_str(&text(value)),
        // JSON is YAML.
        other => out.push_str(&other.to_string()),
    }
    out.push('\n');
}

/// Whether it is read as a text without quotes by YAML 1.1 and 1.2.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(inner)
        && !WORDS.contains(&text.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn maps_and_lists_are_blocks() {
        let value = json!({
            "b": {"list": ["x", {"k": 1}, []], "empty": {}},
            "a": "no", "app.kubernetes.io/name": "1.5", "c": null, "d": true, "e": "two\nlines: #",
        });
        assert_eq!(
            of(&value),
            "a: \"no\"\napp.kubernetes.io/name: \"1.5\"\nb:\n  empty: {}\n  list:\n    - x\n    -\n      k: 1\n    - []\n\
             c: null\nd: true\ne: \"two\\nlines: #\"\n"
        );
    }

    #[test]
    fn what_could_be_something_else_is_quoted() {
        for plain in ["v1", "a/b.c-d_e", "Namespace"] {
            assert_eq!(text(plain), plain);
        }
        for quoted in ["", "1", "~", "Yes", "a: b", "https://x", "-a", "=", "a b", ".5", "ä"] {
            assert_eq!(text(quoted), format!("\"{quoted}\""));
        }
    }
}
