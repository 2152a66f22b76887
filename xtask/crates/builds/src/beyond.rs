//! What builds have read beyond their keys, as cargo says of them.
//!
//! What sources name is in the key before anything is built. What a macro or a build script puts together is known
//! afterwards: it is kept under the key, and where it is no longer what it was, it is a part of another key.

use anyhow::{Context, Result};
use base::files;
use engine::home::Home;
use keys::{Kind, Manifest};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tools::cargo;

/// Adds what builds of these inputs have read beyond them, as far as it has changed since.
///
/// # Errors
/// When something is there and cannot be read.
pub fn complete(home: &Home, root: &Path, manifest: &mut Manifest) -> Result<()> {
    let known = known(home, manifest);
    let paths: Vec<PathBuf> = known.inputs().iter().map(keys::Input::path).collect();
    let now = keys::read_beyond(root, &paths)?;
    now.into_iter().filter(|input| !known.inputs().contains(input)).for_each(|input| manifest.add(input));
    Ok(())
}

/// Keeps what a build with these inputs has read beyond them. What is known already stays as it was then.
///
/// # Errors
/// When it cannot be read or written.
pub fn learn(home: &Home, root: &Path, manifest: &Manifest, binary: &Path) -> Result<()> {
    let mut first = manifest.clone();
    first.retain(|input| input.kind() != Kind::Read);
    let own: BTreeSet<PathBuf> = first.inputs().iter().map(keys::Input::path).collect();
    let real_root = fs::canonicalize(root).with_context(|| format!("read `{}`", root.display()))?;
    let is_made = |path: &Path| path.ancestors().any(|folder| real_root.join(folder).join("CACHEDIR.TAG").is_file());
    let read = cargo::dependencies(&fs::read_to_string(binary.with_extension("d")).unwrap_or_default());
    let read = read.iter().filter_map(|path| fs::canonicalize(root.join(path)).ok());
    let read = read.filter_map(|path| path.strip_prefix(&real_root).map(Path::to_path_buf).ok());
    let beyond: Vec<PathBuf> = read.filter(|path| !own.contains(path) && !is_made(path)).collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let mut kept = Manifest::default();
    let known = known(home, &first);
    for input in keys::read_beyond(root, &beyond)?.into_iter().chain(known.inputs().iter().cloned()) {
        kept.add(input);
    }
    files::write_private(&file(home, &first), kept.to_text().as_bytes())
}

fn known(home: &Home, manifest: &Manifest) -> Manifest {
    let text = fs::read_to_string(file(home, manifest)).unwrap_or_default();
    Manifest::from_text(&text).unwrap_or_default()
}

/// Beside what cargo has built, which goes when it goes.
fn file(home: &Home, manifest: &Manifest) -> PathBuf {
    home.built().join("beyond").join(manifest.key().to_string())
}
