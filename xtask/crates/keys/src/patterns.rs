//! The folders that a pattern in `workspace.members` means.

use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// The folders below `root` that match, relative to it and sorted. `*` and `?` match within one name, as cargo has it.
///
/// # Errors
///
/// When a folder cannot be read, or the pattern uses `**` or `[…]`.
pub(super) fn expand(root: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for component in Path::new(pattern).components() {
        let name = match component {
            Component::CurDir => continue,
            Component::Normal(name) => name.to_str().unwrap_or_default(),
            _ => bail!("`Cargo.toml`: member `{pattern}` is not a folder of this repository"),
        };
        if name.contains("**") || name.contains('[') {
            bail!("`Cargo.toml`: member `{pattern}`: of patterns only `*` and `?` are understood here");
        }
        if !name.contains(['*', '?']) {
            found.iter_mut().for_each(|folder| folder.push(name));
            continue;
        }
        let mut deeper = Vec::new();
        for folder in &found {
            deeper.extend(children(root, folder, name)?);
        }
        deeper.sort();
        found = deeper;
    }
    Ok(found)
}

fn children(root: &Path, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read `{}`", folder.display());
    let entries = match std::fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(unreadable),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.with_context(unreadable)?.file_name();
        if name.to_str().is_some_and(|name| matches(pattern.as_bytes(), name.as_bytes())) {
            found.push(folder.join(name));
        }
    }
    Ok(found)
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => matches(rest, name) || (!name.is_empty() && matches(pattern, &name[1..])),
        (Some((b'?', pattern)), Some((_, name))) => matches(pattern, name),
        (Some((expected, pattern)), Some((found, name))) if expected == found => matches(pattern, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, expected) in [
            ("*", "kit", true),
            ("app-*", "app-a", true),
            ("app-*", "app", false),
            ("*-app", "web-app", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("v?", "v1", true),
            ("v?", "v", false),
            ("v?", "v12", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_that_are_not_understood_are_refused() {
        for pattern in ["app/**", "app/[ab]", "../app", "/app/*"] {
            assert!(expand(Path::new("/"), pattern).is_err(), "{pattern}");
        }
    }
}
