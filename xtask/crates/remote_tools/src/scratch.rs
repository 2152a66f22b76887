//! Copies of this repository to try things in: what a fresh clone would have, together with what is not committed yet.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use xshell::Shell;

/// What is made by working in a checkout and is no part of it.
const LEFT_OUT: [&str; 3] = ["target", ".git", ".slipway"];
/// What Terraform keeps where it runs.
const TERRAFORM: &str = ".terraform";
/// The line of a manifest by which a crate has the version of the workspace.
const FROM_WORKSPACE: &str = "\nversion.workspace = true\n";

/// Makes `copy` hold what `root` has, modification times included, so that cargo takes what it has built for an
/// earlier copy in the same place as fresh. What an earlier use left in `copy` is removed.
///
/// The crates of the copy carry a version of their own, named after its folder. Checkouts that share a build directory
/// and have the same crates share what is built of them as well, and since cargo looks at the files of whichever built
/// last, an edit in the other would go unnoticed.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_repository(root: &Path, copy: &Path) -> Result<()> {
    // The shell's functions name the path in their errors, and removing what is not there is no error to it.
    let sh = Shell::new()?;
    sh.remove_path(copy)?;
    copy_folder(&sh, root, copy, true)?;
    let name = copy.file_name().unwrap_or_default().to_string_lossy();
    let (manifest, lock) = (copy.join("Cargo.toml"), copy.join("Cargo.lock"));
    if let Some((versions, text)) = own_version(&sh.read_file(&manifest)?, &name) {
        let libraries = library_versions(&sh, copy, &versions.original)?;
        sh.write_file(&manifest, text)?;
        sh.write_file(&lock, own_lock(&sh.read_file(&lock)?, &versions, &libraries))?;
    }
    Ok(())
}

/// Gives each library of the services a version that is of what it holds, by its package: copies that hold the same then
/// build it once, which takes longer than all of a service does. Nobody changes one in a copy.
fn library_versions(sh: &Shell, copy: &Path, original: &str) -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    let folders = if copy.join("app").is_dir() { sh.read_dir(copy.join("app"))? } else { Vec::new() };
    for folder in folders.iter().filter(|folder| folder.join("src/lib.rs").is_file()) {
        let manifest = folder.join("Cargo.toml");
        let text = sh.read_file(&manifest)?;
        let (Some(package), true) = (package_name(&text), text.contains(FROM_WORKSPACE)) else { continue };
        let mut hasher = DefaultHasher::new();
        hash(sh, folder, &mut hasher)?;
        // Letters first: a number must not begin with a nought there.
        let version = format!("{original}-holds{:016x}", hasher.finish());
        sh.write_file(&manifest, text.replacen(FROM_WORKSPACE, &format!("\nversion = \"{version}\"\n"), 1))?;
        versions.insert(package.to_owned(), version);
    }
    Ok(versions)
}

/// The name in a manifest, or in an entry of a lock file.
fn package_name(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

fn hash(sh: &Shell, folder: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    for path in sh.read_dir(folder)? {
        path.file_name().hash(hasher);
        match path.is_dir() {
            true => hash(sh, &path, hasher)?,
            false => sh.read_binary_file(&path)?.hash(hasher),
        }
    }
    Ok(())
}

/// Makes `copy` hold what a folder of the repository has, and nothing else.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy(folder: &Path, copy: &Path) -> Result<()> {
    let sh = Shell::new()?;
    sh.remove_path(copy)?;
    copy_folder(&sh, folder, copy, false)
}

/// The version of a repository's crates, and that of a copy's.
struct Versions {
    original: String,
    copy: String,
}

/// Gives the crates that take their version from the workspace another one. `None` when there is none to take.
fn own_version(manifest: &str, name: &str) -> Option<(Versions, String)> {
    let section = manifest.find("[workspace.package]")?;
    let start = section + manifest[section..].find("\nversion = \"")? + "\nversion = \"".len();
    let end = start + manifest[start..].find('"')?;
    let original = manifest[start..end].to_owned();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let copy = format!("{original}-{name}");
    let text = format!("{}{copy}{}", &manifest[..start], &manifest[end..]);
    Some((Versions { original, copy }, text))
}

/// The same in the lock file, where the repository's own crates are those without a source.
fn own_lock(lock: &str, versions: &Versions, libraries: &BTreeMap<String, String>) -> String {
    let line = |version: &str| format!("\nversion = \"{version}\"\n");
    let own = |package: &str| match package.contains("\nsource = ") {
        true => package.to_owned(),
        false => {
            let version = package_name(package).and_then(|name| libraries.get(name)).unwrap_or(&versions.copy);
            package.replacen(&line(&versions.original), &line(version), 1)
        }
    };
    lock.split("[[package]]").map(own).collect::<Vec<_>>().join("[[package]]")
}

fn copy_folder(sh: &Shell, from: &Path, to: &Path, top: bool) -> Result<()> {
    sh.create_dir(to)?;
    for path in sh.read_dir(from)? {
        let name = path.file_name().unwrap_or_default();
        let left_out = LEFT_OUT.iter().any(|left_out| name == *left_out);
        // One's own settings are not part of the repository, and would make two copies differ.
        let personal = name == TERRAFORM || name.to_string_lossy().ends_with(".local.toml");
        if !(personal || top && left_out) {
            copy_entry(sh, &path, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_entry(sh: &Shell, from: &Path, to: &Path) -> Result<()> {
    let context = || format!("copy `{}`", from.display());
    let kind = fs::symlink_metadata(from).with_context(context)?;
    if kind.is_dir() {
        return copy_folder(sh, from, to, false);
    }
    if kind.is_symlink() {
        let target = fs::read_link(from).with_context(context)?;
        return std::os::unix::fs::symlink(target, to).with_context(context);
    }
    sh.copy_file(from, to)?;
    let file = fs::File::options().write(true).open(to);
    file.and_then(|file| file.set_modified(kind.modified()?)).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_of_a_copy_have_a_version_of_their_own() {
        let manifest = "[workspace]\nmembers = []\n[workspace.package]\nedition = \"2024\"\nversion = \"0.1.0\"\n[x]\n";
        let (versions, copy) = own_version(manifest, "my_copy").unwrap();
        assert_eq!(copy, manifest.replace("0.1.0", "0.1.0-my-copy"));
        let package =
            |version: &str, source: &str| format!("[[package]]\nname = \"x\"\nversion = \"{version}\"\n{source}\n");
        let foreign = package("0.1.0", "source = \"registry\"\n");
        let lock = format!("version = 4\n\n{foreign}{}", package("0.1.0", ""));
        let with = |libraries: &[(&str, &str)]| {
            let libraries =
                libraries.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
            own_lock(&lock, &versions, &libraries)
        };
        assert_eq!(with(&[]), format!("version = 4\n\n{foreign}{}", package("0.1.0-my-copy", "")));
        assert_eq!(with(&[("x", "0.1.0-its")]), format!("version = 4\n\n{foreign}{}", package("0.1.0-its", "")));
        assert!(own_version("[package]\nversion = \"0.1.0\"\n", "x").is_none());
    }
}
