//! Takes secrets out of what is kept or shown: those that are known by their value, and what looks like one.

use serde_json::Value;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[redacted]";
/// A value behind one of these, with `=` or `:` between them, is taken for a secret.
const NAMES: [&str; 9] =
    ["password", "passwd", "secret", "token", "api_key", "apikey", "requirepass", "authorization", "access_key"];
/// Shorter ones would take every other word with them.
const SHORTEST: usize = 6;

/// What is known to be secret.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Vec<String>,
}

impl Redactor {
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut values: Vec<String> = values.into_iter().filter(|value| value.len() >= SHORTEST).collect();
        // One that contains another goes first.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            text = text.replace(value, HIDDEN);
        }
        text.split_inclusive('\n').map(|line| named(&userinfo(line))).collect()
    }

    /// An object without the API's own bookkeeping, every text in it redacted, and no value of a variable whose name
    /// says that it is a secret.
    pub fn object(&self, object: &Value) -> Value {
        match object {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.object(item)).collect(),
            Value::Object(fields) => {
                let is_variable = fields.get("name").and_then(Value::as_str).is_some_and(is_name);
                let kept = fields.iter().filter(|(key, _)| {
                    !matches!(key.as_str(), "managedFields" | "kubectl.kubernetes.io/last-applied-configuration")
                });
                let field = |(key, value): (&String, &Value)| {
                    let hide = value.is_string() && (is_variable && key == "value");
                    (key.clone(), if hide { Value::from(HIDDEN) } else { self.object(value) })
                };
                Value::Object(kept.map(field).collect())
            }
            other => other.clone(),
        }
    }
}

/// Whether the name of a variable or a setting says that its value is a secret.
pub fn is_name(text: &str) -> bool {
    let text = text.to_lowercase();
    NAMES.iter().any(|name| text.contains(name))
}

/// `scheme://user:password@host` without the user and the password.
pub fn userinfo(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let ends = |c: char| c.is_whitespace() || "/\"'?#<>`\\".contains(c);
        let authority = &behind[..behind.find(ends).unwrap_or(behind.len())];
        rest = behind;
        if let Some(at) = authority.rfind('@') {
            out.push_str(HIDDEN);
            rest = &behind[at..];
        }
    }
    out + rest
}

/// `password=…`, `"token": "…"`, `Authorization: Bearer …` without the value.
fn named(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut out = String::new();
    let mut done = 0;
    while let Some((start, name)) = first(&lower, done) {
        let behind = start + name.len();
        out.push_str(&line[done..behind]);
        done = behind;
        let Some(value) = value(&line[behind..], name == "authorization") else { continue };
        out.push_str(&line[behind..behind + value.0]);
        out.push_str(HIDDEN);
        done = behind + value.1;
    }
    out + &line[done..]
}

fn first(lower: &str, from: usize) -> Option<(usize, &'static str)> {
    let found = NAMES.iter().filter_map(|name| Some((from + lower.get(from..)?.find(name)?, *name)));
    found.min()
}

/// Where the value behind a name begins and ends; nothing where none follows.
fn value(behind: &str, whole_line: bool) -> Option<(usize, usize)> {
    // The rest of a longer name, the quotes around it and the sign between them.
    let sign = behind.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.\"'\\".contains(c)))?;
    let is_apart = sign == 0 || behind[..sign].ends_with(char::is_alphanumeric);
    let mut at = sign;
    if behind[at..].starts_with(['=', ':']) {
        at += 1;
    } else if !(is_apart && behind[at..].starts_with(" \"")) {
        return None;
    }
    at += behind[at..].len() - behind[at..].trim_start_matches([' ', '"', '\'', '\\']).len();
    let ends =
        |c: char| if whole_line { "\"'\\\n,".contains(c) } else { c.is_whitespace() || "\"'\\,;&)}]".contains(c) };
    let length = behind[at..].find(ends).unwrap_or(behind[at..].len());
    (length > 0).then_some((at, at + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_known_secret_is_nowhere() {
        let redactor = Redactor::new(["0123456789abcdef".to_owned(), "ab".to_owned()]);
        assert_eq!(redactor.text("key 0123456789abcdef, abc"), "key [redacted], abc");
    }

    #[test]
    fn what_looks_like_a_secret_is_hidden() {
        let redactor = Redactor::default();
        for (given, expected) in [
            ("redis://:hunter2@redis:6379/0 is away", "redis://[redacted]@redis:6379/0 is away"),
            ("https://me:p@ss@a.b, http://c.d/e@f", "https://[redacted]@a.b, http://c.d/e@f"),
            ("password=hunter2 port=1", "password=[redacted] port=1"),
            ("DB_PASSWORD: hunter2", "DB_PASSWORD: [redacted]"),
            (r#"{"token": "abc.def", "a": 1}"#, r#"{"token": "[redacted]", "a": 1}"#),
            (r#"{"msg":"{\"api_key\":\"xyz\"}"}"#, r#"{"msg":"{\"api_key\":\"[redacted]\"}"}"#),
            ("Authorization: Bearer abc def", "Authorization: [redacted]"),
            ("requirepass \"hunter2\"", "requirepass \"[redacted]\""),
            ("token_file=/run/x", "token_file=[redacted]"),
            ("the password is wrong", "the password is wrong"),
            ("NOAUTH Authentication required. secret", "NOAUTH Authentication required. secret"),
            ("größe tokenß=ü", "größe tokenß=ü"),
        ] {
            assert_eq!(redactor.text(given), expected);
        }
        assert_eq!(redactor.text("a\npassword=b\nc"), "a\npassword=[redacted]\nc");
    }

    #[test]
    fn variables_with_a_secret_s_name_have_no_value() {
        let pod = json!({
            "metadata": {"managedFields": [1], "name": "a"},
            "env": [{"name": "ADMIN_PASSWORD", "value": "x"}, {"name": "A", "value": "b"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        });
        let expected = json!({
            "metadata": {"name": "a"},
            "env": [{"name": "ADMIN_PASSWORD", "value": "[redacted]"}, {"name": "A", "value": "b"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        });
        assert_eq!(Redactor::default().object(&pod), expected);
    }
}
