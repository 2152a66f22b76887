//! Reads TOML key by key into types.
//!
//! A [`Table`] remembers which keys it was asked for, so the keys that nobody asked for are the unknown ones, and the
//! valid ones need no second list. A [`Value`] knows its place and its dotted key, and every error goes to the
//! [`Sink`]: `None` always means "reported", so reading goes on and finds the next one.

use super::error::{Place, Sink, instead, quoted};
use super::trace::Reading;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A parsed file.
pub(super) struct Document<'d> {
    path: &'d str,
    text: &'d str,
    root: DeValue<'d>,
}

impl<'d> Document<'d> {
    /// Parses a file's text; `path` is relative to the root and only shown.
    pub(super) fn parse(path: &'d str, text: &'d str, sink: &Sink) -> Option<Self> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            let root = DeValue::Table(table.into_inner());
            return Some(Self { path, text, root });
        }
        // After a slip the parser finds more of the same on that line.
        let mut seen = Vec::new();
        for error in errors {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            if !seen.contains(&line) {
                seen.push(line);
                let place = Place::File { path: path.to_owned(), line: Some(line) };
                sink.report(place, format!("not TOML: {}", error.message()));
            }
        }
        None
    }

    /// The whole file, which is one table.
    pub(super) fn root(&'d self, sink: &'d Sink) -> Value<'d> {
        let at = At { document: self, sink, key: String::new(), span: 0..0 };
        let value = &self.root;
        Value { at, value }
    }
}

/// The line, from 1, that a byte offset is on.
fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Where something is: its file, its line and its dotted key.
#[derive(Clone)]
pub(super) struct At<'d> {
    document: &'d Document<'d>,
    sink: &'d Sink,
    key: String,
    span: Range<usize>,
}

impl<'d> At<'d> {
    pub(super) fn place(&self) -> Place {
        Place::File { path: self.document.path.to_owned(), line: Some(line_at(self.document.text, self.span.start)) }
    }

    /// Reports what is wrong with the value here.
    pub(super) fn report(&self, message: impl Display) {
        self.sink.report(self.place(), format!("{}{message}", self.prefix()));
    }

    /// What a message about the value here begins with: the key.
    pub(super) fn prefix(&self) -> String {
        match self.key.as_str() {
            "" => String::new(),
            key => format!("{}: ", quoted(key)),
        }
    }

    fn note(&self, reading: Reading) {
        self.sink.note(&self.key, reading);
    }

    fn note_asked(&self, key: &str, reading: Reading) {
        if self.sink.is_tracing() {
            self.child(key, 0..0).note(reading);
        }
    }

    fn child(&self, key: &str, span: Range<usize>) -> Self {
        let key = match (self.key.as_str(), is_bare(key)) {
            ("", true) => key.to_owned(),
            ("", false) => format!("{key:?}"),
            (parent, true) => format!("{parent}.{key}"),
            (parent, false) => format!("{parent}.{key:?}"),
        };
        Self { key, span, ..self.clone() }
    }

    fn element(&self, index: usize, span: Range<usize>) -> Self {
        Self { key: format!("{}[{index}]", self.key), span, ..self.clone() }
    }
}

/// Whether TOML lets a key stand without quotes.
fn is_bare(key: &str) -> bool {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !key.is_empty() && key.chars().all(bare)
}

/// A table with a fixed set of keys.
pub(super) struct Table<'d> {
    pub(super) at: At<'d>,
    entries: &'d DeTable<'d>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d> Table<'d> {
    pub(super) fn optional(&self, key: &'static str) -> Option<Value<'d>> {
        self.asked.borrow_mut().push(key);
        self.at.note_asked(key, Reading::Asked);
        self.entry(key)
    }

    /// What has another place than this table, and is told so.
    pub(super) fn misplaced(&self, key: &'static str) -> Option<Value<'d>> {
        self.asked.borrow_mut().push(key);
        self.entry(key)
    }

    fn entry(&self, key: &str) -> Option<Value<'d>> {
        let (name, value) = self.entries.get_key_value(key)?;
        Some(Value::new(&self.at, name, value))
    }

    pub(super) fn required(&self, key: &'static str) -> Option<Value<'d>> {
        let value = self.optional(key);
        self.at.note_asked(key, Reading::Required);
        if value.is_none() {
            self.missing(&format!("key `{key}`"));
        }
        value
    }

    /// Reports that something has to be here: ``key `port` ``.
    pub(super) fn missing(&self, what: &str) {
        self.at.report(format!("missing {what}"));
    }

    fn report_unknown(&self) {
        let mut asked = self.asked.take();
        asked.sort_unstable();
        asked.dedup();
        for (name, _) in self.entries.iter() {
            let key = name.get_ref().as_ref();
            if asked.contains(&key) {
                continue;
            }
            let parent = match self.at.key.as_str() {
                "" => String::new(),
                parent => format!(" in {}", quoted(parent)),
            };
            let place = self.at.child(key, name.span()).place();
            let instead = instead(key, "valid keys", asked.iter().copied());
            let message = format!("unknown key {}{parent}{instead}", quoted(key));
            self.at.sink.report(place, message);
        }
    }
}

/// A value and where it is.
#[derive(Clone)]
pub(super) struct Value<'d> {
    pub(super) at: At<'d>,
    value: &'d DeValue<'d>,
}

impl<'d> Value<'d> {
    fn new(parent: &At<'d>, name: &'d Spanned<std::borrow::Cow<'d, str>>, value: &'d Spanned<DeValue<'d>>) -> Self {
        let span = match value.get_ref() {
            // The span of a table is that of its first header, which may belong to a table inside it.
            DeValue::Table(_) => name.span(),
            _ => value.span(),
        };
        Self { at: parent.child(name.get_ref(), span), value: value.get_ref() }
    }

    pub(super) fn report(&self, message: impl Display) {
        self.at.report(message);
    }

    fn expected<T>(&self, what: impl Display) -> Option<T> {
        self.report(format!("expected {what}, found {}", shown(self.value)));
        None
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// A string. NUL is refused everywhere, since no argument, variable or file name can hold one.
    pub(super) fn text(&self) -> Option<&'d str> {
        self.at.note(Reading::Text);
        self.string()
    }

    fn string(&self) -> Option<&'d str> {
        let Some(text) = self.value.as_str() else {
            return self.expected("a string");
        };
        if text.contains('\0') {
            self.report("holds a NUL character");
            return None;
        }
        Some(text)
    }

    /// A string, or a number or boolean as it is written.
    pub(super) fn scalar(&self) -> Option<String> {
        self.at.note(Reading::Scalar);
        match self.value {
            DeValue::String(_) => self.string().map(str::to_owned),
            DeValue::Integer(integer) => Some(integer.to_string()),
            DeValue::Float(float) => Some(float.as_str().to_owned()),
            DeValue::Boolean(value) => Some(value.to_string()),
            _ => self.expected("a string, a number or a boolean"),
        }
    }

    /// The strings of a list of nothing else, where it is one.
    pub(super) fn texts(&self) -> Option<Vec<&'d str>> {
        let array = self.value.as_array()?;
        self.at.note(Reading::List);
        self.at.element(0, 0..0).note(Reading::Text);
        array.iter().map(|value| value.get_ref().as_str().filter(|text| !text.contains('\0'))).collect()
    }

    /// A string that `check` has nothing against.
    pub(super) fn checked(&self, check: &dyn Fn(&str) -> Result<(), String>) -> Option<String> {
        let text = self.text()?;
        check(text).map_err(|message| self.report(message)).ok()?;
        Some(text.to_owned())
    }

    /// A string with something in it, on one line.
    pub(super) fn sentence(&self) -> Option<String> {
        let text = self.text()?;
        if text.trim().is_empty() || text.contains(char::is_control) {
            return self.expected("a text on one line");
        }
        Some(text.to_owned())
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.at.note(Reading::Boolean);
        self.value.as_bool().or_else(|| self.expected("`true` or `false`"))
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.number(1..=u16::MAX)
    }

    pub(super) fn number(&self, range: RangeInclusive<u16>) -> Option<u16> {
        self.at.note(Reading::Number(*range.start(), *range.end()));
        let number = self
            .value
            .as_integer()
            .and_then(|integer| u16::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|number| range.contains(number));
        let (first, last) = range.into_inner();
        number.or_else(|| self.expected(format!("an integer from {first} to {last}")))
    }

    /// `20s`, `1m 30s`.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.at.note(Reading::Duration);
        let text = self.string()?;
        let parsed = humantime::parse_duration(text);
        let Ok(duration) = parsed else {
            return self.expected("a duration such as `20s` or `1m 30s`");
        };
        if range.contains(&duration) {
            return Some(duration);
        }
        let (first, last) = range.into_inner();
        let [first, last] = [first, last].map(humantime::format_duration);
        self.expected(format!("a duration from {first} to {last}"))
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        let parsed = self.text()?.parse();
        parsed.map_err(|error| self.report(error)).ok()
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        self.at.note(Reading::choice(choices));
        let word = self.string()?;
        choose(word, choices).map_err(|message| self.report(message)).ok()
    }

    pub(super) fn list(&self) -> Option<Vec<Value<'d>>> {
        self.at.note(Reading::List);
        let Some(array) = self.value.as_array() else {
            return self.expected("a list");
        };
        let elements = array.iter().enumerate();
        let values =
            elements.map(|(index, value)| Value { at: self.at.element(index, value.span()), value: value.get_ref() });
        Some(values.collect())
    }

    /// Reads a table with a fixed set of keys.
    pub(super) fn table<T>(&self, read: impl FnOnce(&Table<'d>) -> T) -> Option<T> {
        self.at.note(Reading::Table);
        let Some(entries) = self.value.as_table() else {
            return self.expected("a table");
        };
        let table = Table { at: self.at.clone(), entries, asked: RefCell::default() };
        let value = read(&table);
        table.report_unknown();
        Some(value)
    }

    /// The entries of a table whose keys are names that the file chose, in the order of the file.
    pub(super) fn entries(&self) -> Option<Vec<(&'d str, Value<'d>)>> {
        self.at.note(Reading::Names);
        let Some(table) = self.value.as_table() else {
            return self.expected("a table");
        };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let located =
            entries.into_iter().map(|(name, value)| (name.get_ref().as_ref(), Value::new(&self.at, name, value)));
        Some(located.collect())
    }

    /// The value as JSON, its strings looked at by `check`. What JSON has no word for (dates, `nan`, `inf`) is reported.
    pub(super) fn json(&self, check: &dyn Fn(&str) -> Result<(), String>) -> Option<Json> {
        self.at.note(Reading::Any);
        match self.value {
            DeValue::String(_) => self.checked(check).map(Json::from),
            DeValue::Boolean(value) => Some(Json::from(*value)),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map(Json::from)
                .ok()
                .or_else(|| self.expected("an integer of 64 bits")),
            DeValue::Float(float) => float
                .as_str()
                .parse()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map(Json::Number)
                .or_else(|| self.expected("a number that JSON can hold")),
            DeValue::Datetime(_) => self.expected("a value that JSON can hold"),
            DeValue::Array(_) => {
                // All are looked at before the first that is wrong ends it.
                let values: Vec<_> = self.list()?.iter().map(|value| value.json(check)).collect();
                values.into_iter().collect()
            }
            DeValue::Table(_) => {
                let entries = self.entries()?;
                let pair = |(name, value): &(&str, Self)| ((*name).to_owned(), value.json(check));
                let pairs: Vec<_> = entries.iter().map(pair).collect();
                let pairs = pairs.into_iter().map(|(name, value)| Some((name, value?)));
                pairs.collect::<Option<serde_json::Map<_, _>>>().map(Json::Object)
            }
        }
    }
}

/// One of a few words, or what to say about it.
pub(super) fn choose<T: Copy>(word: &str, choices: &[(&'static str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names = choices.iter().map(|(name, _)| *name);
        let instead = instead(word, "valid values", names);
        format!("unknown value {}{instead}", quoted(word))
    })
}

/// A value as an error shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(integer) => format!("the integer {}", quoted(&integer.to_string())),
        DeValue::Float(float) => format!("the number {}", quoted(float.as_str())),
        DeValue::Boolean(value) => format!("`{value}`"),
        DeValue::Datetime(date) => format!("the date {}", quoted(&date.to_string())),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
