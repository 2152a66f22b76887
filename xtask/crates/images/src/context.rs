//! What an image's build is given: a folder that holds all that the key covers, and nothing else.

use anyhow::{Context as _, Result};
use base::error::Fault;
use base::files;
use keys::{Digest, Input, Kind, Manifest};
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
        files::remove(&folder)?;
        let context = Self { folder };
        fs::create_dir_all(context.tree()).with_context(|| format!("make `{}`", context.folder.display()))?;
        fs::write(context.dockerfile(), recipe).context("write the recipe of an image")?;
        // Nothing in the folder is to be left out any more, whatever ignore file is among it.
        fs::write(context.ignore_file(), "# What is ignored is not here.\n")
            .context("write the ignore file of an image")?;
        Ok(context)
    }

    /// What the builder sees.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    pub(super) fn dockerfile(&self) -> PathBuf {
        self.folder.join("Dockerfile")
    }

    /// Where docker looks for it; podman is told.
    fn ignore_file(&self) -> PathBuf {
        self.folder.join("Dockerfile.dockerignore")
    }

    /// Writes what instructions may mount as a secret, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn with_secret(self, name: &str, value: &str) -> Result<Self> {
        let file = secret_file(&self.folder, name);
        files::write_with_mode(&file, value.as_bytes(), 0o600).context("write a secret for a build")?;
        Ok(self)
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

    /// The files that a manifest lists below a folder of the repository, as if that were the root. Links stay as they are.
    ///
    /// # Errors
    /// When one of them is not what it was.
    pub(super) fn with_folder(self, root: &Path, folder: &Path, manifest: &Manifest) -> Result<Self> {
        for input in manifest.inputs().iter().filter(|input| input.kind().is_path()) {
            let path = input.path();
            let Ok(place) = path.strip_prefix(folder) else { continue };
            match input.kind() {
                Kind::File { mode } => self.write(place, &unchanged(root, input)?, mode)?,
                Kind::Link => {
                    let copy = self.tree().join(place);
                    let make = || {
                        fs::create_dir_all(copy.parent().unwrap_or(&copy))?;
                        symlink(fs::read_link(root.join(&path))?, &copy)
                    };
                    make().with_context(|| format!("copy the link `{}`", path.display()))?;
                }
                _ => {}
            }
        }
        Ok(self)
    }

    /// Of the mode what counts for the key: an umask decided the rest.
    fn write(&self, path: &Path, content: &[u8], mode: u16) -> Result<()> {
        let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
        let target = self.tree().join(path);
        write_file(&target, content, mode).with_context(|| format!("write `{}`", target.display()))
    }

    /// A link that leads to a place in the repository leads to the same place here, without the links in between.
    fn link(&self, root: &Path, path: &Path) -> Result<()> {
        let attempt = || {
            let link = root.join(path);
            let target = fs::read_link(&link)?;
            let real_root = fs::canonicalize(root)?;
            let inside = fs::canonicalize(&link).ok();
            let inside = inside.as_ref().and_then(|real| real.strip_prefix(&real_root).ok());
            let target = inside.map_or(target, |inside| climb(path).join(inside));
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
        let _ = files::remove(&self.folder);
    }
}

/// Where the value of a secret is for a build in this folder.
pub(super) fn secret_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("secrets").join(name)
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

    use keys::Workspace;
    use std::collections::BTreeSet;

    /// A repository of one crate, in a folder of its own.
    fn repository(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("xtask-context-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let write = |path: &str, text: &str| write_file(&root.join(path), text.as_bytes(), 0o640).unwrap();
        write("Cargo.toml", "[workspace]\nmembers = ['app/*']\n# Why.\n[profile.dev]\ndebug = 1\n");
        write("app/a/Cargo.toml", "[package]\nname = 'a'\nversion = '1.0.0'\n[dev-dependencies]\nx = '1'\n");
        write("app/a/src/main.rs", "include_str!(\"../read.made\"); include_str!(\"../../../notes/label\");");
        write(".git/HEAD", "ref: refs/heads/main");
        write("app/a/.gitignore", "*.made");
        for path in ["app/a/read.made", "app/a/unread.made", "app/a/.DS_Store", "notes/label", "notes/other"] {
            write(path, "");
        }
        write("app/b/Cargo.toml", "[package]\nname = 'b'\nversion = '1.0.0'\n");
        write("app/a/100%.txt", "odd name");
        write_file(&root.join("app/a/run"), b"#!", 0o700).unwrap();
        write("shared/logo", "logo");
        write("README.md", "not for builders");
        symlink("shared", root.join("between")).unwrap();
        symlink("../../between", root.join("app/a/assets")).unwrap();
        symlink(root.join("shared/logo"), root.join("app/a/logo")).unwrap();
        symlink("/nowhere", root.join("app/a/nowhere")).unwrap();
        root
    }

    fn files(folder: &Path, found: &mut Vec<String>, from: &Path) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => files(&entry.path(), found, from),
                false => found.push(entry.path().strip_prefix(from).unwrap().to_string_lossy().into_owned()),
            }
        }
        found.sort();
    }

    #[test]
    fn a_builder_sees_what_the_key_covers_and_nothing_else() {
        let root = repository("sources");
        let workspace = Workspace::read(&root).unwrap().with_profile("image");
        let manifest = workspace.manifests(&["a"]).unwrap().remove("a").unwrap();
        let written = workspace.excerpt("a").unwrap();
        let context = Context::new(root.join("context"), b"FROM x").unwrap();
        let context = context.with_sources(&root, &manifest, &written).unwrap();
        let tree = context.tree();
        let mut found = Vec::new();
        files(&tree, &mut found, &tree);
        let covered = manifest.inputs().iter().filter(|input| input.kind().is_path()).map(Input::path);
        let covered: BTreeSet<PathBuf> = covered.chain(written.keys().cloned()).collect();
        assert_eq!(found.iter().map(PathBuf::from).collect::<BTreeSet<_>>(), covered);
        let expected = [
            "Cargo.lock",
            "Cargo.toml",
            "app/a/.gitignore",
            "app/a/100%.txt",
            "app/a/Cargo.toml",
            "app/a/assets",
            "app/a/logo",
            "app/a/nowhere",
            "app/a/read.made",
            "app/a/run",
            "app/a/src/main.rs",
            "notes/label",
            "shared/logo",
        ];
        assert_eq!(found, expected);
        for link in ["app/a/assets/logo", "app/a/logo"] {
            let real = fs::canonicalize(tree.join(link)).unwrap();
            assert_eq!(real, fs::canonicalize(tree.join("shared/logo")).unwrap(), "{link}");
        }
        assert_eq!(fs::read_link(tree.join("app/a/nowhere")).unwrap(), Path::new("/nowhere"));
        let mode = |path: &str| fs::metadata(tree.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("app/a/run"), mode("app/a/src/main.rs")), (0o755, 0o644));
        let text = fs::read_to_string(tree.join("Cargo.toml")).unwrap();
        assert!(text.contains("\"app/a\"") && !text.contains("debug") && !text.contains("Why"), "{text}");
        assert!(!fs::read_to_string(tree.join("app/a/Cargo.toml")).unwrap().contains("dev-dependencies"));
        drop(context);
        assert!(!root.join("context").exists());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_not_built() {
        let root = repository("changes");
        let workspace = Workspace::read(&root).unwrap();
        let manifest = workspace.manifests(&["a"]).unwrap().remove("a").unwrap();
        fs::write(root.join("app/a/src/main.rs"), "fn main() { }").unwrap();
        let context = Context::new(root.join("context"), b"FROM x").unwrap();
        let error = context.with_sources(&root, &manifest, &BTreeMap::new()).err().unwrap();
        assert_eq!(error.to_string(), "app/a/src/main.rs changed while it was being built");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_link_climbs_as_far_as_it_is_deep() {
        assert_eq!(climb(Path::new("a")), Path::new(""));
        assert_eq!(climb(Path::new("a/b/c")), Path::new("../.."));
    }
}
