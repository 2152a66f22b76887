//! The part of the repository that a build of one crate sees, written as a repository of its own.
//!
//! Manifests and the lock speak of more than one build sees: of other crates, of what tests need. What is left out of
//! the key is left out here, so that the rest is all that a build could have seen.

use super::crates::{self, DEPENDENCIES_OF_TESTS};
use super::document;
use super::workspace::{Closure, Workspace};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Lines of a manifest, each a whole part of it.
type Lines = BTreeMap<String, String>;

impl Workspace {
    /// Manifests and lock of an excerpt for one crate, by their paths. All other files of its key are as they are.
    ///
    /// # Errors
    ///
    /// When there is no such crate, or a manifest is not what it was when the workspace was read.
    pub fn excerpt(&self, name: &str) -> Result<BTreeMap<PathBuf, String>> {
        let closure = self.resolve(name)?;
        let mut files = BTreeMap::new();
        for folder in &closure.folders {
            let path = folder.join("Cargo.toml");
            let text = self.text(&path)?;
            files.insert(path.clone(), render(&member(&document::parse(&path, &text)?)));
        }
        let path = Path::new("Cargo.toml");
        let text = self.text(path)?;
        let table = document::parse(path, &text)?;
        let mut root = if closure.folders.contains(Path::new("")) { member(&table) } else { Lines::new() };
        root.extend(self.shared(&table, &closure)?);
        files.insert(path.to_path_buf(), render(&root));
        files.insert(PathBuf::from("Cargo.lock"), self.lock_excerpt(&closure));
        Ok(files)
    }

    fn text(&self, path: &Path) -> Result<String> {
        let text = document::read(&self.root, path)?;
        text.with_context(|| format!("`{}` went away", path.display()))
    }

    /// What the root manifest says for all, as far as this closure sees it.
    fn shared(&self, table: &DeTable<'_>, closure: &Closure) -> Result<Lines> {
        let mut lines = Lines::new();
        lines.insert("workspace".to_owned(), self.workspace(table, closure));
        if let Some(features) = table.get("cargo-features") {
            lines.insert("cargo-features".to_owned(), document::inline(features.get_ref()));
        }
        let profiles = document::entries(table, "profile").filter(|(name, _)| self.counts(&format!("profile.{name}")));
        lines.insert("profile".to_owned(), inline_pairs(profiles));
        let here = |value: &DeValue<'_>| -> Result<bool> {
            let path = value.as_table().and_then(|table| document::string(table, "path"));
            let folder = path.map(|path| crates::below_root(Path::new("Cargo.toml"), path)).transpose()?;
            Ok(folder.is_none_or(|folder| closure.folders.contains(&folder)))
        };
        let mut sources = Vec::new();
        for (source, patches) in document::entries(table, "patch") {
            let patches = patches.as_table().into_iter().flat_map(document::pairs);
            let mut kept = Vec::new();
            for (name, value) in patches {
                if here(value)? {
                    kept.push((name, document::inline(value)));
                }
            }
            sources.push((source, document::inline_table(kept.into_iter())));
        }
        if !sources.is_empty() {
            lines.insert("patch".to_owned(), document::inline_table(sources.into_iter()));
        }
        Ok(lines)
    }

    fn workspace(&self, table: &DeTable<'_>, closure: &Closure) -> String {
        let inherited = self.inherited(closure);
        let mut lines: Vec<(&str, String)> = Vec::new();
        let folders = |patched: bool| {
            let folders = closure.folders.iter().filter(move |folder| self.is_patched(folder) == patched);
            let named = folders.filter(|folder| !folder.as_os_str().is_empty());
            document::inline_array(named.map(|folder| document::quoted(&folder.to_string_lossy())))
        };
        lines.push(("members", folders(false)));
        lines.push(("exclude", folders(true)));
        for (key, value) in document::entries(table, "workspace") {
            match (key, value.as_table()) {
                ("members" | "default-members" | "exclude" | "metadata", _) => {}
                ("package" | "dependencies", Some(entries)) => {
                    let seen = |name: &str| inherited.contains(format!("workspace.{key}.{name}").as_str());
                    lines.push((key, inline_pairs(document::pairs(entries).filter(|(name, _)| seen(name)))));
                }
                ("lints", _) if !inherited.contains("workspace.lints") => {}
                _ => lines.push((key, document::inline(value))),
            }
        }
        document::inline_table(lines.into_iter())
    }

    fn lock_excerpt(&self, closure: &Closure) -> String {
        let own = |folder: &PathBuf| self.lock.local(&self.crates.get(folder)?.name);
        let mut entries = closure.locked.clone();
        entries.extend(closure.folders.iter().filter_map(own));
        // What a crate of this repository needs for its tests alone is among its dependencies, too.
        let named: BTreeMap<_, _> =
            closure.named.iter().filter_map(|(folder, named)| Some((own(folder)?, named.clone()))).collect();
        let all = |entry| -> BTreeSet<_> { self.lock.dependencies(entry).iter().copied().collect() };
        self.lock.excerpt(&entries, |entry| match named.get(&entry) {
            Some(named) => {
                let local = all(entry).into_iter().filter(|entry| self.lock.is_local(*entry));
                named.iter().copied().chain(local).collect()
            }
            None => all(entry),
        })
    }
}

/// A crate's own manifest without what only its tests need.
fn member(table: &DeTable<'_>) -> Lines {
    let mut lines = Lines::new();
    for (key, value) in document::pairs(table) {
        match (key, value.as_table()) {
            (key, _) if DEPENDENCIES_OF_TESTS.contains(&key) => {}
            ("target", Some(targets)) => {
                let targets = document::pairs(targets).map(|(name, target)| {
                    let kept = target.as_table().into_iter().flat_map(document::pairs);
                    (name, inline_pairs(kept.filter(|(key, _)| !DEPENDENCIES_OF_TESTS.contains(key))))
                });
                lines.insert(key.to_owned(), document::inline_table(targets));
            }
            _ => {
                lines.insert(key.to_owned(), document::inline(value));
            }
        }
    }
    lines
}

fn inline_pairs<'a, 't: 'a>(pairs: impl Iterator<Item = (&'a str, &'a DeValue<'t>)>) -> String {
    document::inline_table(pairs.map(|(key, value)| (key, document::inline(value))))
}

fn render(lines: &Lines) -> String {
    lines.iter().map(|(key, value)| format!("{} = {value}\n", document::quoted(key))).collect()
}
