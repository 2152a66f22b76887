//! A cause that was found.

use super::codes;
use base::error::Fault;
use model::name::ServiceName;
use std::time::Duration;

/// Why a release is not as it should be, or may become so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One of [`codes::CODES`].
    pub code: &'static str,
    pub cause: String,
    /// What to type or change next.
    pub hint: String,
    /// The service that it is about.
    pub service: Option<ServiceName>,
    /// What exactly it is about, so that the same thing is told from a new one: a container and how often it has started.
    pub about: String,
    /// For how long it may stay so before waiting is given up.
    pub debounce: Duration,
}

impl Finding {
    /// Something that no waiting mends.
    pub(super) fn new(code: &'static str, cause: impl Into<String>) -> Self {
        Self {
            code,
            cause: cause.into(),
            hint: String::new(),
            service: None,
            about: String::new(),
            debounce: Duration::ZERO,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(super) fn of(mut self, service: Option<&ServiceName>, about: impl Into<String>) -> Self {
        self.service = service.cloned();
        self.about = about.into();
        self
    }

    pub(super) fn debounce(mut self, debounce: Duration) -> Self {
        self.debounce = debounce;
        self
    }

    /// What the run fails with. Its hint ends with what would have told before.
    pub fn fault(&self) -> Fault {
        let fault = Fault::failed(self.code, self.cause.clone());
        let check = codes::check(self.code).map(|check| format!("`doctor` tells beforehand: `{check}`"));
        let hint: Vec<String> =
            [Some(self.hint.clone()).filter(|hint| !hint.is_empty()), check].into_iter().flatten().collect();
        if hint.is_empty() { fault } else { fault.hint(hint.join("; ")) }
    }
}
