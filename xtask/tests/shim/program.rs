//! The program that stands for containers, which is the one with all backends.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The other program builds it, where that has to be, when it is asked for what only this one has.
#[expect(clippy::disallowed_methods, reason = "tests start the programs that they ask")]
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let other = Path::new(env!("CARGO_BIN_EXE_xtask"));
        let listed = Command::new(other).args(["ci", "--list"]).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        other.with_file_name("remote")
    })
}
