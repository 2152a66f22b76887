//! Copies of this repository to try things in: what a fresh clone would have, together with what is not committed yet.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use xshell::Shell;

/// What is made by working in a checkout and is no part of it.
const LEFT_OUT: [&str; 3] = ["target", ".git", ".slipway"];

/// Makes `copy` hold exactly what `root` has, modification times included, so that cargo takes what it has built for
/// an earlier copy in the same place as fresh. What an earlier use left in `copy` is removed.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_repository(root: &Path, copy: &Path) -> Result<()> {
    // The shell's functions name the path in their errors, and removing what is not there is no error to it.
    let sh = Shell::new()?;
    sh.remove_path(copy)?;
    copy_folder(&sh, root, copy, true)
}

fn copy_folder(sh: &Shell, from: &Path, to: &Path, top: bool) -> Result<()> {
    sh.create_dir(to)?;
    for path in sh.read_dir(from)? {
        let name = path.file_name().unwrap_or_default();
        let left_out = LEFT_OUT.iter().any(|left_out| name == *left_out);
        // One's own settings are not part of the repository, and would make two copies differ.
        let personal = name.to_string_lossy().ends_with(".local.toml");
        if !(personal || top && left_out) {
            copy_entry(sh, &path, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_entry(sh: &Shell, from: &Path, to: &Path) -> Result<()> {
    let context = || format!("copy `{}`", from.display());
    let kind = fs::symlink_metadata(from).with_context(context)?;
    if kind.is_dir() {
        return copy_folder(sh, from, to, false);
    }
    if kind.is_symlink() {
        let target = fs::read_link(from).with_context(context)?;
        return std::os::unix::fs::symlink(target, to).with_context(context);
    }
    sh.copy_file(from, to)?;
    let file = fs::File::options().write(true).open(to);
    file.and_then(|file| file.set_modified(kind.modified()?)).with_context(context)
}
