//! Cargo's configuration outside of the repository: that of the folders above it and of the user
//! (doc.rust-lang.org/cargo/reference/config.html).
//!
//! Levels are not merged as cargo does: every part that could change what is built counts, also one that a nearer level
//! replaces. What only says where packages come from, where output goes or how it is shown does not; packages have their
//! checksums in the lock.

use super::crates;
use super::document;
use super::input::{Input, Kind};
use super::workspace::CONFIGURATION;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Tables that count as wholes.
const WHOLE: [&str; 5] = ["env", "patch", "paths", "profile", "target"];
/// Keys of `build` that do not.
const PASSING: [&str; 4] = ["build-dir", "dep-info-basedir", "jobs", "target-dir"];

/// What of it a build in `root` sees. Nothing where nobody has configured anything.
///
/// # Errors
/// When a file is there and cannot be read or parsed.
pub fn outside(root: &Path, cargo_home: &Path) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut seen = BTreeSet::new();
    // A checkout below the home folder has the user's configuration above it as well.
    let mut pending = files(cargo_home, Path::new("$CARGO_HOME"), &["config", "config.toml"]);
    for (up, folder) in root.ancestors().enumerate().skip(1) {
        pending.extend(files(folder, &PathBuf::from("../".repeat(up)), &CONFIGURATION));
    }
    pending.reverse();
    while let Some((path, label)) = pending.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let Some(text) = document::read(Path::new(""), &path).with_context(|| format!("`{}`", label.display()))? else {
            continue;
        };
        let table = document::parse(&label, &text)?;
        for included in crates::included_files(&table) {
            let beside = |file: &Path| file.parent().unwrap_or(Path::new("")).join(included);
            pending.push((beside(&path), beside(&label)));
        }
        inputs.extend(parts(&table).map(|(name, value)| {
            Input::with_digest(Kind::Config, format!("{name} of {}", label.display()), document::digest(value))
        }));
    }
    Ok(inputs)
}

fn files(folder: &Path, label: &Path, names: &[&str]) -> Vec<(PathBuf, PathBuf)> {
    names.iter().map(|name| (folder.join(name), label.join(name))).collect()
}

/// The parts that count, by their keys.
fn parts<'a, 't>(table: &'a DeTable<'t>) -> impl Iterator<Item = (String, &'a DeValue<'t>)> {
    let build = document::entries(table, "build").filter(|(key, _)| !PASSING.contains(key));
    let build = build.map(|(key, value)| (format!("build.{key}"), value));
    let whole = document::pairs(table).filter(|(key, _)| WHOLE.contains(key));
    build.chain(whole.map(|(key, value)| (key.to_owned(), value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_change_a_build_counts_at_every_level() {
        let top = std::env::temp_dir().join(format!("keys-configuration-{}", std::process::id()));
        let (root, home) = (top.join("work/repository"), top.join(".cargo"));
        let write = |path: &str, text: &str| {
            let path = top.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let names = || {
            let inputs = outside(&root, &home).unwrap();
            inputs
                .iter()
                .map(|input| input.name().to_owned())
                .filter(|name| !name.contains("../../../"))
                .collect::<Vec<_>>()
        };
        write("work/repository/.cargo/config.toml", "build.rustflags = ['-O']");
        assert_eq!(names(), Vec::<String>::new(), "its own is a file of the repository");
        write(
            ".cargo/config.toml",
            "include = ['more.toml']\n[build]\njobs = 1\nrustflags = ['-O']\n[net]\noffline = true",
        );
        write(".cargo/more.toml", "[term]\nquiet = true\n[env]\nX = '1'");
        write("work/.cargo/config", "[target.'cfg(all())']\nlinker = 'x'");
        let all = [
            "build.rustflags of $CARGO_HOME/config.toml",
            "env of $CARGO_HOME/more.toml",
            "target of ../.cargo/config",
        ];
        assert_eq!(names(), all);
        let before = outside(&root, &home).unwrap();
        write(".cargo/more.toml", "env.X = '1'");
        assert_eq!(outside(&root, &home).unwrap(), before, "how it is written does not count");
        write(".cargo/more.toml", "env.X = '2'");
        assert_ne!(outside(&root, &home).unwrap(), before);
        std::fs::remove_dir_all(&top).unwrap();
    }
}
