//! What a copy of a file or folder of the repository holds: its files, as git would add them. A link stands for the file
//! that it leads to, and none leads out of the repository.

use super::input::{Digest, Kind};
use super::tree::{Forest, STATE, hash_file};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// One file of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Below what is copied; empty where that is a file itself.
    pub path: PathBuf,
    pub digest: Digest,
    pub size: u64,
    pub executable: bool,
}

/// The files at a path of the repository, in order. What git ignores counts only where it is named itself.
///
/// # Errors
/// When nothing is there, when it cannot be read, or when it or a link in it leads out of the repository.
pub fn copied(root: &Path, from: &Path) -> Result<Vec<Copied>> {
    let forest = Forest::new(root)?;
    let top = inside(&forest, root, from)?;
    let tree = forest.read(std::slice::from_ref(&top), &|_, _| false)?.remove(&top).unwrap_or_default();
    let mut files = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    for input in tree.inputs {
        let found = input.path();
        let (mode, digest) = match input.kind() {
            Kind::File { mode } => (mode, input.digest()),
            Kind::Link => {
                let lead = inside(&forest, root, &found)?;
                if !root.join(&lead).is_file() {
                    bail!("`{}` is a link to what is no file", found.display());
                }
                hash_file(&root.join(&lead), &mut buffer)?
            }
            _ => continue,
        };
        let size = fs::metadata(root.join(&found))?.len();
        let path = found.strip_prefix(&top).unwrap_or(&found).to_path_buf();
        files.push(Copied { path, digest, size, executable: mode & 0o100 != 0 });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Where a path is in the end.
fn inside(forest: &Forest<'_>, root: &Path, path: &Path) -> Result<PathBuf> {
    match root.join(path).canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound && !root.join(path).is_symlink() => {
            bail!("there is no `{}` in the repository", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        Ok(_) => {}
    }
    let real = forest.destination(&root.join(path));
    let real = real.with_context(|| format!("`{}` leads out of the repository", path.display()))?;
    match real.components().next().map(|first| first.as_os_str().to_owned()) {
        Some(first) if first == STATE || first == ".git" => {
            bail!("`{}` is in `{}`, which is not the repository's content", path.display(), first.display())
        }
        _ => Ok(real),
    }
}
