//! How two sets of objects differ, in words: one difference for each thing that a hand may have changed.

use super::{Difference, is_same, normal, title};
use crate::names::SERVICE;
use kube::object;
use kube::path;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many differences of one object are told.
const TOLD: usize = 10;
/// How much of a value is shown.
const SHOWN: usize = 80;
/// What tells the things in a list apart, the best first.
const KEYS: [&str; 10] =
    ["name", "mountPath", "devicePath", "containerPort", "port", "topologyKey", "host", "path", "key", "type"];

/// How what is there differs from what was proven. What a hand has made with the labels of the release is told as long as
/// it is not among what was proven; nothing else is said about it, since it is not the release's.
pub(crate) fn differences(proven: &[Value], there: &[Value]) -> Vec<Difference> {
    // Where there is an autoscaler on either side, the number is not a hand's.
    let scaled = normal::scaled(proven.iter().chain(there));
    let mut all = Vec::new();
    for wanted in proven.iter().filter(|wanted| normal::is_released(wanted)) {
        match there.iter().find(|found| is_same(wanted, found)) {
            None => all.push(difference(wanted, "is gone".to_owned())),
            Some(found) => {
                let told = told(&without_replicas(wanted, &scaled), &without_replicas(found, &scaled));
                all.extend(told.into_iter().map(|what| difference(wanted, what)));
            }
        }
    }
    let known = |found: &&Value| proven.iter().any(|wanted| is_same(wanted, found));
    let added = there.iter().filter(|found| !known(found));
    let foreign = |found| Difference { is_ours: false, ..difference(found, "was added by hand".to_owned()) };
    all.extend(added.map(foreign));
    all
}

fn without_replicas(found: &Value, scaled: &BTreeSet<(String, String)>) -> Value {
    let mut found = found.clone();
    normal::drop_replicas(&mut found, scaled);
    found
}

fn difference(of: &Value, what: String) -> Difference {
    let service = Some(object::label(of, SERVICE)).filter(|name| !name.is_empty());
    Difference { object: title(of), service: service.map(str::to_owned), what, is_ours: true }
}

/// The differences of one object, as sentences about it.
fn told(wanted: &Value, found: &Value) -> Vec<String> {
    let is_secret = wanted["kind"] == path::SECRET.name;
    let mut told = Told { is_secret, sentences: Vec::new() };
    told.compare("", Some(wanted), Some(found));
    let more = told.sentences.len().saturating_sub(TOLD);
    if more > 1 {
        told.sentences.truncate(TOLD);
        told.sentences.push(format!("and {more} more"));
    }
    told.sentences
}

struct Told {
    is_secret: bool,
    sentences: Vec<String>,
}

impl Told {
    fn compare(&mut self, place: &str, wanted: Option<&Value>, found: Option<&Value>) {
        match (wanted, found) {
            (Some(Value::Object(wanted)), Some(Value::Object(found))) => {
                let keys: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
                // The version of the API that was asked is not the object's.
                for key in keys.into_iter().filter(|key| !(place.is_empty() && *key == "apiVersion")) {
                    self.compare(&below(place, key), wanted.get(key), found.get(key));
                }
            }
            (Some(Value::Array(wanted)), Some(Value::Array(found))) => self.lists(place, wanted, found),
            (wanted, found) if wanted != found => self.leaf(place, wanted, found),
            _ => {}
        }
    }

    fn lists(&mut self, place: &str, wanted: &[Value], found: &[Value]) {
        if wanted == found {
            return;
        }
        let (whole_wanted, whole_found) = (Value::Array(wanted.to_vec()), Value::Array(found.to_vec()));
        let Some(key) = KEYS.iter().find(|key| tells_apart(key, wanted) && tells_apart(key, found)) else {
            return self.anonymous(place, wanted, found);
        };
        let before = self.sentences.len();
        let of = |list: &[Value], id: &Value| list.iter().find(|item| item[key] == *id).cloned();
        for item in wanted {
            let place = format!("{place}[{}]", plain(&item[key]));
            self.compare(&place, Some(item), of(found, &item[key]).as_ref());
        }
        for item in found.iter().filter(|item| of(wanted, &item[key]).is_none()) {
            self.compare(&format!("{place}[{}]", plain(&item[key])), None, Some(item));
        }
        if self.sentences.len() == before {
            self.leaf(place, Some(&whole_wanted), Some(&whole_found));
        }
    }

    /// Things without a name of their own: those at the same place are compared, and lists of plain values as a whole.
    fn anonymous(&mut self, place: &str, wanted: &[Value], found: &[Value]) {
        let structured = wanted.iter().chain(found).all(Value::is_object);
        if !structured || wanted.is_empty() || found.is_empty() {
            let (wanted, found) = (Value::Array(wanted.to_vec()), Value::Array(found.to_vec()));
            return self.leaf(place, Some(&wanted), Some(&found));
        }
        for index in 0..wanted.len().max(found.len()) {
            self.compare(&format!("{place}[{index}]"), wanted.get(index), found.get(index));
        }
    }

    fn leaf(&mut self, place: &str, wanted: Option<&Value>, found: Option<&Value>) {
        let hidden =
            self.is_secret && (place.starts_with("data") || place.starts_with("stringData")) || sounds_secret(place);
        let sentence = match (wanted, found) {
            (Some(_), Some(_)) if hidden => format!("`{place}` has another value than proven"),
            (Some(wanted), Some(found)) => {
                let (found, wanted) = apart(&plain(found), &plain(wanted));
                format!("`{place}` is `{found}`, proven was `{wanted}`")
            }
            (Some(_), None) if hidden => format!("`{place}` is gone"),
            (Some(wanted), None) => format!("`{place}` is gone, proven was `{}`", clipped(&plain(wanted))),
            (None, _) if hidden => format!("`{place}` was added"),
            (None, Some(found)) => format!("`{place}` was added: `{}`", clipped(&plain(found))),
            (None, None) => return,
        };
        self.sentences.push(sentence);
    }
}

/// Whether every thing in the list has this field and each another value in it.
fn tells_apart(key: &str, list: &[Value]) -> bool {
    let values: Vec<String> = list.iter().map(|item| plain(item.get(key).unwrap_or(&Value::Null))).collect();
    let distinct: BTreeSet<&String> = values.iter().collect();
    distinct.len() == values.len() && list.iter().all(|item| item.get(key).is_some_and(|id| !id.is_null()))
}

/// A variable by such a name may hold what nobody else is to see.
fn sounds_secret(place: &str) -> bool {
    let upper = place.to_uppercase();
    let variable = upper.rsplit_once(".ENV[").map_or("", |(_, rest)| rest);
    ["PASSWORD", "SECRET", "TOKEN", "KEY", "CREDENTIAL"].iter().any(|word| variable.contains(word))
}

fn below(place: &str, key: &str) -> String {
    let simple = key.chars().all(|c| c.is_ascii_alphanumeric());
    match (place, simple) {
        ("", true) => key.to_owned(),
        (_, true) => format!("{place}.{key}"),
        _ => format!("{place}[{key}]"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn clipped(text: &str) -> String {
    let one_line = text.replace('\n', "\\n");
    match one_line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}

/// Two long texts from shortly before where they part.
fn apart(one: &str, other: &str) -> (String, String) {
    if one.chars().count() <= SHOWN && other.chars().count() <= SHOWN {
        return (clipped(one), clipped(other));
    }
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count().saturating_sub(SHOWN / 4);
    let tail = |text: &str| {
        let rest: String = text.chars().skip(same).collect();
        if same > 0 { format!("…{}", clipped(&rest)) } else { clipped(&rest) }
    };
    (tail(one), tail(other))
}

#[cfg(test)]
mod tests;
