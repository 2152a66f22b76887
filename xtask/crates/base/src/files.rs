//! How files of state are written and read: private to their owner, and never seen half written.

use crate::error::Fault;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};
use xshell::Shell;

/// How often a removal is tried.
const REMOVALS: usize = 5;

/// Writes a file that only its owner may read, so that a reader sees the old content or the new, never a part.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    write_with_mode(path, content, 0o600)
}

/// For how long a folder is begun anew of which a part is removed meanwhile.
const MADE_WITHIN: Duration = Duration::from_secs(1);

/// Makes a folder and those above it. Where somebody removes one of those at that moment, since it is empty, it is made again:
/// the last environment of a checkout takes the folder of all environments along.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    let deadline = Instant::now() + MADE_WITHIN;
    loop {
        match std::fs::create_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound && Instant::now() < deadline => {}
            made => return made,
        }
    }
}

/// The same for a file of any mode.
///
/// # Errors
/// Those of [`write_private`].
pub fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let attempt = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        // Steps that run side by side may write the same file.
        let writer = format!("{}-{:?}", std::process::id(), std::thread::current().id());
        let beside = path.with_extension(format!("tmp{}", writer.replace(|c: char| !c.is_ascii_digit(), "")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    attempt().with_context(|| format!("write `{}`", path.display()))
}

/// # Errors
/// Those of [`write_private`].
pub fn write_json(path: &Path, value: &Value) -> Result<()> {
    write_private(path, json_text(value).as_bytes())
}

/// A document as it is written into a file.
pub fn json_text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The document in a file, `None` when there is no file.
///
/// # Errors
/// When the file cannot be read or is not JSON; what a disk that was full or a hand has done to it is not guessed at.
pub fn read_json(path: &Path) -> Result<Option<Value>> {
    read(path)?.map(|text| parse_json(path, &text)).transpose()
}

/// What is in a file, `None` when there is no file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read `{}`", path.display())),
    }
}

/// The document that the text of a file is.
///
/// # Errors
/// When it is none.
pub fn parse_json(path: &Path, text: &[u8]) -> Result<Value> {
    serde_json::from_slice(text).map_err(|error| {
        let cause = format!("`{}` is corrupt: {error}", path.display());
        let hint = format!("remove it, and the next deploy recreates what is missing: rm {}", path.display());
        Fault::could_not_run("state-broken", cause).hint(hint).into()
    })
}

/// Removes a file, or a folder with all in it; what is not there is already as it should be.
///
/// # Errors
/// When something of it cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    let shell = Shell::new()?;
    // A sign of life that is written into a folder meanwhile keeps it from being empty for a moment.
    for _ in 1..REMOVALS {
        if shell.remove_path(path).is_ok() {
            return Ok(());
        }
    }
    Ok(shell.remove_path(path)?)
}

/// Opens a file for appending, making its folder when needed.
///
/// # Errors
/// When either cannot be made.
pub fn append(path: &Path) -> Result<File> {
    let attempt = || {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    };
    attempt().with_context(|| format!("open `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::make_folder;
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_folder_is_made_while_somebody_removes_the_one_above_it() {
        let shared = std::env::temp_dir().join(format!("xtask-shared-{}", std::process::id()));
        let (own, is_over) = (shared.join("own"), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let _ = fs::remove_dir(&shared);
                }
            });
            let made = (0..2000).try_for_each(|_| {
                make_folder(&own.join("runs"))?;
                fs::remove_dir(own.join("runs"))?;
                fs::remove_dir(&own)
            });
            is_over.store(true, Ordering::SeqCst);
            made.unwrap();
        });
        let _ = fs::remove_dir(&shared);
    }
}
