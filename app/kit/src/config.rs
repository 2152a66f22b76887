//! Configuration from environment variables, parsed into types at the edge.
//!
//! A variable that is set to nothing counts as not set: that is how compose files and charts say "no value".

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

/// The environment variables of the process, or of a test.
#[derive(Debug, Clone, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

/// A variable whose value cannot be used. Its text fits a line and never holds a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    name: String,
    value: Value,
    valid: String,
}

/// What the message says about the value.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Shown(String),
    Secret,
    Missing,
}

impl Env {
    /// The environment this process was started with.
    #[must_use]
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// An environment made of these pairs.
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of a variable as a `T`, if it is set; `valid` says in words what a value may be.
    ///
    /// # Errors
    /// The value is not a `T`.
    pub fn get<T: FromStr>(&self, name: &str, valid: &str) -> Result<Option<T>, ConfigError> {
        self.parse_with(name, valid, |text| text.parse().ok())
    }

    /// As [`Env::get`], with a parser of the caller's.
    ///
    /// # Errors
    /// The parser returned `None`.
    pub fn parse_with<T>(
        &self,
        name: &str,
        valid: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.raw(name) else {
            return Ok(None);
        };
        let parsed = value.to_str().and_then(parse);
        parsed.map(Some).ok_or_else(|| ConfigError::new(name, &value.to_string_lossy(), valid))
    }

    /// As [`Env::parse_with`] for a value that must not be shown.
    ///
    /// # Errors
    /// The parser's reason, which must not hold the value either.
    pub fn secret<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.raw(name) else {
            return Ok(None);
        };
        let text = value.to_str().ok_or_else(|| "text in UTF-8".to_owned());
        text.and_then(parse).map(Some).map_err(|valid| ConfigError {
            name: name.to_owned(),
            value: Value::Secret,
            valid,
        })
    }

    fn raw(&self, name: &str) -> Option<&OsString> {
        self.0.get(&OsString::from(name)).filter(|value| !value.is_empty())
    }
}

impl ConfigError {
    /// `valid` says in words what the value may be.
    #[must_use]
    pub fn new(name: &str, value: &str, valid: &str) -> Self {
        let value = Value::Shown(value.to_owned());
        Self { name: name.to_owned(), value, valid: valid.to_owned() }
    }

    /// A variable that has to be set and is not.
    #[must_use]
    pub fn missing(name: &str, valid: &str) -> Self {
        Self { name: name.to_owned(), value: Value::Missing, valid: valid.to_owned() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, valid } = self;
        match value {
            // `escape_debug` keeps the message on one line whatever the value holds.
            Value::Shown(value) => write!(f, "`{name}` is `{}`; valid is {valid}", value.escape_debug()),
            Value::Secret => write!(f, "`{name}` has a value that cannot be used (not shown); valid is {valid}"),
            Value::Missing => write!(f, "`{name}` is not set; valid is {valid}"),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::Env;

    #[test]
    fn an_empty_value_is_no_value() {
        let env = Env::of_pairs([("PORT", "")]);
        assert_eq!(env.get::<u16>("PORT", "a port"), Ok(None));
    }

    #[test]
    fn an_error_names_variable_value_and_what_is_valid_on_one_line() {
        let env = Env::of_pairs([("PORT", "eighty\nfour")]);
        let error = env.get::<u16>("PORT", "a port").unwrap_err();
        assert_eq!(error.to_string(), r"`PORT` is `eighty\nfour`; valid is a port");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let env = Env::of_pairs([("REDIS_URL", "hunter2")]);
        let error = env.secret::<()>("REDIS_URL", |_| Err("redis://…".into())).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
