//! Outside programs that a test needs and a machine may lack: a named skip, or a failure where they are required.

use std::path::PathBuf;

/// The first of these programs that is on `PATH`. Without one the test is to be skipped, which is said here.
///
/// # Panics
/// If there is none and the variable `require` is set to `1`.
#[must_use]
pub fn find_program(names: &[&str], require: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = || std::env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    let found = candidates().find(|candidate| candidate.is_file());
    if found.is_none() {
        skip(&format!("none of {names:?} is on PATH"), require);
    }
    found
}

/// Says that a test is skipped and why.
fn skip(reason: &str, require: &str) {
    assert!(std::env::var(require).as_deref() != Ok("1"), "{reason}, and `{require}` is `1`");
    eprintln!("SKIPPED: {reason} (set `{require}=1` to make this a failure)");
}
