//! Settings of an environment that are written for its owner, into its `.local.toml`: changed by line, so that everything
//! else in the file stays as its owner has written it.

use anyhow::{Context, Result};
use base::files;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A key and its value, both as text.
pub type Setting<'a> = (&'a str, String);

pub fn file(root: &Path, environment: &str) -> PathBuf {
    root.join("deploy/environments").join(format!("{environment}.local.toml"))
}

/// Whether the file has all of these.
///
/// # Errors
/// When the file cannot be read.
pub fn has(path: &Path, settings: &[Setting<'_>]) -> Result<bool> {
    let text = read(path)?;
    Ok(with(&text, settings) == text)
}

/// # Errors
/// When the file cannot be read or written.
pub fn write(path: &Path, settings: &[Setting<'_>]) -> Result<()> {
    files::write_with_mode(path, with(&read(path)?, settings).as_bytes(), 0o644)
}

/// Takes those out that still say what was written, and the file with the last of what is in it.
///
/// # Errors
/// When the file cannot be read or written.
pub fn remove(path: &Path, settings: &[Setting<'_>]) -> Result<()> {
    let before = read(path)?;
    let after = without(&before, settings);
    match after.trim().is_empty() {
        true => files::remove(path),
        false if after == before => Ok(()),
        false => files::write_with_mode(path, after.as_bytes(), 0o644),
    }
}

fn read(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        text => text.with_context(|| format!("read `{}`", path.display())),
    }
}

/// The lines before the first table, whose keys are the environment's own, and the rest.
fn parts(text: &str) -> (Vec<String>, String) {
    let top: Vec<String> =
        text.lines().take_while(|line| !line.trim_start().starts_with('[')).map(str::to_owned).collect();
    let rest: Vec<&str> = text.lines().skip(top.len()).collect();
    (top, rest.join("\n"))
}

fn joined(top: &[String], rest: &str) -> String {
    let lines = top.iter().map(String::as_str).chain((!rest.is_empty()).then_some(rest));
    let text = lines.collect::<Vec<_>>().join("\n");
    if text.is_empty() { text } else { format!("{text}\n") }
}

fn is_of(line: &str, key: &str) -> bool {
    line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn with(text: &str, settings: &[Setting<'_>]) -> String {
    let (mut top, rest) = parts(text);
    for (key, value) in settings {
        let line = line(key, value);
        match top.iter_mut().find(|line| is_of(line, key)) {
            Some(known) if says(known, value) => {}
            Some(known) => *known = line,
            None => {
                let end = top.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
                top.insert(end, line);
            }
        }
    }
    joined(&top, &rest)
}

fn without(text: &str, settings: &[Setting<'_>]) -> String {
    let (mut top, rest) = parts(text);
    top.retain(|line| !settings.iter().any(|(key, value)| is_of(line, key) && says(line, value)));
    joined(&top, &rest)
}

fn line(key: &str, value: &str) -> String {
    format!("{key} = \"{value}\"")
}

fn says(line: &str, value: &str) -> bool {
    let written = line.split_once('=').map_or("", |(_, written)| written.trim());
    let quoted = |quote: char| written.strip_prefix(quote)?.split(quote).next();
    quoted('"').or_else(|| quoted('\'')) == Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# Mine.\nregistry = \"ghcr.io/me\" # mine, too\ncontext = 'old'  # was\n\n[env]\ncontext = \"x\"\n";

    fn settings(context: &str) -> Vec<Setting<'static>> {
        vec![("context", context.to_owned()), ("ingress_address", "127.0.0.1:8088".to_owned())]
    }

    #[test]
    fn what_is_not_meant_stays() {
        let now = with(FILE, &settings("kind-slipway"));
        let wanted = "# Mine.\nregistry = \"ghcr.io/me\" # mine, too\ncontext = \"kind-slipway\"\n\
                      ingress_address = \"127.0.0.1:8088\"\n\n[env]\ncontext = \"x\"\n";
        assert_eq!(now, wanted);
        assert_eq!(with(&now, &settings("kind-slipway")), now);
        // What says it already keeps its comment.
        assert!(with(FILE, &[("context", "old".to_owned())]).contains("context = 'old'  # was"));
    }

    #[test]
    fn a_file_that_is_not_there_is_begun_and_ended() {
        let now = with("", &settings("a"));
        assert_eq!(now, "context = \"a\"\ningress_address = \"127.0.0.1:8088\"\n");
        assert_eq!(without(&now, &settings("a")), "");
        assert!(without(&now, &settings("b")).contains("context = \"a\""));
    }

    #[test]
    fn settings_of_a_table_are_not_the_environment_s() {
        assert_eq!(with("[env]\nA = \"b\"\n", &[("context", "a".to_owned())]), "context = \"a\"\n[env]\nA = \"b\"\n");
        assert_eq!(without(FILE, &[("context", "x".to_owned())]), FILE);
    }
}
