//! Takes secrets out of all that is shown or kept: those that are known by their value, and what looks like one.
//!
//! What is known to be secret is known to the whole process. Every output asks here, the last error included, which is
//! printed when nothing else of a command is left: no caller can forget to pass on what it knows.

mod names;
mod shape;

pub use names::is_name;
pub use shape::userinfo;

use crate::base64;
use crate::http::percent_encode;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[redacted]";
/// Shorter ones would take every other word with them.
const SHORTEST: usize = 8;
/// Words that documents and messages are made of. Whoever has one of them for a password hides nothing by it.
const OWN_WORDS: [&str; 9] = [
    "cancelled",
    "containers",
    "deployed",
    "interrupted",
    "kubernetes",
    "password",
    "starting",
    "survivors",
    "unchanged",
];

static KNOWN: RwLock<Redactor> = RwLock::new(Redactor::new());

/// What is known to be secret.
#[derive(Clone, Default)]
pub struct Redactor {
    /// One that contains another comes first.
    values: Vec<String>,
    /// Of systems, services and the like: whatever has one of these for a value, names are shown.
    names: BTreeSet<String>,
}

impl Redactor {
    pub const fn new() -> Self {
        Self { values: Vec::new(), names: BTreeSet::new() }
    }

    /// Takes a value for a secret, in every form that it may be written in.
    pub fn learn(&mut self, value: &str) {
        // What ends a file is part of what a Secret holds.
        let whole = base64::encode(value.as_bytes());
        let value = value.trim();
        // A key of many lines is shown line by line.
        let lines = value.lines().map(str::trim).filter(|line| !line.starts_with("-----") && value.contains('\n'));
        let escaped = Value::from(value).to_string();
        let forms = [
            value.to_owned(),
            escaped.trim_matches('"').to_owned(),
            percent_encode(value, b""),
            unpercent(value).unwrap_or_default(),
            base64::encode(value.as_bytes()),
            whole,
        ];
        for form in forms.into_iter().chain(lines.map(str::to_owned)) {
            let is_long = value.chars().count() >= SHORTEST && form.chars().count() >= SHORTEST;
            if is_long && !self.values.contains(&form) && !OWN_WORDS.contains(&form.as_str()) {
                self.values.push(form);
            }
        }
        self.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// Takes the value of a variable or a setting for a secret where its name says so, and passwords of addresses in it.
    pub fn learn_named(&mut self, name: &str, value: &str) {
        if is_name(name) {
            self.learn(value);
        }
        shape::passwords(value).into_iter().for_each(|password| self.learn(password));
    }

    /// Names are no secrets, whoever has one for a password.
    pub fn keep_names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        self.names.extend(names.into_iter().map(str::to_owned));
    }

    /// A text without what is known to be secret, and without users and passwords of addresses.
    pub fn text(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for value in self.values.iter().filter(|value| !self.names.contains(*value)) {
            if text.contains(value.as_str()) {
                text = Cow::Owned(without(&text, value));
            }
        }
        text.split_inclusive('\n').map(userinfo).collect()
    }

    /// What another program says: its own secrets are not known, and are told by the names before them.
    pub fn foreign(&self, text: &str) -> String {
        self.text(text).split_inclusive('\n').map(shape::named).collect()
    }

    /// A document, its keys as they are.
    pub fn document(&self, document: &Value) -> Value {
        match document {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.document(item)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(key, value)| (key.clone(), self.document(value))).collect())
            }
            other => other.clone(),
        }
    }

    /// An object without the API's own bookkeeping, every text in it redacted, and no value of a variable whose name
    /// says that it is a secret.
    pub fn object(&self, object: &Value) -> Value {
        match object {
            Value::String(text) => Value::String(self.foreign(text)),
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

/// A text without a value. A mere word is only taken where it stands for itself.
fn without(text: &str, value: &str) -> String {
    if !value.chars().all(|c| c.is_ascii_lowercase()) {
        return text.replace(value, HIDDEN);
    }
    let mut out = String::new();
    let mut done = 0;
    for (at, _) in text.match_indices(value) {
        let end = at + value.len();
        let is_inside = text[..at].ends_with(char::is_alphanumeric) || text[end..].starts_with(char::is_alphanumeric);
        out.push_str(&text[done..at]);
        out.push_str(if is_inside { value } else { HIDDEN });
        done = end;
    }
    out + &text[done..]
}

/// What an address has encoded.
fn unpercent(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(behind.get(..2)?, 16).ok()?);
        rest = &behind[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

fn change(change: impl FnOnce(&mut Redactor)) {
    change(&mut KNOWN.write().unwrap_or_else(PoisonError::into_inner));
}

fn ask<T>(ask: impl FnOnce(&Redactor) -> T) -> T {
    ask(&KNOWN.read().unwrap_or_else(PoisonError::into_inner))
}

/// All that this process knows.
pub fn known() -> Redactor {
    ask(Redactor::clone)
}

/// See [`Redactor::learn`].
pub fn learn(value: &str) {
    change(|known| known.learn(value));
}

/// See [`Redactor::learn_named`].
pub fn learn_named(name: &str, value: &str) {
    change(|known| known.learn_named(name, value));
}

/// See [`Redactor::keep_names`].
pub fn keep_names<'n>(names: impl IntoIterator<Item = &'n str>) {
    change(|known| known.keep_names(names));
}

/// See [`Redactor::text`].
pub fn text(text: &str) -> String {
    ask(|known| known.text(text))
}

/// See [`Redactor::foreign`].
pub fn foreign(text: &str) -> String {
    ask(|known| known.foreign(text))
}

/// See [`Redactor::document`].
pub fn document(document: &Value) -> Value {
    ask(|known| known.document(document))
}

/// The same for what may be no text. Where there is nothing to take out it is what it was.
pub fn bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(bytes);
    let shown = self::text(&text);
    if shown == text { Cow::Borrowed(bytes) } else { Cow::Owned(shown.into_bytes()) }
}

/// The value of a variable or a setting as it is shown at its own place.
pub fn value(name: &str, value: &str) -> String {
    if is_name(name) && !value.is_empty() { HIDDEN.to_owned() } else { text(value) }
}

/// Flags whose argument is a variable or a setting with its value.
const GIVING: [&str; 4] = ["--set=", "--env=", "--build-arg=", "-var="];

/// An argument as it is shown: `NAME=VALUE` without the value where the name says that it is a secret.
pub fn argument(argument: &str) -> String {
    let flag = GIVING.iter().find(|flag| argument.starts_with(**flag)).copied().unwrap_or_default();
    match argument[flag.len()..].split_once('=') {
        Some((name, given)) => format!("{flag}{name}={}", value(name, given)),
        None => text(argument),
    }
}

#[cfg(test)]
mod tests;
