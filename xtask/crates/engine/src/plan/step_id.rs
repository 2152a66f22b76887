//! The name of a step: what it does, and to what. Steps are told apart by these two, never by taking a text apart.

use crate::reconcile::UnitId;
use model::name::{ServiceName, SystemName};
use std::fmt;
use std::hash::{Hash, Hasher};

/// What a step does: `start`, `push`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action(&'static str);

impl Action {
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The step that does it to `subject`.
    pub fn of(self, subject: &(impl ToSubject + ?Sized)) -> StepId {
        StepId::with(self, Some(subject.to_subject()), None)
    }
}

/// What a step does something to, where that is not the deployment as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    System(SystemName),
    Service(ServiceName),
    Unit(UnitId),
    /// Anything else that has a name, such as a public image.
    Named(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(name) => name.fmt(f),
            Self::Service(name) => name.shown().fmt(f),
            Self::Unit(unit) => unit.fmt(f),
            Self::Named(name) => name.fmt(f),
        }
    }
}

/// What a step can do something to.
pub trait ToSubject {
    fn to_subject(&self) -> Subject;
}

impl ToSubject for SystemName {
    fn to_subject(&self) -> Subject {
        Subject::System(self.clone())
    }
}

impl ToSubject for ServiceName {
    fn to_subject(&self) -> Subject {
        Subject::Service(self.clone())
    }
}

impl ToSubject for UnitId {
    fn to_subject(&self) -> Subject {
        Subject::Unit(self.clone())
    }
}

impl ToSubject for str {
    fn to_subject(&self) -> Subject {
        Subject::Named(self.to_owned())
    }
}

impl ToSubject for String {
    fn to_subject(&self) -> Subject {
        Subject::Named(self.clone())
    }
}

impl<T: ToSubject + ?Sized> ToSubject for &T {
    fn to_subject(&self) -> Subject {
        (**self).to_subject()
    }
}

/// The name of a step, unique within a plan. It is written `build`, `start:epoch`, `push:epoch:arm64`.
#[derive(Debug, Clone)]
pub struct StepId {
    action: Action,
    subject: Option<Subject>,
    text: String,
}

impl StepId {
    /// The step that does it for the deployment as a whole.
    pub fn new(action: Action) -> Self {
        Self::with(action, None, None)
    }

    /// The same for a part of its subject, such as one platform.
    pub fn part(self, part: &str) -> Self {
        Self::with(self.action, self.subject, Some(part))
    }

    fn with(action: Action, subject: Option<Subject>, part: Option<&str>) -> Self {
        let mut text = action.0.to_owned();
        let subject_text = subject.as_ref().map(ToString::to_string);
        for word in subject_text.iter().map(String::as_str).chain(part) {
            text.push(':');
            text.push_str(word);
        }
        Self { action, subject, text }
    }

    pub fn action(&self) -> Action {
        self.action
    }

    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

// What is written is all that a name is: the journal knows nothing else of it.

impl PartialEq for StepId {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for StepId {}

impl PartialOrd for StepId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for StepId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for StepId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_written_as_what_it_does_and_to_what() {
        let (system, service): (SystemName, ServiceName) = ("shop".parse().unwrap(), "epoch".parse().unwrap());
        let written = [
            StepId::new(Action::new("ports")),
            Action::new("smoke").of(&system),
            Action::new("push").of(&service).part("arm64"),
            Action::new("remove").of(&UnitId::new(&system, &service)),
        ];
        let written: Vec<_> = written.iter().map(StepId::as_str).collect();
        assert_eq!(written, ["ports", "smoke:shop", "push:epoch:arm64", "remove:shop/epoch"]);
    }
}
