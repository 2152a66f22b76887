//! Patterns of paths, as cargo and git have them, and the folders that one in `workspace.members` means.

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

/// `*` and `?` match within one name, `**` in the place of a name any number of names, `[…]` one of several characters; a `\\`
/// takes the meaning from what follows it.
pub(super) fn matches(pattern: &[u8], path: &[u8]) -> bool {
    matches_from(pattern, path, true)
}

fn matches_from(pattern: &[u8], path: &[u8], begins_name: bool) -> bool {
    let behind = |at: usize| path.get(at..).unwrap_or_default();
    match (pattern, path.first()) {
        ([], first) => first.is_none(),
        ([b'*', b'*'], _) if begins_name => true,
        ([b'*', b'*', b'/', rest @ ..], _) if begins_name => {
            let mut slashes = (0..path.len()).filter(|at| path[*at] == b'/');
            matches_from(rest, path, true) || slashes.any(|at| matches_from(rest, behind(at + 1), true))
        }
        ([b'*', rest @ ..], first) => {
            let goes_on = first.is_some_and(|first| *first != b'/');
            matches_from(rest, path, false) || (goes_on && matches_from(pattern, behind(1), false))
        }
        (_, None) => false,
        ([b'?', rest @ ..], Some(first)) => *first != b'/' && matches_from(rest, behind(1), false),
        ([b'[', rest @ ..], Some(first)) => match class(rest, *first) {
            Some((true, rest)) => *first != b'/' && matches_from(rest, behind(1), false),
            _ => false,
        },
        ([b'\\', literal, rest @ ..] | [literal, rest @ ..], Some(first)) => {
            literal == first && matches_from(rest, behind(1), *literal == b'/')
        }
    }
}

/// Whether a class has a byte, and the pattern behind it; its opening bracket is gone.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (is_negated, body) = match pattern {
        [b'!' | b'^', body @ ..] => (true, body),
        body => (false, body),
    };
    // A closing bracket that comes first is one of the characters.
    let end = body.iter().skip(1).position(|byte| *byte == b']')? + 1;
    let (mut left, mut found) = (&body[..end], false);
    while let [low, rest @ ..] = left {
        let (high, rest) = match rest {
            [b'-', high, rest @ ..] => (high, rest),
            rest => (low, rest),
        };
        found |= (*low..=*high).contains(&byte);
        left = rest;
    }
    Some((found != is_negated, &body[end + 1..]))
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
            ("*", "a/b", false),
            ("a/*/c", "a/b/c", true),
            ("**/c", "a/b/c", true),
            ("**/c", "c", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/c", "a/c", true),
            ("a**c", "abc", true),
            ("a**c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[a", "a", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
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
