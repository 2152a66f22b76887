//! A folder of rendered files: writes what is new in it, removes what an earlier rendering has left, and touches nothing
//! that somebody else has made.

use anyhow::{Context, Result};
use base::error::Fault;
use base::files;
use engine::rendering::MADE_BY;
use model::name::SystemName;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// The list of all files in the folder that were rendered.
const LIST: &str = ".rendered";
const KUSTOMIZATION: &str = "kustomization.yaml";
/// The folder whose files are for Argo CD, and not for the cluster that the others are for.
const ARGO: &str = "argocd";

/// Which files of earlier renderings stay.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept<'s> {
    Nothing,
    /// Those of other systems than these.
    AllBut(&'s [SystemName]),
}

pub(super) struct Folder<'f> {
    dir: &'f Path,
}

impl<'f> Folder<'f> {
    pub(super) fn at(dir: &'f Path) -> Self {
        Self { dir }
    }

    /// Makes the folder hold these files, by their paths within it, and what makes them applicable together.
    ///
    /// # Errors
    /// When a file is in the way that was not rendered, or one cannot be written or removed.
    pub(super) fn write(&self, files: &BTreeMap<String, String>, kept: &Kept<'_>) -> Result<()> {
        let old = self.listed()?;
        let mut all: BTreeSet<String> = files.keys().cloned().collect();
        all.extend(old.iter().filter(|path| kept.keeps(path) && self.dir.join(path).is_file()).cloned());
        let kustomizations = kustomizations(&all);
        all.extend(kustomizations.keys().cloned());
        let new = || files.iter().chain(&kustomizations);
        for (path, _) in new() {
            self.check(path, &old)?;
        }
        // Both, so that a rendering that is killed leaves nothing of which nobody knows.
        self.write_list(&all.union(&old).cloned().collect())?;
        for (path, text) in new() {
            self.write_file(path, text)?;
        }
        for path in old.difference(&all) {
            self.remove(path)?;
        }
        self.write_list(&all)
    }

    /// What was rendered before. A list that somebody has changed cannot name anything outside.
    fn listed(&self) -> Result<BTreeSet<String>> {
        let path = self.dir.join(LIST);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("read `{}`", path.display())),
        };
        let inside = |path: &&str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let named = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(named.filter(inside).map(str::to_owned).collect())
    }

    /// Whether a file may be written: there is none, or it was rendered.
    fn check(&self, path: &str, old: &BTreeSet<String>) -> Result<()> {
        let file = self.dir.join(path);
        let text = match std::fs::read(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            found => found.with_context(|| format!("read `{}`", file.display()))?,
        };
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if old.contains(path) || String::from_utf8_lossy(first).contains(MADE_BY) {
            return Ok(());
        }
        let cause = format!("`{}` is in the way, and `render` did not write it", file.display());
        Err(Fault::failed("file-in-the-way", cause).hint("render into another folder, or remove it").into())
    }

    fn write_list(&self, paths: &BTreeSet<String>) -> Result<()> {
        let mut text = format!("# {MADE_BY}, which goes by this list when it removes what it no longer makes.\n");
        for path in paths {
            let _ = writeln!(text, "{path}");
        }
        self.write_file(LIST, &text)
    }

    /// One that has this text already is left alone.
    fn write_file(&self, path: &str, text: &str) -> Result<()> {
        let file = self.dir.join(path);
        if std::fs::read(&file).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        files::write_with_mode(&file, text.as_bytes(), 0o644)
    }

    /// Removes a file, and the folders that are empty without it.
    fn remove(&self, path: &str) -> Result<()> {
        let file = self.dir.join(path);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove `{}`", file.display()));
            }
            _ => {}
        }
        let parents: Vec<PathBuf> = Path::new(path).ancestors().skip(1).map(Path::to_path_buf).collect();
        for parent in parents.iter().filter(|parent| !parent.as_os_str().is_empty()) {
            // One that holds something else stays.
            if std::fs::remove_dir(self.dir.join(parent)).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Kept<'_> {
    fn keeps(&self, path: &str) -> bool {
        let Self::AllBut(systems) = self else { return false };
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let system = if folder == ARGO { file.trim_end_matches(".yaml") } else { folder };
        file != KUSTOMIZATION && !system.is_empty() && !systems.iter().any(|known| known.as_str() == system)
    }
}

/// A kustomization for every folder: of the manifests in it, and for the environment of those of all systems.
fn kustomizations(files: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut resources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (folder, file) in files.iter().filter_map(|path| path.rsplit_once('/')) {
        if file.ends_with(".yaml") && file != KUSTOMIZATION {
            resources.entry(folder).or_default().insert(file);
            if folder != ARGO {
                resources.entry("").or_default().insert(folder);
            }
        }
    }
    let file = |(folder, resources): (&str, BTreeSet<&str>)| {
        let mut text = format!("# {MADE_BY}; the next one overwrites it.\n");
        text.push_str("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n");
        for resource in resources {
            let _ = writeln!(text, "  - {resource}");
        }
        let path = if folder.is_empty() { KUSTOMIZATION.to_owned() } else { format!("{folder}/{KUSTOMIZATION}") };
        (path, text)
    };
    resources.into_iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("xtask-render-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            Self(dir)
        }

        fn write(&self, files: &[&str], kept: &Kept<'_>) -> Result<()> {
            let text = |path: &&str| ((*path).to_owned(), format!("# {MADE_BY}\n{path}\n"));
            Folder::at(&self.0).write(&files.iter().map(text).collect(), kept)
        }

        /// Every file with its text, by its path.
        fn files(&self) -> BTreeMap<String, String> {
            let mut found = BTreeMap::new();
            let mut folders = vec![self.0.clone()];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(&folder).unwrap().flatten() {
                    if entry.path().is_dir() {
                        folders.push(entry.path());
                        continue;
                    }
                    let path = entry.path().strip_prefix(&self.0).unwrap().to_string_lossy().into_owned();
                    found.insert(path, std::fs::read_to_string(entry.path()).unwrap());
                }
            }
            found
        }

        fn names(&self) -> Vec<String> {
            self.files().into_keys().collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const BOTH: [&str; 6] =
        ["a/service.yaml", "a/README.md", "argocd/a.yaml", "argocd/b.yaml", "b/old.yaml", "b/service.yaml"];

    #[test]
    fn every_folder_can_be_applied_as_one() {
        let scratch = Scratch::new("kustomize");
        scratch.write(&BOTH, &Kept::Nothing).unwrap();
        let files = scratch.files();
        let resources = |path: &str| files[path].split_once("resources:\n").unwrap().1.to_owned();
        assert_eq!(resources("kustomization.yaml"), "  - a\n  - b\n");
        assert_eq!(resources("a/kustomization.yaml"), "  - service.yaml\n");
        assert_eq!(resources("argocd/kustomization.yaml"), "  - a.yaml\n  - b.yaml\n");
        scratch.write(&BOTH, &Kept::Nothing).unwrap();
        assert_eq!(scratch.files(), files);
    }

    #[test]
    fn what_is_no_longer_rendered_goes_and_nothing_else() {
        let scratch = Scratch::new("stale");
        scratch.write(&BOTH, &Kept::Nothing).unwrap();
        std::fs::write(scratch.0.join("b/mine.yaml"), "mine").unwrap();
        let list = scratch.0.join(LIST);
        let outside = scratch.0.with_extension("outside");
        std::fs::write(&outside, "not ours").unwrap();
        let named = format!("../{}\n{}\n", outside.file_name().unwrap().to_string_lossy(), outside.display());
        std::fs::write(&list, std::fs::read_to_string(&list).unwrap() + &named).unwrap();
        scratch.write(&["a/service.yaml", "argocd/a.yaml"], &Kept::Nothing).unwrap();
        let left = [
            ".rendered",
            "a/kustomization.yaml",
            "a/service.yaml",
            "argocd/a.yaml",
            "argocd/kustomization.yaml",
            "b/mine.yaml",
            "kustomization.yaml",
        ];
        assert_eq!(scratch.names(), left);
        assert!(outside.exists());
        std::fs::remove_file(outside).unwrap();
    }

    #[test]
    fn a_rendering_of_some_systems_leaves_the_others() {
        let scratch = Scratch::new("some");
        scratch.write(&BOTH, &Kept::Nothing).unwrap();
        let only = ["b".parse().unwrap()];
        scratch.write(&["b/service.yaml", "argocd/b.yaml"], &Kept::AllBut(&only)).unwrap();
        let names = scratch.names();
        assert!(names.iter().any(|name| name == "a/service.yaml") && !names.iter().any(|name| name == "b/old.yaml"));
        assert!(scratch.files()["kustomization.yaml"].contains("  - a\n  - b\n"));
        assert!(scratch.files()["argocd/kustomization.yaml"].contains("  - a.yaml\n  - b.yaml\n"));
    }

    #[test]
    fn what_somebody_else_has_made_is_in_the_way() {
        let scratch = Scratch::new("foreign");
        std::fs::create_dir_all(scratch.0.join("a")).unwrap();
        std::fs::write(scratch.0.join("a/kustomization.yaml"), "resources: [mine.yaml]\n").unwrap();
        let refused = scratch.write(&BOTH, &Kept::Nothing).unwrap_err().to_string();
        assert!(refused.contains("a/kustomization.yaml` is in the way"), "{refused}");
        assert_eq!(scratch.names(), ["a/kustomization.yaml"], "nothing was begun");
        std::fs::remove_file(scratch.0.join("a/kustomization.yaml")).unwrap();
        scratch.write(&BOTH, &Kept::Nothing).unwrap();
        // A clone may lack the list; what was rendered says so itself.
        std::fs::remove_file(scratch.0.join(LIST)).unwrap();
        scratch.write(&BOTH, &Kept::Nothing).unwrap();
    }
}
