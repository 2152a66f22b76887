//! The names that checks refer to: `${random}`, and what earlier checks captured.

use base::http::percent_encode;
use model::smoke::{Kind, RANDOM};
use model::template::{Part, split};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the names stand for in one run of a contract.
#[derive(Debug)]
pub(super) struct Names(BTreeMap<String, Value>);

/// A text refers to a name that no check has captured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

impl Names {
    pub(super) fn new(random: String) -> Self {
        Self(BTreeMap::from([(RANDOM.to_owned(), Value::String(random))]))
    }

    pub(super) fn insert(&mut self, name: String, value: Value) {
        self.0.insert(name, value);
    }

    /// Fills in a text.
    pub(super) fn text(&self, text: &str) -> Result<String, Unknown> {
        self.fill(text, |value| value)
    }

    /// Fills in a path; what is filled in is one segment of it, or one value of its query.
    pub(super) fn path(&self, text: &str) -> Result<String, Unknown> {
        self.fill(text, |value| percent_encode(&value, b""))
    }

    /// Fills in the strings of a JSON value. One that is a name and nothing else becomes what the name stands for,
    /// a number for instance; one that is a [`Kind`] is left to whoever compares.
    pub(super) fn json(&self, value: &Value) -> Result<Value, Unknown> {
        match value {
            Value::String(text) if Kind::of(text).is_some() => Ok(value.clone()),
            Value::String(text) => match parts(text).as_slice() {
                [Part::Name(name)] => self.find(name).cloned(),
                _ => self.text(text).map(Value::String),
            },
            Value::Array(values) => values.iter().map(|value| self.json(value)).collect(),
            Value::Object(entries) => {
                let filled = entries.iter().map(|(key, value)| Ok((key.clone(), self.json(value)?)));
                filled.collect::<Result<_, _>>().map(Value::Object)
            }
            other => Ok(other.clone()),
        }
    }

    fn fill(&self, text: &str, encode: impl Fn(String) -> String) -> Result<String, Unknown> {
        let mut filled = String::new();
        for part in parts(text) {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Name(name) => filled.push_str(&encode(plain(self.find(name)?))),
            }
        }
        Ok(filled)
    }

    fn find(&self, name: &str) -> Result<&Value, Unknown> {
        self.0.get(name).ok_or_else(|| Unknown(name.to_owned()))
    }
}

/// The parts of a text. The spec holds none that cannot be split; one that came another way stands for itself.
fn parts(text: &str) -> Vec<Part<'_>> {
    split(text).unwrap_or_else(|_| vec![Part::Text(text)])
}

/// A string without its quotes, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names {
        let mut names = Names::new("r4nd".to_owned());
        names.insert("code".to_owned(), json!("a/b c"));
        names.insert("id".to_owned(), json!(7));
        names
    }

    #[test]
    fn texts_and_paths_are_filled_in() {
        assert_eq!(names().text("x-${random} $$ ${id}"), Ok("x-r4nd $ 7".to_owned()));
        assert_eq!(names().path("/${code}?id=${id}"), Ok("/a%2Fb%20c?id=7".to_owned()));
        assert_eq!(names().text("${nope}"), Err(Unknown("nope".to_owned())));
    }

    #[test]
    fn a_name_alone_keeps_its_type_in_json() {
        let filled = names().json(&json!({"a": ["${id}", "${id}!", true], "b": "${code}"}));
        assert_eq!(filled, Ok(json!({"a": [7, "7!", true], "b": "a/b c"})));
    }
}
