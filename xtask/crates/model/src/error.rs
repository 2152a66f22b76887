//! What is wrong with the spec: every error of every file, each with its place.

use super::load::SYSTEMS;
use super::name::SystemName;
use super::trace::{Reading, Trace};
use base::error::Fault;
use std::cell::RefCell;
use std::fmt;

/// Where an error is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file or folder below the root, and the line in it where one can be told.
    File { path: String, line: Option<usize> },
    /// The command line, with the flag as it was given.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{path}:{line}"),
            Self::File { path, line: None } => f.write_str(path),
            Self::Flag(flag) => f.write_str(&quoted(flag)),
        }
    }
}

/// One thing that is wrong: `deploy/systems/epoch.toml:7: unknown key ...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpecError {
    pub place: Place,
    pub message: String,
}

impl SpecError {
    /// The system in whose file it is.
    pub fn system(&self) -> Option<SystemName> {
        let Place::File { path, .. } = &self.place else { return None };
        path.strip_prefix(SYSTEMS)?.strip_prefix('/')?.strip_suffix(".toml")?.parse().ok()
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// All that is wrong, sorted by place; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecErrors(Vec<SpecError>);

impl SpecErrors {
    pub fn iter(&self) -> impl Iterator<Item = &SpecError> {
        self.0.iter()
    }

    /// Whether the command line alone is to blame; a broken file is not a usage error.
    pub fn is_usage(&self) -> bool {
        self.0.iter().all(|error| matches!(error.place, Place::Flag(_)))
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecErrors {}

impl From<SpecErrors> for Fault {
    fn from(errors: SpecErrors) -> Self {
        if errors.is_usage() {
            Self::usage(errors.to_string())
        } else {
            Self::could_not_run("spec", errors.to_string())
        }
    }
}

/// Collects errors while reading goes on, so that one run tells all of them.
#[derive(Debug, Default)]
pub(super) struct Sink {
    errors: RefCell<Vec<SpecError>>,
    /// What is read, where somebody wants to know.
    trace: Option<RefCell<Trace>>,
}

impl Sink {
    pub(super) fn tracing() -> Self {
        Self { trace: Some(RefCell::default()), ..Self::default() }
    }

    pub(super) fn is_tracing(&self) -> bool {
        self.trace.is_some()
    }

    pub(super) fn note(&self, key: &str, reading: Reading) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push((key.to_owned(), reading));
        }
    }

    pub(super) fn trace(&self) -> Trace {
        self.trace.as_ref().map(RefCell::take).unwrap_or_default()
    }

    pub(super) fn report(&self, place: Place, message: impl Into<String>) {
        let message = message.into();
        self.errors.borrow_mut().push(SpecError { place, message });
    }

    /// The value, unless anything was reported. Who has no value has reported why.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, SpecErrors> {
        let mut errors = self.errors.into_inner();
        match value {
            Some(value) if errors.is_empty() => return Ok(value),
            None if errors.is_empty() => errors.push(SpecError {
                place: Place::File { path: "deploy".to_owned(), line: None },
                message: "cannot be read".to_owned(),
            }),
            _ => {}
        }
        errors.sort();
        errors.dedup();
        Err(SpecErrors(errors))
    }
}

/// A text from outside in backticks: on one line, and not longer than a line.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// ``; did you mean `port`? valid keys: `image`, `port` ``: what to add to an error about an unknown name.
/// `what` is the plural of what is listed.
pub(super) fn instead<'a>(unknown: &str, what: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let valid: Vec<&str> = valid.into_iter().collect();
    let near = nearest(unknown, &valid).map(|near| format!("; did you mean `{near}`?"));
    if valid.is_empty() {
        return format!("; there are no {what}");
    }
    let listed: Vec<String> = valid.iter().map(|name| quoted(name)).collect();
    let separator = if near.is_some() { " " } else { "; " };
    let near = near.unwrap_or_default();
    format!("{near}{separator}{what}: {}", listed.join(", "))
}

/// Nothing, if `name` is among the known ones; else what to say about it. `kind` is one of them, `what` all of them.
pub(super) fn find<'k>(
    name: &str,
    kind: &str,
    what: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> Result<(), String> {
    if known.clone().any(|known| known == name) {
        return Ok(());
    }
    let instead = instead(name, what, known);
    Err(format!("unknown {kind} {}{instead}", quoted(name)))
}

/// The name that somebody who typed `unknown` most likely meant.
fn nearest<'a>(unknown: &str, valid: &[&'a str]) -> Option<&'a str> {
    // Comparing costs the product of both lengths, and no name is that long.
    if unknown.len() > 100 {
        return None;
    }
    let lower = unknown.to_lowercase();
    valid
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_met_with_the_nearest_and_all_valid_ones() {
        let valid = ["image", "port"];
        assert_eq!(instead("prot", "valid keys", valid), "; did you mean `port`? valid keys: `image`, `port`");
        assert_eq!(instead("colour", "valid keys", valid), "; valid keys: `image`, `port`");
        assert_eq!(instead("prot", "valid keys", []), "; there are no valid keys");
    }

    #[test]
    fn a_quoted_text_stays_on_one_line() {
        assert_eq!(quoted("a\nb\0"), r"`a\nb\u{0}`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 83);
    }

    #[test]
    fn errors_come_sorted_and_once() {
        let sink = Sink::default();
        let place = |line| Place::File { path: "a.toml".to_owned(), line: Some(line) };
        sink.report(place(10), "late");
        sink.report(place(9), "early");
        sink.report(place(9), "early");
        let errors = sink.finish(Some(())).unwrap_err();
        assert_eq!(errors.to_string(), "a.toml:9: early\na.toml:10: late");
        assert_eq!(Fault::from(errors).code, "spec");
    }

    #[test]
    fn a_flag_alone_is_a_usage_error_and_a_file_is_not() {
        let sink = Sink::default();
        sink.report(Place::Flag("--set x".to_owned()), "no");
        let errors = sink.finish(Some(())).unwrap_err();
        assert_eq!(errors.to_string(), "`--set x`: no");
        assert_eq!(Fault::from(errors).exit, base::error::Exit::Usage);
    }
}
