//! How a test says that it cannot run on this machine, and why.
//!
//! The test runner knows no skipped tests: one that returns early counts as passed. So what a test needs is looked up by
//! a function that returns [`Found`], and the test takes it with [`unless!`], which prints a line that `cargo xtask ci`
//! counts. The line is printed past the runner's capture: whoever types `cargo test` sees it as well.

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

/// Begins the line of a test that is skipped. Its name and its reason follow, separated by `: `.
pub const SKIPPED: &str = "SKIPPED ";
/// Begins the line of a test that runs without a part of it. What is left out and why follow.
pub const PART: &str = "SKIPPED PART ";

/// What a test needs, or why this machine does not have it.
pub type Found<T> = Result<T, Missing>;

/// Why a test cannot run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    reason: String,
}

impl Missing {
    /// Something that nobody has to have.
    pub fn new(reason: impl Display) -> Self {
        // One reason is one line, whatever an engine says about itself.
        let reason = reason.to_string();
        Self { reason: reason.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ") }
    }

    /// Something that has to be there when the variable `require` is `1`, as it is in a pipeline that installs it.
    ///
    /// # Panics
    /// If it has to be there.
    #[track_caller]
    pub fn unless_required(reason: impl Display, require: &str) -> Self {
        assert!(std::env::var(require).as_deref() != Ok("1"), "{reason}, and `{require}` is `1`");
        Self::new(format!("{reason} (set `{require}=1` to make this a failure)"))
    }

    /// Says that the test that runs on this thread is skipped. Tests do this with [`unless!`].
    pub fn report(&self) {
        let thread = std::thread::current();
        say(&line(thread.name().unwrap_or("a test"), &self.reason));
    }
}

impl Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The line of a test that is skipped.
#[must_use]
pub fn line(test: &str, reason: &str) -> String {
    format!("{SKIPPED}{test}: {reason}")
}

/// Says that the test that runs on this thread leaves a part out, and why; the rest of it runs.
pub fn part(what: impl Display) {
    say(&format!("{PART}{what}"));
}

/// In one piece, so that tests that run at the same time do not mix their lines.
fn say(line: &str) {
    // Nobody can be told of a standard error that is closed.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The first of these programs that is on PATH.
///
/// # Errors
/// When there is none.
///
/// # Panics
/// If there is none and the variable `require` is `1`.
#[track_caller]
pub fn program(names: &[&str], require: &str) -> Found<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    let found = candidates.find(|candidate| candidate.is_file());
    found.ok_or_else(|| Missing::unless_required(format!("none of {names:?} is on PATH"), require))
}

/// What a test needs. Without it the test ends here, as a skipped one, with the reason.
#[macro_export]
macro_rules! unless {
    ($found:expr) => {
        match $found {
            Ok(found) => found,
            Err(missing) => {
                $crate::Missing::report(&missing);
                return;
            }
        }
    };
}
