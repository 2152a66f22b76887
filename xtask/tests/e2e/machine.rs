//! What this machine has, and machines that lack some of it.

use super::sandbox::scratch;
use std::path::{Path, PathBuf};

/// Whether one of these programs is on PATH. Without any, a part of the test that asks is left out, which is said.
///
/// # Panics
/// If there is none and the variable `require` is set to `1`.
pub(crate) fn has_program(part: &str, names: &[&str], require: &str) -> bool {
    let found = skip::program(names, require);
    if let Err(missing) = &found {
        skip::part(format!("{part}: {missing}"));
    }
    found.is_ok()
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
