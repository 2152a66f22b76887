//! What a crate's `Cargo.toml` says that matters to the key: what it depends on, and which parts of the root manifest
//! it sees.

use super::document;
use super::input::Digest;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Tables of dependencies that a build needs; `dev-dependencies` is not one of them. Cargo still reads the underscore
/// in older editions.
const DEPENDENCIES: [&str; 3] = ["dependencies", "build-dependencies", "build_dependencies"];

/// Tables of dependencies that only tests and examples need.
pub(super) const DEPENDENCIES_OF_TESTS: [&str; 2] = ["dev-dependencies", "dev_dependencies"];

/// A crate of this repository.
#[derive(Debug)]
pub(super) struct Crate {
    pub(super) name: String,
    /// Folders of crates it depends on, relative to the root.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Names of packages it depends on that the lock has to answer for.
    pub(super) packages: BTreeSet<String>,
    /// Parts of the root manifest that it inherits.
    pub(super) sections: BTreeSet<String>,
    /// Where sources of its targets lie that are not in its folder.
    pub(super) sources: BTreeSet<PathBuf>,
}

/// What the root manifest says for all.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// Every part that some crate may see, by its key, with the digest of its meaning.
    pub(super) sections: BTreeMap<String, Digest>,
    /// Each profile by its name, with the one that it inherits.
    profiles: BTreeMap<String, Option<String>>,
    dependencies: BTreeMap<String, Origin>,
}

/// Where a dependency comes from.
#[derive(Debug, Clone)]
enum Origin {
    Folder(PathBuf),
    Package(String),
}

impl Origin {
    fn of(manifest: &Path, alias: &str, value: &DeValue<'_>) -> Result<Self> {
        let Some(table) = value.as_table() else { return Ok(Self::Package(alias.to_owned())) };
        match document::string(table, "path") {
            Some(path) => below_root(manifest, path).map(Self::Folder),
            None => Ok(Self::Package(document::string(table, "package").unwrap_or(alias).to_owned())),
        }
    }
}

impl Root {
    pub(super) fn parse(manifest: &Path, table: &DeTable<'_>) -> Result<Self> {
        let mut root = Self::default();
        for section in ["cargo-features", "patch", "replace"] {
            if let Some(value) = table.get(section) {
                root.sections.insert(section.to_owned(), document::digest(value.get_ref()));
            }
        }
        for (profile, value) in document::entries(table, "profile") {
            root.sections.insert(format!("profile.{profile}"), document::digest(value));
            let inherits = value.as_table().and_then(|table| document::string(table, "inherits"));
            root.profiles.insert(profile.to_owned(), inherits.map(str::to_owned));
        }
        for (key, value) in document::entries(table, "workspace") {
            match (key, value.as_table()) {
                // Who else is in the workspace changes nothing for a crate, and `metadata` is for other tools.
                ("members" | "default-members" | "exclude" | "metadata", _) => {}
                ("package" | "dependencies", Some(entries)) => {
                    for (name, value) in document::pairs(entries) {
                        root.sections.insert(format!("workspace.{key}.{name}"), document::digest(value));
                    }
                }
                _ => {
                    root.sections.insert(format!("workspace.{key}"), document::digest(value));
                }
            }
        }
        if let Some(workspace) = document::table(table, "workspace") {
            for (alias, value) in document::entries(workspace, "dependencies") {
                root.dependencies.insert(alias.to_owned(), Origin::of(manifest, alias, value)?);
            }
        }
        Ok(root)
    }

    /// The parts that a set of crates see: those they inherit, and those that nobody needs to ask for.
    pub(super) fn seen<'a>(&'a self, inherited: &'a BTreeSet<&str>) -> impl Iterator<Item = (&'a str, Digest)> {
        let for_all = |name: &str| {
            !["workspace.package.", "workspace.dependencies.", "workspace.lints"]
                .iter()
                .any(|part| name.starts_with(part))
        };
        let sections = self.sections.iter().map(|(name, digest)| (name.as_str(), *digest));
        sections.filter(move |(name, _)| for_all(name) || inherited.contains(name))
    }

    /// A profile with all that it builds on.
    pub(super) fn profile_chain(&self, name: &str) -> BTreeSet<String> {
        let mut chain = BTreeSet::new();
        let mut next = Some(name);
        while let Some(name) = next.filter(|name| chain.insert((*name).to_owned())) {
            next = self.profiles.get(name).and_then(Option::as_deref);
        }
        chain
    }
}

impl Crate {
    /// `None` for a manifest that has no package: a virtual workspace.
    pub(super) fn parse(manifest: &Path, table: &DeTable<'_>, root: &Root) -> Result<Option<Self>> {
        let Some(package) = document::table(table, "package") else { return Ok(None) };
        let name = document::string(package, "name");
        let name = name.with_context(|| format!("`{}`: the package has no name", manifest.display()))?;
        let mut found = Self {
            name: name.to_owned(),
            folders: BTreeSet::new(),
            packages: BTreeSet::new(),
            sections: inherited_fields(table, package),
            sources: sources_elsewhere(manifest, table)?,
        };
        let targets = document::entries(table, "target").filter_map(|(_, value)| value.as_table());
        for holder in std::iter::once(table).chain(targets) {
            for (alias, value) in DEPENDENCIES.iter().flat_map(|kind| document::entries(holder, kind)) {
                found.depend(manifest, alias, value, root)?;
            }
        }
        Ok(Some(found))
    }

    fn depend(&mut self, manifest: &Path, alias: &str, value: &DeValue<'_>, root: &Root) -> Result<()> {
        let origin = if is_inherited(value) {
            self.sections.insert(format!("workspace.dependencies.{alias}"));
            root.dependencies.get(alias).cloned().with_context(|| {
                let manifest = manifest.display();
                format!("`{manifest}`: `{alias}` is inherited, and the root `Cargo.toml` has no `workspace.dependencies.{alias}`")
            })?
        } else {
            Origin::of(manifest, alias, value)?
        };
        match origin {
            Origin::Folder(folder) => self.folders.insert(folder),
            Origin::Package(name) => self.packages.insert(name),
        };
        Ok(())
    }
}

/// The parts of the root manifest that a package's own fields and lints come from.
fn inherited_fields(table: &DeTable<'_>, package: &DeTable<'_>) -> BTreeSet<String> {
    let fields = document::pairs(package).filter(|(_, value)| is_inherited(value));
    let lints = table.get("lints").filter(|lints| is_inherited(lints.get_ref()));
    fields
        .map(|(field, _)| format!("workspace.package.{field}"))
        .chain(lints.map(|_| "workspace.lints".to_owned()))
        .collect()
}

/// The folders of the targets' own files, with the modules beside them; a file alone where its folder is around the crate.
fn sources_elsewhere(manifest: &Path, table: &DeTable<'_>) -> Result<BTreeSet<PathBuf>> {
    let folder = manifest.parent().unwrap_or(manifest);
    let binaries = table.get("bin").and_then(|value| value.get_ref().as_array());
    let binaries = binaries.into_iter().flat_map(|array| array.iter()).filter_map(|value| value.get_ref().as_table());
    let targets = binaries.chain(document::table(table, "lib")).filter_map(|target| document::string(target, "path"));
    let script = document::table(table, "package").and_then(|package| document::string(package, "build"));
    let mut found = BTreeSet::new();
    for path in targets.chain(script) {
        let path = below_root(manifest, path)?;
        let beside = path.parent().filter(|beside| !folder.starts_with(beside)).map(Path::to_path_buf);
        if !path.starts_with(folder) {
            found.insert(beside.unwrap_or(path));
        }
    }
    Ok(found)
}

fn is_inherited(value: &DeValue<'_>) -> bool {
    value.get("workspace").and_then(|value| value.get_ref().as_bool()) == Some(true)
}

/// The folders that stand in for packages from elsewhere: `[patch]` and `[replace]` of a manifest or of cargo's
/// configuration. `manifest` is the file whose folder their paths start from.
pub(super) fn patched_folders(manifest: &Path, table: &DeTable<'_>) -> Result<Vec<PathBuf>> {
    let patches =
        document::entries(table, "patch").filter_map(|(_, source)| source.as_table()).flat_map(document::pairs);
    let paths = patches.chain(document::entries(table, "replace")).filter_map(|(_, value)| value.as_table());
    paths.filter_map(|value| document::string(value, "path")).map(|path| below_root(manifest, path)).collect()
}

/// The files that a file of cargo's configuration includes, as it writes them.
pub(super) fn included_files<'a>(table: &'a DeTable<'_>) -> Vec<&'a str> {
    let path_of = |value: &'a DeValue<'_>| match value {
        DeValue::String(path) => Some(path.as_ref()),
        DeValue::Table(table) => document::string(table, "path"),
        _ => None,
    };
    match table.get("include").map(toml::Spanned::get_ref) {
        Some(DeValue::Array(files)) => files.iter().filter_map(|file| path_of(file.get_ref())).collect(),
        Some(file) => path_of(file).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The programs of the repository that a file of its configuration has cargo call. A name without a slash is one on `PATH`.
pub(super) fn configured_programs(table: &DeTable<'_>) -> Vec<PathBuf> {
    let build = document::table(table, "build").into_iter();
    let compilers = ["rustc", "rustc-wrapper", "rustc-workspace-wrapper"];
    let compilers = build.flat_map(|build| compilers.into_iter().filter_map(|key| document::string(build, key)));
    let targets = document::entries(table, "target").filter_map(|(_, target)| target.as_table());
    let programs = compilers.chain(targets.filter_map(|target| document::string(target, "linker")));
    programs
        .filter(|path| path.contains('/'))
        .filter_map(|path| below_root(Path::new("Cargo.toml"), path).ok())
        .collect()
}

/// The path relative to the root that `path` has when it starts from the folder of `manifest`.
///
/// # Errors
///
/// When it leaves the repository: an image's build could not see it, and another checkout would not have it.
pub(super) fn below_root(manifest: &Path, path: &str) -> Result<PathBuf> {
    let outside = || format!("`{}`: path `{path}` leaves the repository", manifest.display());
    let mut folder = manifest.parent().map(Path::to_path_buf).unwrap_or_default();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => folder.push(name),
            Component::ParentDir => {
                if !folder.pop() {
                    bail!(outside());
                }
            }
            Component::RootDir | Component::Prefix(_) => bail!(outside()),
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = r#"
[workspace]
members = ["app/*"]
resolver = "3"
[workspace.package]
edition = "2024"
version = "1.0.0"
[workspace.dependencies]
kit = { path = "app/kit" }
other = { package = "real", version = "1" }
unused = "1"
[workspace.lints.rust]
unsafe_code = "forbid"
[profile.dev]
debug = 1
"#;

    const CRATE: &str = r#"
[package]
name = "web"
version = "0.1.0"
edition.workspace = true
[lints]
workspace = true
[dependencies]
kit.workspace = true
other = { workspace = true, optional = true }
serde = "1"
renamed = { package = "shared", path = "../shared" }
[build-dependencies]
made = { path = "build/made" }
[dev-dependencies]
testkit = { path = "../testkit" }
unused.workspace = true
[target.'cfg(unix)'.dependencies]
nix = { version = "0.31", features = ["fs"] }
[target.x86_64-pc-windows-msvc.build-dependencies]
cc = "1"
"#;

    fn parse(text: &str) -> DeTable<'_> {
        document::parse(Path::new("Cargo.toml"), text).unwrap()
    }

    fn set<'a>(items: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        items.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn what_a_crate_depends_on() {
        let root = Root::parse(Path::new("Cargo.toml"), &parse(ROOT)).unwrap();
        let found = Crate::parse(Path::new("app/web/Cargo.toml"), &parse(CRATE), &root).unwrap().unwrap();
        assert_eq!(found.name, "web");
        assert_eq!(found.folders, ["app/kit", "app/shared", "app/web/build/made"].map(PathBuf::from).into());
        assert_eq!(found.packages, set(["cc", "nix", "real", "serde"]));
        let sections = ["workspace.dependencies.kit", "workspace.dependencies.other", "workspace.lints"];
        assert_eq!(found.sections, set(sections.into_iter().chain(["workspace.package.edition"])));
        let inherited = found.sections.iter().map(String::as_str).collect();
        let seen: Vec<_> = root.seen(&inherited).map(|(name, _)| name).collect();
        let expected = [
            "profile.dev",
            "workspace.dependencies.kit",
            "workspace.dependencies.other",
            "workspace.lints",
            "workspace.package.edition",
            "workspace.resolver",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_path_that_leaves_the_repository_is_refused_by_name() {
        let manifest = Path::new("app/web/Cargo.toml");
        assert_eq!(below_root(manifest, "../../patches/./x").unwrap(), Path::new("patches/x"));
        assert_eq!(below_root(manifest, "../..").unwrap(), Path::new(""));
        for path in ["../../../x", "/x"] {
            let error = below_root(manifest, path).unwrap_err().to_string();
            assert_eq!(error, format!("`app/web/Cargo.toml`: path `{path}` leaves the repository"));
        }
    }

    #[test]
    fn an_entry_that_the_workspace_lacks_is_refused_by_name() {
        let table = "[package]\nname = \"a\"\n[dependencies]\nnone.workspace = true";
        let error = Crate::parse(Path::new("a/Cargo.toml"), &parse(table), &Root::default()).unwrap_err().to_string();
        assert!(error.contains("`a/Cargo.toml`") && error.contains("`workspace.dependencies.none`"), "{error}");
    }

    #[test]
    fn patches_name_their_folders() {
        let table = "[patch.crates-io]\na = { path = 'patches/a' }\nb = { git = 'https://example.com/b' }\n\
                     [replace]\n'c:1.0.0' = { path = 'patches/c' }";
        let folders = patched_folders(Path::new("Cargo.toml"), &parse(table)).unwrap();
        assert_eq!(folders, [Path::new("patches/a"), Path::new("patches/c")]);
    }
}
