//! What an image's build is given: a folder that holds all that the key covers, and nothing else.

use crate::error::Fault;
use crate::home;
use crate::key::{Digest, Input, Kind, Manifest};
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// A folder for one build. It goes when this goes.
pub(super) struct Context {
    folder: PathBuf,
}

impl Context {
    /// Makes the folder anew, whatever an earlier run has left there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(folder: PathBuf, recipe: &[u8]) -> Result<Self> {
        home::remove(&folder)?;
        let context = Self { folder };
        fs::create_dir_all(context.tree()).with_context(|| format!("make `{}`", context.folder.display()))?;
        fs::write(context.dockerfile(), recipe).context("write the recipe of an image")?;
        Ok(context)
    }

    /// What the builder sees.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    pub(super) fn dockerfile(&self) -> PathBuf {
        self.folder.join("Dockerfile")
    }

    pub(super) fn id(&self) -> PathBuf {
        self.folder.join("id")
    }

    /// A binary that was built on this machine, and an empty folder for its data.
    ///
    /// # Errors
    /// When either cannot be written.
    pub(super) fn with_binary(self, binary: &[u8]) -> Result<Self> {
        let write = || {
            write_file(&self.tree().join("service"), binary, 0o755)?;
            fs::create_dir(self.tree().join("data"))
        };
        write().context("copy a binary to where its image is built")?;
        Ok(self)
    }

    /// The files that a manifest lists, as it lists them, but for those in `written`.
    ///
    /// # Errors
    /// When one of them is not what it was.
    pub(super) fn with_sources(
        self,
        root: &Path,
        manifest: &Manifest,
        written: &BTreeMap<PathBuf, String>,
    ) -> Result<Self> {
        for input in manifest.inputs() {
            match input.kind() {
                Kind::File { mode } => {
                    let path = input.path();
                    let content = unchanged(root, input)?;
                    let content = written.get(&path).map_or(content.as_slice(), String::as_bytes);
                    self.write(&path, content, mode)?;
                }
                Kind::Link => self.link(root, &input.path())?,
                _ => {}
            }
        }
        for (path, text) in written {
            self.write(path, text.as_bytes(), 0o600)?;
        }
        Ok(self)
    }

    /// Of the mode what counts for the key: an umask decided the rest.
    fn write(&self, path: &Path, content: &[u8], mode: u16) -> Result<()> {
        let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
        let target = self.tree().join(path);
        write_file(&target, content, mode).with_context(|| format!("write `{}`", target.display()))
    }

    /// A link that leads to a place in the repository leads to the same place here.
    fn link(&self, root: &Path, path: &Path) -> Result<()> {
        let attempt = || {
            let link = root.join(path);
            let target = fs::read_link(&link)?;
            let real_root = fs::canonicalize(root)?;
            let inside = fs::canonicalize(&link).ok();
            let inside = inside.as_ref().and_then(|real| real.strip_prefix(&real_root).ok());
            let target = match inside {
                Some(inside) if target.is_absolute() => climb(path).join(inside),
                _ => target,
            };
            let copy = self.tree().join(path);
            fs::create_dir_all(copy.parent().unwrap_or(&copy))?;
            symlink(target, copy)
        };
        attempt().with_context(|| format!("copy the link `{}`", path.display()))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // The next build begins with removing it, should that fail now.
        let _ = home::remove(&self.folder);
    }
}

/// From the folder of `path` up to where `path` starts.
fn climb(path: &Path) -> PathBuf {
    path.components().skip(1).map(|_| Component::ParentDir).collect()
}

fn write_file(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn unchanged(root: &Path, input: &Input) -> Result<Vec<u8>> {
    let content = fs::read(root.join(input.path())).ok().filter(|content| Digest::of(content) == input.digest());
    content.ok_or_else(|| changed(&format!("{} changed", input.name())).into())
}

pub(super) fn changed(what: &str) -> Fault {
    Fault::failed("changed-meanwhile", format!("{what} while it was being built")).hint("run the same command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_climbs_as_far_as_it_is_deep() {
        assert_eq!(climb(Path::new("a")), Path::new(""));
        assert_eq!(climb(Path::new("a/b/c")), Path::new("../.."));
    }
}
