//! Files: which ones a folder holds, and the digest of each.
//!
//! Directories are walked by one thread, which takes a few milliseconds for ten thousand files; reading and hashing
//! the files takes longer and is shared among all cores. Nothing is followed, opened or read but regular files.

use super::git::Git;
use super::input::{Digest, Input, Kind, printable};
use super::mentions::Mentions;
use anyhow::{Context, Result};
use hmac_sha256::Hash as Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileType};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The bits of a file's mode that git or a person sets, and no umask.
const OWNER_AND_SPECIAL_BITS: u32 = 0o7700;
/// What this tool keeps at the root of the repository.
pub(super) const STATE: &str = ".slipway";
/// How a directory says that everything in it can be made again: <https://bford.info/cachedir/>.
const CACHE_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
/// Below this many files for each thread, starting one costs more than it saves.
const FILES_WORTH_A_THREAD: usize = 32;
const BUFFER: usize = 64 * 1024;

/// What was found at one path: a folder with everything below it, or a single file.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) inputs: Vec<Input>,
    /// Where its symlinks lead and what its sources include from elsewhere, relative to the root; only what lies in the
    /// repository.
    pub(super) leads: Vec<PathBuf>,
    /// The variables that its sources read while they are compiled.
    pub(super) variables: BTreeSet<String>,
}

/// What one file or link is.
#[derive(Debug)]
struct Hashed {
    input: Input,
    leads: Vec<PathBuf>,
    variables: BTreeSet<String>,
}

impl From<Input> for Hashed {
    fn from(input: Input) -> Self {
        Self { input, leads: Vec::new(), variables: BTreeSet::new() }
    }
}

/// A path that is to be hashed, relative to the root.
#[derive(Debug)]
struct Found {
    tree: usize,
    path: PathBuf,
    file_type: FileType,
}

/// The repository. Paths given and returned are relative to it.
#[derive(Debug)]
pub(super) struct Forest<'a> {
    root: &'a Path,
    /// The root with all symlinks resolved, which is what a link's destination is compared with.
    real_root: PathBuf,
}

impl<'a> Forest<'a> {
    pub(super) fn new(root: &'a Path) -> Result<Self> {
        let real_root = fs::canonicalize(root).with_context(|| format!("cannot read `{}`", root.display()))?;
        Ok(Self { root, real_root })
    }

    /// Reads each of `paths`; what is not there is an empty tree. `separate(path, folder)` says whether a folder found
    /// within a path is left out of it.
    ///
    /// # Errors
    ///
    /// When something is there and cannot be read; the message names it.
    pub(super) fn read(
        &self,
        paths: &[PathBuf],
        separate: &dyn Fn(&Path, &Path) -> bool,
    ) -> Result<BTreeMap<PathBuf, Tree>> {
        let mut found = Vec::new();
        let git = Git::around(&self.real_root);
        for (tree, path) in paths.iter().enumerate() {
            let metadata = fs::symlink_metadata(self.root.join(path));
            if let Some(metadata) = unless_gone(metadata).with_context(|| cannot_read(path))? {
                let entry = Found { tree, path: path.clone(), file_type: metadata.file_type() };
                self.walk(entry, git.as_ref(), &|folder| separate(path, folder), &mut found)?;
            }
        }
        // Sorted once here, the manifests of several services have little left to sort.
        found.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
        let mut trees: Vec<Tree> = paths.iter().map(|_| Tree::default()).collect();
        for (tree, hashed) in self.hash_all(paths, &found)? {
            trees[tree].inputs.push(hashed.input);
            trees[tree].leads.extend(hashed.leads);
            trees[tree].variables.extend(hashed.variables);
        }
        for tree in trees.iter_mut().filter(|tree| !tree.leads.is_empty()) {
            let own: BTreeSet<PathBuf> = tree.inputs.iter().map(Input::path).collect();
            tree.leads.retain(|lead| !own.contains(lead));
        }
        Ok(paths.iter().cloned().zip(trees).collect())
    }

    /// Begins with what is asked for, whether git ignores it or not.
    fn walk(
        &self,
        start: Found,
        git: Option<&Git>,
        separate: &dyn Fn(&Path) -> bool,
        found: &mut Vec<Found>,
    ) -> Result<()> {
        // Each with whether git ignores it; then only what was added to it counts.
        let mut pending = vec![(start, false)];
        while let Some((entry, is_ignored)) = pending.pop() {
            if !entry.file_type.is_dir() {
                found.push(entry);
                continue;
            }
            if separate(&entry.path) || self.is_generated(&entry.path) {
                continue;
            }
            let read = unless_gone(fs::read_dir(self.root.join(&entry.path))).with_context(|| cannot_read(&entry.path));
            let Some(children) = read? else { continue };
            for child in children {
                let child = child.with_context(|| cannot_read(&entry.path))?;
                let path = entry.path.join(child.file_name());
                if child.file_name() == ".git" || is_dropping(child.file_name().as_bytes()) {
                    continue;
                }
                let file_type = child.file_type().with_context(|| cannot_read(&path))?;
                let is_ignored = is_ignored || git.is_some_and(|git| git.ignores(&path, file_type.is_dir()));
                if !is_ignored || git.is_some_and(|git| git.has(&path, file_type.is_dir())) {
                    pending.push((Found { tree: entry.tree, path, file_type }, is_ignored));
                }
            }
        }
        Ok(())
    }

    /// Whether a directory is some tool's output, such as cargo's whatever its name, or this tool's own state. A crate is
    /// none, whatever else it says.
    fn is_generated(&self, path: &Path) -> bool {
        let folder = self.root.join(path);
        path == Path::new(STATE) || is_tagged_cache(&folder) && !folder.join("Cargo.toml").exists()
    }

    /// Hashes on all cores. The result has the order of `found`, whichever thread took what.
    fn hash_all(&self, paths: &[PathBuf], found: &[Found]) -> Result<Vec<(usize, Hashed)>> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(found.len() / FILES_WORTH_A_THREAD).max(1);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut buffer = vec![0; BUFFER];
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(entry) = found.get(index) else { return done };
                let hashed = unless_gone(self.hash(&paths[entry.tree], entry, &mut buffer));
                done.push((index, hashed.with_context(|| cannot_read(&entry.path))));
            }
        };
        let mut done = thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for helper in helpers {
                done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            done
        });
        done.sort_unstable_by_key(|(index, _)| *index);
        let mut hashed = Vec::with_capacity(done.len());
        for (index, result) in done {
            hashed.extend(result?.map(|hashed| (found[index].tree, hashed)));
        }
        Ok(hashed)
    }

    /// `top` is where the walk that found it began: the folder of its crate.
    fn hash(&self, top: &Path, entry: &Found, buffer: &mut [u8]) -> std::io::Result<Hashed> {
        let path = self.root.join(&entry.path);
        let name = entry.path.as_os_str().as_bytes();
        if entry.file_type.is_file() {
            if entry.path.extension().is_some_and(|extension| extension == "rs") {
                return self.hash_source(top, &path, name);
            }
            let (mode, digest) = hash_file(&path, buffer)?;
            return Ok(Input::with_digest(Kind::File { mode }, name, digest).into());
        }
        if entry.file_type.is_symlink() {
            let target = fs::read_link(&path)?;
            let lead = self.destination(&path);
            let leads_to = lead.as_deref().map_or(&b"elsewhere or nowhere"[..], |_| b"here");
            let place = lead.as_deref().unwrap_or(Path::new(""));
            let digest = Digest::of_fields([target.as_os_str().as_bytes(), leads_to, place.as_os_str().as_bytes()]);
            let leads = lead.into_iter().collect();
            return Ok(Hashed { leads, ..Input::with_digest(Kind::Link, name, digest).into() });
        }
        Ok(Input::new(Kind::Special, name, special(entry.file_type)).into())
    }

    /// A source file says what else its compilation reads. Of folders only those of its own crate count, which something
    /// else may leave out.
    fn hash_source(&self, top: &Path, path: &Path, name: &[u8]) -> std::io::Result<Hashed> {
        let mut file = File::open(path)?;
        let mode = counting_mode(&file.metadata()?);
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let folders = [path.parent().unwrap_or(path).to_path_buf(), self.root.join(top)];
        // A build script may have any name, and lies beside the manifest.
        let mentions = std::str::from_utf8(&content).map(|text| Mentions::of(text, folders[0] == folders[1]));
        let Mentions { paths, variables } = mentions.unwrap_or_default();
        let places = paths.iter().flat_map(|path| folders.iter().map(move |folder| folder.join(path)));
        let leads = places.filter(|place| place.exists()).filter_map(|place| self.destination(&place));
        let counts = |lead: &PathBuf| !self.root.join(lead).is_dir() || (lead.starts_with(top) && lead != top);
        let leads = leads.filter(counts).collect();
        Ok(Hashed { input: Input::with_digest(Kind::File { mode }, name, Digest::of(content)), leads, variables })
    }

    /// Where a path leads in the end, unless that is nowhere or outside the repository.
    pub(super) fn destination(&self, link: &Path) -> Option<PathBuf> {
        let real = fs::canonicalize(link).ok()?;
        real.strip_prefix(&self.real_root).ok().map(Path::to_path_buf)
    }

    /// Whether a path, its symlinks resolved, lies in the repository. What does not exist lies nowhere.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.destination(&self.root.join(path)).is_some()
    }
}

/// What lies at these paths of a repository at this moment, one input for each.
///
/// # Errors
/// When something is there and cannot be read; the message names it.
pub fn read_beyond(root: &Path, paths: &[PathBuf]) -> Result<Vec<Input>> {
    let trees = Forest::new(root)?.read(paths, &|_, _| false)?;
    let read = |(path, tree): (PathBuf, Tree)| {
        let digest = Digest::of_fields(tree.inputs.iter().map(ToString::to_string));
        Input::with_digest(Kind::Read, path.as_os_str().as_bytes(), digest)
    };
    Ok(trees.into_iter().map(read).collect())
}

/// What lies below a folder of a repository, whatever git says of it. `takes` is asked of each path below the folder, relative
/// to it, and for a folder whether it is looked into. What editors leave there is passed over.
///
/// # Errors
/// When something is there and cannot be read; the message names it.
pub fn read_folder(root: &Path, folder: &Path, takes: &dyn Fn(&Path, bool) -> bool) -> Result<Vec<Input>> {
    let forest = Forest::new(root)?;
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(inner) = pending.pop() {
        let at = folder.join(&inner);
        let Some(children) = unless_gone(fs::read_dir(root.join(&at))).with_context(|| cannot_read(&at))? else {
            continue;
        };
        for child in children {
            let child = child.with_context(|| cannot_read(&at))?;
            let (path, name) = (inner.join(child.file_name()), child.file_name());
            let file_type = child.file_type().with_context(|| cannot_read(&folder.join(&path)))?;
            if is_dropping(name.as_bytes()) || !takes(&path, file_type.is_dir()) {
                continue;
            }
            match file_type.is_dir() {
                true => pending.push(path),
                false => found.push(Found { tree: 0, path: folder.join(path), file_type }),
            }
        }
    }
    found.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    let hashed = forest.hash_all(&[folder.to_path_buf()], &found)?;
    Ok(hashed.into_iter().map(|(_, hashed)| hashed.input).collect())
}

/// Whether a folder says that everything in it can be made again.
pub fn is_tagged_cache(folder: &Path) -> bool {
    let mut start = [0; CACHE_TAG.len()];
    let tag = File::open(folder.join("CACHEDIR.TAG")).and_then(|mut tag| tag.read_exact(&mut start));
    tag.is_ok() && start == CACHE_TAG
}

/// Whether a name is that of what desktops and editors leave beside a file that is looked at or edited: Finder's, Vim's
/// backups, swap files and the one by which it tries whether it may write, Emacs's locks and copies.
fn is_dropping(name: &[u8]) -> bool {
    let is_swap = name.starts_with(b".") && name.len() > 5 && name[..name.len() - 1].ends_with(b".sw");
    let is_copy = name.len() > 2 && name.starts_with(b"#") && name.ends_with(b"#");
    [b".DS_Store".as_slice(), b"4913"].contains(&name)
        || name.ends_with(b"~")
        || name.starts_with(b".#")
        || is_swap
        || is_copy
}

fn counting_mode(metadata: &fs::Metadata) -> u16 {
    u16::try_from(metadata.permissions().mode() & OWNER_AND_SPECIAL_BITS).unwrap_or_default()
}

pub(super) fn hash_file(path: &Path, buffer: &mut [u8]) -> std::io::Result<(u16, Digest)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut hash = Sha256::new();
    let mut seen = 0;
    loop {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(length) => {
                hash.update(&buffer[..length]);
                seen += length as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // Asking small files for more than they have is a sixth of all that is asked of the system.
        if seen == metadata.len() {
            break;
        }
    }
    Ok((counting_mode(&metadata), Digest(hash.finalize())))
}

fn special(file_type: FileType) -> &'static str {
    if file_type.is_fifo() {
        "pipe"
    } else if file_type.is_socket() {
        "socket"
    } else {
        "device"
    }
}

/// Editors make and remove files all the time; what went away between being listed and being read is not there.
fn unless_gone<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read `{}`, which the build would see", printable(path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_leave_is_no_source() {
        for name in [".DS_Store", ".main.rs.swp", ".main.rs.swo", "main.rs~", ".#main.rs", "#main.rs#", "4913"] {
            assert!(is_dropping(name.as_bytes()), "{name}");
        }
        for name in ["main.rs", "film.swf", "swap", ".swp", "a.sw", "#", "##x", ".env", "DS_Store", "49130"] {
            assert!(!is_dropping(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn only_what_is_gone_is_passed_over() {
        let failure = |kind: ErrorKind| unless_gone(Err::<(), _>(kind.into()));
        assert!(matches!(failure(ErrorKind::NotFound), Ok(None)));
        assert!(failure(ErrorKind::PermissionDenied).is_err());
        assert!(failure(ErrorKind::NotADirectory).is_err());
    }
}
