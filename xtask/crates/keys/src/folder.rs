//! What runs from a folder as it is, without being built.

use super::manifest::Manifest;
use super::tree::Forest;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// What git sees of a folder of the repository, or of these parts of it where there are any.
///
/// # Errors
///
/// When something is there and cannot be read; the message names it.
pub fn of_folder(root: &Path, folder: &Path, parts: &[String]) -> Result<Manifest> {
    let whole = parts.is_empty().then(|| folder.to_path_buf());
    let paths: Vec<PathBuf> = whole.into_iter().chain(parts.iter().map(|part| folder.join(part))).collect();
    let trees = Forest::new(root)?.read(&paths, &|_, _| false)?;
    Ok(Manifest::new(trees.into_values().flat_map(|tree| tree.inputs).collect()))
}
