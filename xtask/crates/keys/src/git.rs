//! What git would not add to a commit: what it is told to ignore (git-scm.com/docs/gitignore), unless it was added before.
//!
//! Read here rather than asked of git, since a command that has nothing to do runs no program. What a person has git ignore
//! everywhere does not count, so that the key is the same for all. Where git is not, nothing is ignored.

use super::patterns;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The working tree of git's that the repository is, or is in.
pub(super) struct Git {
    top: PathBuf,
    /// The repository within it.
    prefix: PathBuf,
    index: PathBuf,
    exclude: Rc<Vec<Rule>>,
    /// Of each folder that was asked about.
    rules: RefCell<HashMap<PathBuf, Rc<Vec<Rule>>>>,
    /// What was added; `None` where the index cannot be understood.
    added: OnceCell<Option<BTreeSet<Vec<u8>>>>,
}

impl Git {
    pub(super) fn around(root: &Path) -> Option<Self> {
        let top = root.ancestors().find(|folder| folder.join(".git").exists())?;
        // A linked working tree has a file that names its own folder, and in it another that names the one for all.
        let named = |file: PathBuf| fs::read_to_string(file).ok();
        let own = top.join(".git");
        let own = named(own.clone()).map_or(own, |text| top.join(text.trim_start_matches("gitdir:").trim()));
        let common = named(own.join("commondir")).map_or_else(|| own.clone(), |text| own.join(text.trim()));
        Some(Self {
            top: top.to_path_buf(),
            prefix: root.strip_prefix(top).ok()?.to_path_buf(),
            index: own.join("index"),
            exclude: Rc::new(rules(&common.join("info/exclude"))),
            rules: RefCell::default(),
            added: OnceCell::new(),
        })
    }

    /// Whether a path of the repository is ignored by itself, whatever holds for the folders that it is in.
    pub(super) fn ignores(&self, path: &Path, is_folder: bool) -> bool {
        let path = self.prefix.join(path);
        let last_word = |folder: &Path, rules: &[Rule]| {
            let from_there = path.strip_prefix(folder).ok()?.as_os_str().as_bytes();
            let rule = rules.iter().rev().find(|rule| rule.is_about(from_there, is_folder))?;
            Some(!rule.is_exception)
        };
        let mut levels = path.ancestors().skip(1);
        let said = levels.find_map(|folder| last_word(folder, &self.rules_in(folder)));
        said.or_else(|| last_word(Path::new(""), &self.exclude)).unwrap_or(false)
    }

    /// Whether a path, or something in it, was added to git in spite of all.
    pub(super) fn has(&self, path: &Path, is_folder: bool) -> bool {
        let read = || match fs::read(&self.index) {
            Ok(index) => added(&index),
            Err(_) => Some(BTreeSet::new()),
        };
        let Some(added) = self.added.get_or_init(read) else { return true };
        let mut name = self.prefix.join(path).as_os_str().as_bytes().to_vec();
        if !is_folder {
            return added.contains(&name);
        }
        name.push(b'/');
        added.range(name.clone()..).next().is_some_and(|first| first.starts_with(&name))
    }

    fn rules_in(&self, folder: &Path) -> Rc<Vec<Rule>> {
        if let Some(known) = self.rules.borrow().get(folder) {
            return Rc::clone(known);
        }
        let read = Rc::new(rules(&self.top.join(folder).join(".gitignore")));
        self.rules.borrow_mut().insert(folder.to_path_buf(), Rc::clone(&read));
        read
    }
}

/// A line of a file of patterns.
struct Rule {
    pattern: Vec<u8>,
    /// Whether it is about paths from its file's folder, and not about names anywhere below.
    is_path: bool,
    is_for_folders: bool,
    is_exception: bool,
}

impl Rule {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut line = line.strip_suffix(b"\r").unwrap_or(line);
        while line.ends_with(b" ") && !line.ends_with(b"\\ ") {
            line = &line[..line.len() - 1];
        }
        let line = Some(line).filter(|line| !line.starts_with(b"#"))?;
        let rest = line.strip_prefix(b"!").unwrap_or(line);
        let plain = rest.strip_suffix(b"/").unwrap_or(rest);
        let pattern = plain.strip_prefix(b"/").unwrap_or(plain);
        (!pattern.is_empty()).then(|| Self {
            pattern: pattern.to_vec(),
            is_path: plain.contains(&b'/'),
            is_for_folders: plain.len() < rest.len(),
            is_exception: rest.len() < line.len(),
        })
    }

    fn is_about(&self, path: &[u8], is_folder: bool) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        (is_folder || !self.is_for_folders) && patterns::matches(&self.pattern, if self.is_path { path } else { name })
    }
}

fn rules(file: &Path) -> Vec<Rule> {
    let text = fs::read(file).unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(Rule::parse).collect()
}

/// The names in an index (git-scm.com/docs/index-format).
fn added(index: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let number = |at: usize| Some(u32::from_be_bytes(index.get(at..at + 4)?.try_into().ok()?));
    let version = Some(number(4)?).filter(|version| index.starts_with(b"DIRC") && (2..=4).contains(version))?;
    let (mut names, mut name, mut at) = (BTreeSet::new(), Vec::new(), 12);
    for _ in 0..number(8)? {
        let start = at;
        let has_more_flags = version > 2 && number(start + 58)? & 0x4000 != 0;
        at += if has_more_flags { 64 } else { 62 };
        let mut dropped = name.len();
        if version == 4 {
            // How much of the name before goes, seven bits at a time.
            dropped = 0;
            loop {
                let byte = *index.get(at)?;
                (at, dropped) = (at + 1, dropped << 7 | usize::from(byte & 0x7f));
                if byte & 0x80 == 0 {
                    break;
                }
                dropped += 1;
            }
        }
        name.truncate(name.len().checked_sub(dropped)?);
        let length = index.get(at..)?.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(&index[at..at + length]);
        at += length;
        at = if version == 4 { at + 1 } else { start + ((at - start + 8) & !7) };
        names.insert(name.clone());
    }
    Some(names)
}
