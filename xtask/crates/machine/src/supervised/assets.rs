//! What a service is given, as it is on this machine: its texts, and copies of what lay in the repository. A copy is kept
//! under a digest of what is in it, so that a version that runs keeps its own, and a rollback finds the one of its time.

use super::Supervised;
use super::recipe::Recipe;
use super::revision::Revision;
use super::start::Secrets;
use anyhow::{Context, Result, bail};
use base::error::Fault;
use base::files;
use engine::home::Home;
use keys::Digest;
use model::asset::{Asset, Content, Copy, Mode};
use model::name::ServiceName;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Which files lie in the folder that a service works in, beside its copies.
const BESIDE: &str = "beside.json";

/// The mode of one file of what is given; `executable` is what it is in the repository.
pub type ModeOf<'a> = &'a dyn Fn(&Asset, bool) -> Mode;

/// Where it is on this machine.
pub fn path(home: &Home, service: &ServiceName, name: &str, asset: &Asset) -> PathBuf {
    match &asset.content {
        Content::Text(_) => home.files(service).join(name),
        Content::Copy(_) => home.copies(service).join(key(name, asset)).join(name),
    }
}

/// Names what is in a copy, and how.
fn key(name: &str, asset: &Asset) -> String {
    format!("{:.16}", Digest::of(json!([name, asset.to_json()]).to_string()))
}

impl Supervised {
    /// Writes what a version of a service is given where it is looked for.
    ///
    /// # Errors
    /// When it cannot be written, or a file of the repository is not any more what it was when this was planned.
    pub fn write_assets(&self, recipe: &Recipe, mode_of: ModeOf<'_>) -> Result<()> {
        for (name, asset) in &recipe.files {
            let path = path(self.home(), &recipe.service, name, asset);
            match &asset.content {
                Content::Text(template) => {
                    let text = self.render(recipe, template, Secrets::Make)?.unwrap_or_default();
                    files::write_with_mode(&path, text.as_bytes(), mode_of(asset, false).0)?;
                }
                Content::Copy(copy) if !path.exists() => {
                    let mode = |executable| mode_of(asset, executable);
                    keep(&self.deployment.root, copy, &self.home().copies(&recipe.service), &path, &mode)?;
                }
                Content::Copy(_) => {}
            }
        }
        self.write_beside(recipe)
    }

    /// Has what belongs below the folder that a service works in be there, and what belonged there before be gone.
    fn write_beside(&self, recipe: &Recipe) -> Result<()> {
        let (home, service) = (self.home(), &recipe.service);
        let noted = home.copies(service).join(BESIDE);
        let before: BTreeSet<String> = files::read_json(&noted)?
            .as_ref()
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(text)
            .collect();
        let wanted: BTreeSet<String> =
            recipe.files.values().filter_map(|asset| asset.beside().map(str::to_owned)).collect();
        if before.is_empty() && wanted.is_empty() {
            return Ok(());
        }
        // All of them are known before the first is made.
        files::write_json(&noted, &json!(before.union(&wanted).collect::<Vec<_>>()))?;
        let folder = home.data(service);
        for gone in before.difference(&wanted) {
            unlink(&folder, gone)?;
        }
        for (name, asset) in &recipe.files {
            let Some(at) = asset.beside() else { continue };
            let up = "../".repeat(2 + at.split('/').count() - 1);
            let path = path(home, service, name, asset);
            let target = Path::new(&up).join(path.strip_prefix(home.dir()).unwrap_or(&path));
            link(service, &folder.join(at), &target)?;
        }
        files::write_json(&noted, &json!(wanted))
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Copies what lies in the repository to `path`, which is there afterwards with all that is in it or not at all.
fn keep(root: &Path, copy: &Copy, copies: &Path, path: &Path, mode: &dyn Fn(bool) -> Mode) -> Result<()> {
    let Some(folder) = path.parent() else { bail!("`{}` is in no folder", path.display()) };
    let part = folder.with_extension("part");
    files::remove(&part)?;
    let top = part.join(path.file_name().unwrap_or_default());
    for (place, file) in &copy.files {
        let source = copy.source(root, place);
        let content = files::read(&source)?;
        let Some(content) = content.filter(|content| Digest::of(content) == file.digest) else {
            let cause = format!("`{}` is not what it was when this was planned", source.display());
            return Err(Fault::failed("file-changed", cause)
                .hint("run it again; a rollback needs the file as it was")
                .into());
        };
        let target = if place.is_empty() { top.clone() } else { top.join(place) };
        files::write_with_mode(&target, &content, mode(file.executable).0)?;
        // Whatever the mask of who deploys.
        for above in target.ancestors().skip(1).take_while(|above| *above != part) {
            set_mode(above, 0o755)?;
        }
    }
    // Nobody else enters it, whatever the modes of what is in it.
    set_mode(copies, 0o700)?;
    std::fs::rename(&part, folder).with_context(|| format!("make `{}`", folder.display()))
}

fn set_mode(folder: &Path, mode: u32) -> Result<()> {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(folder, permissions).with_context(|| format!("set the mode of `{}`", folder.display()))
}

/// Has a link be there, in the place of an earlier one of ours alone.
fn link(service: &ServiceName, at: &Path, target: &Path) -> Result<()> {
    let there = std::fs::read_link(at).ok();
    if there.as_deref() == Some(target) {
        return Ok(());
    }
    if there.is_some_and(|there| is_asset(&there)) {
        std::fs::remove_file(at).with_context(|| format!("remove `{}`", at.display()))?;
    } else if at.symlink_metadata().is_ok() {
        let cause = format!("`{service}` has a file of its own where one is to be: `{}`", at.display());
        return Err(Fault::failed("file-in-the-way", cause)
            .hint("give the file another `at`, or move that one away")
            .into());
    }
    if let Some(folder) = at.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display()))?;
    }
    std::os::unix::fs::symlink(target, at).with_context(|| format!("make `{}`", at.display()))
}

/// Removes a link of ours, and the folders that are empty without it.
fn unlink(folder: &Path, at: &str) -> Result<()> {
    let path = folder.join(at);
    if std::fs::read_link(&path).is_ok_and(|target| is_asset(&target)) {
        std::fs::remove_file(&path).with_context(|| format!("remove `{}`", path.display()))?;
        for above in Path::new(at).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            if std::fs::remove_dir(folder.join(above)).is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// Whether a link leads to what a service is given.
fn is_asset(target: &Path) -> bool {
    let mut parts = target.components().skip_while(|part| *part == Component::ParentDir);
    target.starts_with("..")
        && matches!(parts.next(), Some(Component::Normal(name)) if name == "copies" || name == "files")
}

/// Whether nothing is in a folder but what the service was given, which is nothing that it has stored.
pub(super) fn holds_no_data(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.into_iter().all(|entry| {
        entry.is_ok_and(|entry| {
            let path = entry.path();
            let is_link = std::fs::read_link(&path).is_ok_and(|target| is_asset(&target));
            // An empty folder is the service's own.
            let is_way = || {
                entry.file_type().is_ok_and(|kind| kind.is_dir())
                    && std::fs::read_dir(&path).is_ok_and(|mut all| all.next().is_some())
                    && holds_no_data(&path)
            };
            is_link || is_way()
        })
    })
}

/// Which files differ between two versions of a service: "`conf/app.conf` changed".
pub(super) fn changes(before: &Recipe, after: &Recipe) -> Vec<String> {
    let names: BTreeSet<&String> = before.files.keys().chain(after.files.keys()).collect();
    let differs = |name: &&String| before.files.get(*name) != after.files.get(*name);
    let told = |name: &String| {
        let copy = |recipe: &'_ Recipe| recipe.files.get(name).and_then(Asset::copy).cloned();
        let other = copy(before).zip(copy(after)).and_then(|(old, new)| {
            let paths = new.files.keys().chain(old.files.keys());
            let path = paths.into_iter().find(|path| old.files.get(*path) != new.files.get(*path))?;
            Some(new.source(Path::new(""), path))
        });
        match other {
            Some(path) => format!("`{}` changed", path.display()),
            None => format!("its file `{name}` changed"),
        }
    };
    names.into_iter().filter(differs).map(told).collect()
}

/// Removes the copies of a service that no kept revision names.
pub(super) fn prune(home: &Home, service: &ServiceName, kept: &[Revision]) {
    let Ok(folders) = std::fs::read_dir(home.copies(service)) else { return };
    let recipes = kept.iter().flat_map(|revision| &revision.recipes).filter(|recipe| recipe.service == *service);
    let named: BTreeSet<String> =
        recipes.flat_map(|recipe| &recipe.files).map(|(name, asset)| key(name, asset)).collect();
    let is_named = |name: &str| name == BESIDE || named.contains(name);
    for entry in folders.flatten().filter(|entry| !is_named(&entry.file_name().to_string_lossy())) {
        // What cannot be removed now is tried again after the next deploy.
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::files::write_private;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("slipway-given-{name}-{}", std::process::id()));
        files::remove(&folder).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_given_is_no_data_and_what_a_service_made_is() {
        let folder = scratch("data");
        assert!(holds_no_data(&folder));
        let service: ServiceName = "api".parse().unwrap();
        link(&service, &folder.join("config/app.toml"), Path::new("../../../copies/api/0/app.toml")).unwrap();
        assert!(holds_no_data(&folder));
        std::fs::create_dir(folder.join("empty")).unwrap();
        assert!(!holds_no_data(&folder));
        std::fs::remove_dir(folder.join("empty")).unwrap();
        write_private(&folder.join("config/own"), b"x").unwrap();
        assert!(!holds_no_data(&folder));
        // Its own file is never replaced, and a link of ours is.
        link(&service, &folder.join("config/own"), Path::new("../../../copies/api/0/own")).unwrap_err();
        link(&service, &folder.join("config/app.toml"), Path::new("../../../copies/api/1/app.toml")).unwrap();
        unlink(&folder, "config/own").unwrap();
        unlink(&folder, "config/app.toml").unwrap();
        assert_eq!(std::fs::read_dir(folder.join("config")).unwrap().count(), 1);
        files::remove(&folder).unwrap();
    }
}
