//! Exit codes, and errors that know their cause and what to type next.

use nix::sys::signal::Signal;
use std::fmt;
use std::io::ErrorKind;

/// How the program ends. The numbers are part of the interface and documented in `--help` and the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// A step or a check failed, or a receipt has survivors.
    Failed,
    Usage,
    /// Nothing was tried: a tool is missing, the spec is wrong, someone holds the lease.
    CouldNotRun,
    /// Stopped by the signal with this number.
    Interrupted(i32),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::CouldNotRun => 3,
            Self::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(1),
        }
    }
}

/// An error with a stable code, its cause first, and what to type next.
///
/// It travels inside `anyhow::Error`; [`Fault::of`] finds it again wherever the chain has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub exit: Exit,
    /// Stable and machine readable: `port-in-use`.
    pub code: &'static str,
    pub cause: String,
    pub hint: Option<String>,
}

impl Fault {
    /// A step or a check failed.
    pub fn failed(code: &'static str, cause: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, code, cause: cause.into(), hint: None }
    }

    /// The command line asks for something that does not exist or lacks a flag.
    pub fn usage(cause: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, code: "usage", cause: cause.into(), hint: None }
    }

    /// Nothing could be tried.
    pub fn could_not_run(code: &'static str, cause: impl Into<String>) -> Self {
        Self { exit: Exit::CouldNotRun, code, cause: cause.into(), hint: None }
    }

    pub fn interrupted(signal: i32) -> Self {
        let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string());
        let cause = format!("interrupted by {name}");
        Self { exit: Exit::Interrupted(signal), code: "interrupted", cause, hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The fault inside an error, or one made from its text.
    pub fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Self>() {
            // Context added on the way up says what was being done; it belongs in front of the cause.
            Some(fault) => Self { cause: format!("{error:#}"), ..fault.clone() },
            None => Self { hint: refused(error), ..Self::failed("error", format!("{error:#}")) },
        }
    }
}

/// What tells more of a file that may not be written or run.
fn refused(error: &anyhow::Error) -> Option<String> {
    let denied = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    error
        .chain()
        .any(denied)
        .then(|| "`cargo xtask doctor` says what may not be written or run, and what mends it".to_owned())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_fault_is_found_below_context_with_the_goal_in_front() {
        let error = Err::<(), _>(Fault::failed("port-in-use", "port 1337 is held by `nc`").hint("stop it"))
            .context("start `epoch`")
            .unwrap_err();
        let fault = Fault::of(&error);
        assert_eq!(fault.code, "port-in-use");
        assert_eq!(fault.cause, "start `epoch`: port 1337 is held by `nc`");
        assert_eq!(fault.hint.as_deref(), Some("stop it"));
    }

    #[test]
    fn what_the_file_system_refuses_is_doctors_to_explain() {
        let refused =
            |kind: ErrorKind| Fault::of(&anyhow::Error::from(std::io::Error::from(kind)).context("write `x`"));
        assert!(refused(ErrorKind::PermissionDenied).hint.is_some_and(|hint| hint.contains("doctor")));
        assert_eq!(refused(ErrorKind::NotFound).hint, None);
    }

    #[test]
    fn exit_codes_are_those_of_the_interface() {
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::CouldNotRun].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3]);
        assert_eq!((Exit::Interrupted(2).code(), Exit::Interrupted(15).code()), (130, 143));
    }
}
