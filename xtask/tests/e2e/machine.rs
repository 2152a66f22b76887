//! What this machine has, and machines that lack some of it.

use super::sandbox::scratch;
use std::path::{Path, PathBuf};

/// Whether one of these programs is on PATH. Without any, what needs it is to be skipped, which is said here.
///
/// # Panics
/// If there is none and the variable `require` is set to `1`.
pub(crate) fn has_program(names: &[&str], require: &str) -> bool {
    let found = names.iter().any(|name| which::which(name).is_ok());
    if !found {
        assert!(std::env::var(require).as_deref() != Ok("1"), "none of {names:?} is on PATH, and `{require}` is `1`");
        eprintln!("SKIPPED: none of {names:?} is on PATH (set `{require}=1` to make this a failure)");
    }
    found
}

/// A folder to use as PATH, in which all programs are but some; it goes when dropped.
pub(crate) struct PathWithout(PathBuf);

impl PathWithout {
    pub(crate) fn new(name: &str, missing: &[&str]) -> Self {
        let folder = scratch().join(format!("path-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        for program in std::env::split_paths(&path).flat_map(std::fs::read_dir).flatten().flatten() {
            let name = program.file_name();
            if !missing.iter().any(|missing| name == *missing) {
                // The first of a name is the one that is found.
                let _ = std::os::unix::fs::symlink(program.path(), folder.join(name));
            }
        }
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for PathWithout {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
