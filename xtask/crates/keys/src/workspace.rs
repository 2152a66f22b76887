//! The repository as cargo sees it: its crates, what each depends on, and the inputs of a build of each.

use super::crates::{self, Crate, Root};
use super::document;
use super::input::{Input, Kind};
use super::lock::{Entry, Lock};
use super::manifest::Manifest;
use super::patterns;
use super::tree::{Forest, Tree};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// What rustup reads to choose a toolchain.
const TOOLCHAIN_FILES: [&str; 2] = ["rust-toolchain", "rust-toolchain.toml"];
/// Cargo's configuration; it still reads the name without an extension.
pub(super) const CONFIGURATION: [&str; 2] = [".cargo/config", ".cargo/config.toml"];

/// A cargo workspace, its manifests and its lock read once.
///
/// It does not look again: read another one to see what changed.
#[derive(Debug)]
pub struct Workspace {
    pub(super) root: PathBuf,
    manifest: Root,
    /// Every crate of the repository that cargo may come upon, by its folder.
    pub(super) crates: BTreeMap<PathBuf, Crate>,
    pub(super) lock: Lock,
    /// Files outside of the crates that every build reads, there or not.
    settings: BTreeSet<PathBuf>,
    /// Folders that stand in for packages from elsewhere.
    patched: BTreeSet<PathBuf>,
    /// The profiles that count; all of them where none was named.
    profiles: Option<BTreeSet<String>>,
}

/// The name of a crate that is not in the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCrate(pub String);

impl fmt::Display for UnknownCrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this workspace has no crate `{}`", self.0)
    }
}

impl std::error::Error for UnknownCrate {}

/// What a crate needs.
#[derive(Debug, Default)]
pub(super) struct Closure {
    pub(super) folders: BTreeSet<PathBuf>,
    /// Entries of the lock, those of this repository's own crates among them.
    pub(super) locked: BTreeSet<Entry>,
    /// Of each crate of this repository, the entries that it names itself.
    pub(super) named: BTreeMap<PathBuf, BTreeSet<Entry>>,
    /// Packages that a manifest names and the lock does not have.
    unlocked: BTreeSet<String>,
}

impl Workspace {
    /// Reads the workspace whose root manifest is in `root`. A missing `Cargo.lock` is an empty one.
    ///
    /// # Errors
    ///
    /// When a manifest, the lock or cargo's configuration cannot be read or parsed, or a dependency's folder is not in
    /// this repository.
    pub fn read(root: &Path) -> Result<Self> {
        let path = Path::new("Cargo.toml");
        let text = document::read(root, path)?;
        let text = text.with_context(|| format!("no `Cargo.toml` in `{}`", root.display()))?;
        let table = document::parse(path, &text)?;
        let lock_path = Path::new("Cargo.lock");
        let lock = document::read(root, lock_path)?.unwrap_or_default();
        let mut workspace = Self {
            root: root.to_path_buf(),
            manifest: Root::parse(path, &table)?,
            crates: BTreeMap::new(),
            lock: Lock::parse(lock_path, &lock)?,
            settings: TOOLCHAIN_FILES.iter().map(PathBuf::from).collect(),
            patched: BTreeSet::new(),
            profiles: None,
        };
        let mut folders = crates::patched_folders(path, &table)?;
        folders.extend(workspace.read_configuration()?);
        workspace.patched.extend(folders.iter().cloned());
        if let Some(section) = document::table(&table, "workspace") {
            folders.extend(workspace.members(section)?);
        }
        if table.contains_key("package") {
            folders.push(PathBuf::new());
        }
        workspace.read_crates(folders)?;
        Ok(workspace)
    }

    /// Lets only this profile count, and those that it inherits from: builds use no other.
    pub fn with_profile(mut self, name: &str) -> Self {
        self.profiles = Some(self.manifest.profile_chain(name));
        self
    }

    /// Whether a part of the root manifest is no profile, or one that counts.
    pub(super) fn counts(&self, section: &str) -> bool {
        let profile = section.strip_prefix("profile.");
        let known = profile.zip(self.profiles.as_ref());
        known.is_none_or(|(profile, profiles)| profiles.contains(profile))
    }

    /// The folders of the workspace's members. A folder that a pattern matches is one only if it has a manifest.
    fn members(&self, section: &toml::de::DeTable<'_>) -> Result<Vec<PathBuf>> {
        let excluded = document::strings(section, "exclude");
        let is_member = |folder: &PathBuf| {
            self.root.join(folder).join("Cargo.toml").exists() && !excluded.iter().any(|path| folder.starts_with(path))
        };
        let mut members = Vec::new();
        for pattern in document::strings(section, "members") {
            members.extend(patterns::expand(&self.root, pattern)?.into_iter().filter(is_member));
        }
        Ok(members)
    }

    /// Notes the files of cargo's configuration, and returns the folders that it puts in the place of packages.
    fn read_configuration(&mut self) -> Result<Vec<PathBuf>> {
        let mut patched = Vec::new();
        let mut pending: Vec<PathBuf> = CONFIGURATION.iter().map(PathBuf::from).collect();
        while let Some(path) = pending.pop() {
            if !self.settings.insert(path.clone()) {
                continue;
            }
            let Some(text) = document::read(&self.root, &path)? else { continue };
            let table = document::parse(&path, &text)?;
            for included in crates::included_files(&table) {
                pending.push(crates::below_root(&path, included)?);
            }
            self.settings.extend(crates::configured_programs(&table));
            // Unlike those of `include`, paths of `[patch]` start from the folder that holds `.cargo`.
            patched.extend(crates::patched_folders(Path::new("Cargo.toml"), &table)?);
        }
        Ok(patched)
    }

    /// Reads the crates in `pending` and those that they depend on by path.
    fn read_crates(&mut self, mut pending: Vec<PathBuf>) -> Result<()> {
        let forest = Forest::new(&self.root)?;
        while let Some(folder) = pending.pop() {
            if self.crates.contains_key(&folder) {
                continue;
            }
            let path = folder.join("Cargo.toml");
            let text = document::read(&self.root, &path)?;
            let text = text.with_context(|| format!("no `{}`, though a manifest names its folder", path.display()))?;
            if !forest.holds(&path) {
                bail!("`{}` is a link out of the repository", folder.display());
            }
            let found = Crate::parse(&path, &document::parse(&path, &text)?, &self.manifest)?;
            let found = found.with_context(|| format!("`{}` has no package", path.display()))?;
            pending.extend(found.folders.iter().cloned());
            self.crates.insert(folder, found);
        }
        Ok(())
    }

    /// The folders of a crate and of the crates of this repository that a build of it needs, relative to the root and
    /// sorted.
    ///
    /// # Errors
    ///
    /// When there is no such crate.
    pub fn closure(&self, name: &str) -> Result<Vec<PathBuf>> {
        Ok(self.resolve(name)?.folders.into_iter().collect())
    }

    /// The inputs of a build of each of these crates. Files that several of them share are hashed once, all of them on
    /// all cores.
    ///
    /// A dependency that the lock does not have yet is an input of its own, `NAME not locked`: cargo is about to write
    /// the lock, so a caller that keeps the manifest reads it again after the build.
    ///
    /// # Errors
    ///
    /// When there is no such crate, or a file cannot be read.
    pub fn manifests(&self, names: &[&str]) -> Result<BTreeMap<String, Manifest>> {
        let mut inputs = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for &name in names {
            let closure = self.resolve(name)?;
            inputs.insert(name, self.declared(&closure));
            let members = closure.folders.iter().filter_map(|folder| self.crates.get(folder));
            let sources: BTreeSet<PathBuf> = members.flat_map(|member| &member.sources).cloned().collect();
            seen.insert(
                name,
                closure.folders.into_iter().chain(sources).chain(self.settings.iter().cloned()).collect(),
            );
        }
        let trees = self.read_trees(&mut seen)?;
        let manifest = |(name, mut inputs): (&str, Vec<Input>)| {
            let paths = seen.get(name).into_iter().flatten();
            let trees: Vec<&Tree> = paths.filter_map(|path| trees.get(path)).collect();
            inputs.extend(trees.iter().flat_map(|tree| &tree.inputs).cloned());
            let variables = trees.iter().flat_map(|tree| &tree.variables).cloned().collect();
            (name.to_owned(), Manifest::new(inputs).with_variables(variables))
        };
        Ok(inputs.into_iter().map(manifest).collect())
    }

    /// Inputs that manifests and the lock declare, without the files themselves.
    fn declared(&self, closure: &Closure) -> Vec<Input> {
        let members = || closure.folders.iter().filter_map(|folder| Some((folder, self.crates.get(folder)?)));
        let inherited = self.inherited(closure);
        let sections = self.manifest.seen(&inherited).filter(|(name, _)| self.counts(name));
        let mut inputs: Vec<Input> =
            sections.map(|(name, digest)| Input::with_digest(Kind::Config, name, digest)).collect();
        inputs.extend(self.lock.inputs(&closure.locked));
        inputs.extend(closure.unlocked.iter().map(|name| Input::new(Kind::Lock, format!("{name} not locked"), "")));
        let choices = members().filter_map(|(folder, member)| {
            self.lock.choices(&member.name, closure.named.get(folder)?, &closure.locked)
        });
        inputs.extend(choices);
        inputs
    }

    /// The parts of the root manifest that crates of a closure inherit.
    pub(super) fn inherited(&self, closure: &Closure) -> BTreeSet<&str> {
        let members = closure.folders.iter().filter_map(|folder| self.crates.get(folder));
        members.flat_map(|member| &member.sections).map(String::as_str).collect()
    }

    /// Whether a folder stands in for a package from elsewhere.
    pub(super) fn is_patched(&self, folder: &Path) -> bool {
        self.patched.contains(folder)
    }

    /// Reads every path that some build sees, and lets what their symlinks lead to join them, until nothing new comes.
    fn read_trees(&self, seen: &mut BTreeMap<&str, BTreeSet<PathBuf>>) -> Result<BTreeMap<PathBuf, Tree>> {
        let forest = Forest::new(&self.root)?;
        // A crate within the folder of another one counts for those that depend on it.
        let separate = |path: &Path, folder: &Path| {
            path != folder && self.crates.contains_key(path) && self.crates.contains_key(folder)
        };
        let mut trees: BTreeMap<PathBuf, Tree> = BTreeMap::new();
        loop {
            let missing: BTreeSet<PathBuf> =
                seen.values().flatten().filter(|path| !trees.contains_key(*path)).cloned().collect();
            if missing.is_empty() {
                return Ok(trees);
            }
            trees.extend(forest.read(&missing.into_iter().collect::<Vec<_>>(), &separate)?);
            for paths in seen.values_mut() {
                follow_links(paths, &trees);
            }
        }
    }

    pub(super) fn resolve(&self, name: &str) -> Result<Closure> {
        let mut closure = Closure::default();
        let mut folders = vec![self.folder_of(name)?];
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            if let Some(folder) = folders.pop() {
                if let Some(member) = self.crates.get(folder).filter(|_| closure.folders.insert(folder.clone())) {
                    folders.extend(&member.folders);
                    let named = self.named_entries(member, &mut closure.unlocked);
                    entries.extend(&named);
                    closure.named.insert(folder.clone(), named);
                }
            } else if let Some(entry) = entries.pop() {
                if !closure.locked.insert(entry) {
                    continue;
                }
                if self.lock.is_local(entry) {
                    folders.push(self.folder_of(self.lock.name(entry))?);
                } else {
                    entries.extend(self.lock.dependencies(entry));
                }
            } else {
                return Ok(closure);
            }
        }
    }

    /// The entries of the lock for the packages that a crate's manifest names. Where the lock has several versions for
    /// one name (another one for its tests), all of them.
    fn named_entries(&self, member: &Crate, unlocked: &mut BTreeSet<String>) -> BTreeSet<Entry> {
        let own = self.lock.local(&member.name).map(|entry| self.lock.dependencies(entry)).unwrap_or_default();
        let mut named = BTreeSet::new();
        for package in &member.packages {
            let before = named.len();
            named.extend(own.iter().copied().filter(|&entry| self.lock.name(entry) == package));
            if named.len() == before {
                unlocked.insert(package.clone());
            }
        }
        named
    }

    fn folder_of(&self, name: &str) -> Result<&PathBuf> {
        let found = self.crates.iter().find(|(_, member)| member.name == name);
        Ok(found.map(|(folder, _)| folder).ok_or_else(|| UnknownCrate(name.to_owned()))?)
    }
}

/// Adds what the links in `paths` lead to, as far as it has been read, and names what has not.
fn follow_links(paths: &mut BTreeSet<PathBuf>, trees: &BTreeMap<PathBuf, Tree>) {
    let mut pending: Vec<PathBuf> = paths.iter().cloned().collect();
    while let Some(path) = pending.pop() {
        for lead in trees.get(&path).into_iter().flat_map(|tree| &tree.leads) {
            if paths.insert(lead.clone()) {
                pending.push(lead.clone());
            }
        }
    }
}
