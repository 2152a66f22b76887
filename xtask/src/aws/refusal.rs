//! What AWS says when it does not do something, as a type: read from the words of its CLI.

use crate::error::Fault;
use std::fmt;

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub trouble: Trouble,
    /// AWS's code: `DependencyViolation`; empty when AWS was not reached.
    pub code: String,
    /// Its words.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such thing.
    Absent,
    /// It is there already, or has changed meanwhile.
    Conflict,
    /// Something else still uses it.
    InUse,
    /// Asked too often.
    Throttled,
    /// The credentials have run out.
    Expired,
    /// There are no credentials, or AWS does not know them.
    Unknown,
    /// These credentials may not.
    Denied,
    /// No answer came, so that it may have been done.
    Unanswered,
    Interrupted,
    Other,
}

impl Refusal {
    /// Reads what the CLI wrote to its standard error:
    /// `An error occurred (CODE) when calling the OPERATION operation: WORDS`.
    pub fn read(stderr: &str) -> Self {
        let _ = stderr;
        todo!("H3")
    }

    pub fn is_absent(&self) -> bool {
        self.trouble == Trouble::Absent
    }

    /// See [`super::fault`].
    pub(super) fn fault(&self, what: &str) -> Fault {
        let _ = what;
        todo!("H3")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
