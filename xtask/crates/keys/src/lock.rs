//! `Cargo.lock`: which packages a crate needs, and one input for each of them.
//!
//! How the file writes a dependency depends on the rest of the file (`rand` becomes `rand 0.8.5` as soon as any
//! package anywhere brings a second `rand`). So dependencies are resolved to entries first and hashed afterwards, and
//! within a closure a version is named only where that closure has two of them.

use super::document;
use super::input::{Digest, Input, Kind};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::de::DeTable;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The place of an entry in the file.
pub(super) type Entry = usize;

#[derive(Debug, Default)]
pub(super) struct Lock {
    /// Of the file's form, as it says itself.
    version: String,
    packages: Vec<Package>,
    by_name: BTreeMap<String, Vec<Entry>>,
}

#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    /// `None` for a package that comes from a folder.
    source: Option<String>,
    checksum: String,
    dependencies: Vec<Entry>,
}

impl Lock {
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        let document = document::parse(path, text)?;
        let listed = document.get("package").and_then(|value| value.get_ref().as_array());
        let tables: Vec<&DeTable<'_>> =
            listed.into_iter().flat_map(|array| array.iter()).filter_map(|value| value.get_ref().as_table()).collect();
        // The first forms said nothing of themselves.
        let version = document.get("version").map_or_else(|| "3".to_owned(), |value| document::inline(value.get_ref()));
        let mut lock = Self { version, ..Self::default() };
        for (entry, table) in tables.iter().enumerate() {
            let package = Package::parse(table);
            lock.by_name.entry(package.name.clone()).or_default().push(entry);
            lock.packages.push(package);
        }
        for (entry, table) in tables.iter().enumerate() {
            let named = document::strings(table, "dependencies").into_iter().chain(document::string(table, "replace"));
            let resolved: Result<Vec<Entry>> = named
                .map(|dependency| {
                    lock.resolve(dependency).with_context(|| {
                        format!(
                            "`{}`: `{}` needs `{dependency}`, which it does not list",
                            path.display(),
                            lock.name(entry)
                        )
                    })
                })
                .collect();
            lock.packages[entry].dependencies = resolved?;
        }
        Ok(lock)
    }

    /// The entry that `NAME`, `NAME VERSION` or `NAME VERSION (SOURCE)` means.
    fn resolve(&self, dependency: &str) -> Option<Entry> {
        let mut words = dependency.splitn(3, ' ');
        let candidates = self.by_name.get(words.next()?)?;
        let version = words.next();
        let source = words.next().map(|source| source.trim_start_matches('(').trim_end_matches(')'));
        let fits = |entry: &Entry| {
            let package = &self.packages[*entry];
            // The commit of a git source is written in the entry alone.
            let origin = package.source.as_deref().and_then(|source| source.split('#').next());
            version.is_none_or(|version| package.version == version)
                && source.is_none_or(|source| origin == Some(source))
        };
        let fitting: Vec<Entry> = candidates.iter().copied().filter(fits).collect();
        // A package from a folder has no source that could be named.
        fitting.iter().find(|&&entry| self.is_local(entry)).or(fitting.first()).copied()
    }

    /// The entry of the crate of this repository that has this name.
    pub(super) fn local(&self, name: &str) -> Option<Entry> {
        self.by_name.get(name)?.iter().copied().find(|&entry| self.is_local(entry))
    }

    pub(super) fn is_local(&self, entry: Entry) -> bool {
        self.packages[entry].source.is_none()
    }

    pub(super) fn name(&self, entry: Entry) -> &str {
        &self.packages[entry].name
    }

    pub(super) fn dependencies(&self, entry: Entry) -> &[Entry] {
        &self.packages[entry].dependencies
    }

    /// An input for each entry of a closure.
    pub(super) fn inputs(&self, closure: &BTreeSet<Entry>) -> Vec<Input> {
        let versions = self.versions(closure);
        let foreign = closure.iter().filter(|&&entry| !self.is_local(entry));
        foreign
            .map(|&entry| self.packages[entry].input(&self.edges(&self.packages[entry].dependencies, &versions)))
            .collect()
    }

    /// A lock with these entries alone, each with those of its dependencies that `edges` has.
    pub(super) fn excerpt(&self, entries: &BTreeSet<Entry>, edges: impl Fn(Entry) -> BTreeSet<Entry>) -> String {
        let mut text = format!("version = {}\n", self.version);
        for &entry in entries {
            let package = &self.packages[entry];
            text.push_str("\n[[package]]\n");
            let fields = [("name", Some(&package.name)), ("version", Some(&package.version))];
            let checksum = Some(&package.checksum).filter(|checksum| !checksum.is_empty());
            for (key, value) in fields.into_iter().chain([("source", package.source.as_ref()), ("checksum", checksum)])
            {
                if let Some(value) = value {
                    text.push_str(&format!("{key} = {}\n", document::quoted(value)));
                }
            }
            let edges = edges(entry).into_iter().filter(|edge| entries.contains(edge));
            let edges = edges.map(|edge| document::quoted(&self.packages[edge].edge()));
            text.push_str(&format!("dependencies = {}\n", document::inline_array(edges)));
        }
        text
    }

    /// What the lock decides about a crate of this repository beyond what its manifest says: the versions it gets of
    /// packages of which the closure has several.
    pub(super) fn choices(
        &self,
        name: &str,
        dependencies: &BTreeSet<Entry>,
        closure: &BTreeSet<Entry>,
    ) -> Option<Input> {
        let versions = self.versions(closure);
        let undecided = |entry: &Entry| versions.get(self.name(*entry)).is_some_and(|count| *count > 1);
        let chosen: Vec<Entry> = dependencies.iter().copied().filter(undecided).collect();
        let edges = self.edges(&chosen, &versions);
        (!edges.is_empty()).then(|| Input::with_digest(Kind::Lock, name, Digest::of_fields(edges)))
    }

    fn versions(&self, closure: &BTreeSet<Entry>) -> BTreeMap<&str, usize> {
        let mut versions = BTreeMap::new();
        for &entry in closure {
            *versions.entry(self.name(entry)).or_default() += 1;
        }
        versions
    }

    /// Dependencies by name, and by version and source too where the name alone does not tell.
    fn edges(&self, dependencies: &[Entry], versions: &BTreeMap<&str, usize>) -> Vec<String> {
        let edge = |&entry: &Entry| {
            let package = &self.packages[entry];
            match versions.get(package.name.as_str()) {
                Some(2..) => package.title(),
                _ => package.name.clone(),
            }
        };
        let mut edges: Vec<String> = dependencies.iter().map(edge).collect();
        edges.sort();
        edges
    }
}

impl Package {
    fn parse(table: &DeTable<'_>) -> Self {
        let text = |key| document::string(table, key).map(str::to_owned);
        Self {
            name: text("name").unwrap_or_default(),
            version: text("version").unwrap_or_default(),
            source: text("source"),
            checksum: text("checksum").unwrap_or_default(),
            dependencies: Vec::new(),
        }
    }

    /// How a dependency on it is written where nothing is to be guessed.
    fn edge(&self) -> String {
        match self.source.as_deref().and_then(|source| source.split('#').next()) {
            None => format!("{} {}", self.name, self.version),
            Some(source) => format!("{} {} ({source})", self.name, self.version),
        }
    }

    fn title(&self) -> String {
        match self.source.as_deref() {
            None | Some(CRATES_IO) => format!("{} {}", self.name, self.version),
            Some(source) => format!("{} {} ({source})", self.name, self.version),
        }
    }

    fn input(&self, edges: &[String]) -> Input {
        let source = self.source.as_deref().unwrap_or_default();
        let fields = [&self.name, &self.version, source, &self.checksum].into_iter();
        Input::with_digest(Kind::Lock, self.title(), Digest::of_fields(fields.chain(edges.iter().map(String::as_str))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["both 1.0.0 (registry+https://github.com/rust-lang/crates.io-index)", "leaf 2.0.0", "single"]

[[package]]
name = "both"
version = "1.0.0"
source = "git+https://example.com/both?branch=main#0123456789"
dependencies = ["leaf 1.0.0"]

[[package]]
name = "both"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "b0"

[[package]]
name = "leaf"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "11"

[[package]]
name = "leaf"
version = "2.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "12"

[[package]]
name = "single"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "50"
dependencies = ["both 1.0.0 (git+https://example.com/both?branch=main)"]
"#;

    fn lock() -> Lock {
        Lock::parse(Path::new("Cargo.lock"), LOCK).unwrap()
    }

    #[test]
    fn dependencies_resolve_by_name_version_and_source() {
        let lock = lock();
        let titles = |entry: Entry| -> Vec<String> {
            lock.dependencies(entry).iter().map(|&entry| lock.packages[entry].title()).collect()
        };
        let app = lock.local("app").unwrap();
        assert_eq!(titles(app), ["both 1.0.0", "leaf 2.0.0", "single 1.0.0"]);
        let git = "both 1.0.0 (git+https://example.com/both?branch=main#0123456789)";
        assert_eq!(titles(lock.by_name["single"][0]), [git]);
    }

    #[test]
    fn a_version_is_part_of_an_edge_only_where_the_closure_has_several() {
        let lock = lock();
        let find = |title: &str| lock.packages.iter().position(|package| package.title() == title).unwrap();
        let (git, one, two) = (
            find("both 1.0.0 (git+https://example.com/both?branch=main#0123456789)"),
            find("leaf 1.0.0"),
            find("leaf 2.0.0"),
        );
        let input = |closure: &[Entry]| lock.inputs(&closure.iter().copied().collect())[0].clone();
        assert_eq!(input(&[git, one]), input(&[git, one, find("single 1.0.0")]));
        assert_ne!(input(&[git, one]), input(&[git, one, two]));
        let uses = |closure: &[Entry]| lock.choices("app", &[two].into(), &closure.iter().copied().collect());
        assert_eq!(uses(&[git, two]), None);
        assert!(uses(&[git, one, two]).is_some());
    }

    #[test]
    fn a_dependency_that_is_not_listed_is_an_error_that_names_both() {
        let broken = LOCK.replace("\"leaf 1.0.0\"", "\"leaf 3.0.0\"");
        let error = Lock::parse(Path::new("Cargo.lock"), &broken).unwrap_err();
        assert_eq!(error.to_string(), "`Cargo.lock`: `both` needs `leaf 3.0.0`, which it does not list");
    }
}
