//! The one chart that every system is released with.

use anyhow::{Context, Result};
use keys::Digest;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Below the root of the repository.
pub(super) const CHART: &str = "helm/app";
/// How much of a digest a stamp repeats.
const SHORT: usize = 16;

/// Names what the chart says: it changes with every byte of its files, and with nothing else.
///
/// # Errors
/// When one of them cannot be read.
pub(super) fn digest(root: &Path) -> Result<String> {
    digest_of(root, CHART)
}

/// The same for another one.
///
/// # Errors
/// Those of [`digest`].
pub fn digest_of(root: &Path, chart: &str) -> Result<String> {
    let mut files = Vec::new();
    find(&root.join(chart), &mut files)?;
    files.sort();
    let mut all = String::new();
    for file in files {
        let content = std::fs::read(&file).with_context(|| format!("read `{}`", file.display()))?;
        let name = file.strip_prefix(root).unwrap_or(&file);
        let _ = writeln!(all, "{} {}", Digest::of(content), name.display());
    }
    Ok(short(all))
}

/// The first characters of the digest of a text.
pub fn short(text: impl AsRef<[u8]>) -> String {
    format!("{:.SHORT$}", Digest::of(text))
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let read = || format!("read `{}`", folder.display());
    for entry in std::fs::read_dir(folder).with_context(read)? {
        let entry = entry.with_context(read)?;
        match entry.file_type().with_context(read)? {
            kind if kind.is_dir() => find(&entry.path(), files)?,
            _ => files.push(entry.path()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_another_with_any_byte_or_name() {
        let root = std::env::temp_dir().join(format!("xtask-chart-{}", std::process::id()));
        let templates = root.join(CHART).join("templates");
        std::fs::create_dir_all(&templates).unwrap();
        std::fs::write(templates.join("a.yaml"), "a").unwrap();
        let first = digest(&root).unwrap();
        assert_eq!((first.len(), digest(&root).unwrap()), (SHORT, first.clone()));
        std::fs::write(templates.join("a.yaml"), "b").unwrap();
        let second = digest(&root).unwrap();
        std::fs::rename(templates.join("a.yaml"), templates.join("b.yaml")).unwrap();
        let third = digest(&root).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        assert!(first != second && second != third && first != third);
    }
}
