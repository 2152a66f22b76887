//! Random folders: two of them have the same key exactly when they are equal.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A deterministic source of choices (xorshift64*), so that a failing round fails again.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        mixed as usize % limit
    }

    fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File { content: Vec<u8>, executable: bool },
    Link { target: String },
}

/// What git would keep of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    nodes: BTreeMap<String, Node>,
}

const FOLDERS: [&str; 6] = ["", "a/", "a/b/", "ab/", "a b/", ".hidden/"];
const NAMES: [&str; 9] = ["x", "xy", "y", "mod.rs", "x.y", "%41", "line\nbreak", ".env", "naïve"];
const CONTENTS: [&str; 7] = ["", "x", "y", "xy", "x\n", "../a", "content"];
const TARGETS: [&str; 6] = ["x", "y", "../a", "../a/x", "mod.rs", "/nowhere"];

impl Model {
    pub(crate) fn random(chance: &mut Chance) -> Self {
        let mut model = Self { nodes: BTreeMap::new() };
        for _ in 0..2 + chance.below(12) {
            let (path, node) = (path(chance), node(chance));
            model.nodes.insert(path, node);
        }
        model
    }

    /// Makes one change, and says which. It may happen to be none: a file swapped with its equal.
    pub(crate) fn mutate(&mut self, chance: &mut Chance) -> String {
        let paths: Vec<String> = self.nodes.keys().cloned().collect();
        let one = paths[chance.below(paths.len())].clone();
        let two = paths[chance.below(paths.len())].clone();
        let elsewhere = path(chance);
        match chance.below(8) {
            0 => {
                self.nodes.insert(elsewhere.clone(), node(chance));
                format!("put something at {elsewhere:?}")
            }
            1 => {
                self.nodes.remove(&one);
                format!("removed {one:?}")
            }
            2 => {
                if let Some(node) = self.nodes.remove(&one) {
                    self.nodes.insert(elsewhere.clone(), node);
                }
                format!("moved {one:?} to {elsewhere:?}")
            }
            3 => {
                let (first, second) = (self.nodes[&one].clone(), self.nodes[&two].clone());
                self.nodes.insert(one.clone(), second);
                self.nodes.insert(two.clone(), first);
                format!("swapped {one:?} and {two:?}")
            }
            4 => {
                self.nodes.insert(one.clone(), node(chance));
                format!("replaced {one:?}")
            }
            5 => self.shift_a_byte(&one),
            _ => {
                match self.nodes.get_mut(&one) {
                    Some(Node::File { content, executable }) => match chance.below(3) {
                        0 => *executable = !*executable,
                        1 => content.push(b'!'),
                        _ => content.truncate(content.len() / 2),
                    },
                    Some(Node::Link { target }) => chance.pick(&TARGETS).clone_into(target),
                    None => {}
                }
                format!("edited {one:?}")
            }
        }
    }

    /// Moves the last byte of a file's name to the front of its content.
    fn shift_a_byte(&mut self, path: &str) -> String {
        let mut shorter = path.to_owned();
        let last = shorter.pop();
        let usable = !shorter.is_empty() && !shorter.ends_with(['/', '.']) && !self.nodes.contains_key(&shorter);
        if let (Some(last), true, Some(Node::File { content, .. })) = (last, usable, self.nodes.get_mut(path)) {
            content.splice(0..0, last.to_string().into_bytes());
            if let Some(node) = self.nodes.remove(path) {
                self.nodes.insert(shorter, node);
            }
        }
        format!("shifted a byte from the name of {path:?} to its content")
    }

    /// Makes `folder` hold the model and nothing else, with what must not matter left to chance: order, times, and the
    /// bits that an umask decides.
    pub(crate) fn write(&self, folder: &Path, chance: &mut Chance) {
        if folder.exists() {
            fs::remove_dir_all(folder).unwrap();
        }
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        chance.shuffle(&mut nodes);
        for (path, node) in nodes {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match node {
                Node::Link { target } => symlink(target, &path).unwrap(),
                Node::File { content, executable } => {
                    fs::write(&path, content).unwrap();
                    let owner = if *executable { 0o700 } else { 0o600 };
                    let mode = owner | chance.below(0o100) as u32;
                    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(chance.below(2_000_000_000) as u64);
                    fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
        }
    }
}

fn path(chance: &mut Chance) -> String {
    format!("{}{}", chance.pick(&FOLDERS), chance.pick(&NAMES))
}

fn node(chance: &mut Chance) -> Node {
    match chance.below(4) {
        0 => Node::Link { target: chance.pick(&TARGETS).to_owned() },
        _ => Node::File { content: chance.pick(&CONTENTS).as_bytes().to_vec(), executable: chance.below(3) == 0 },
    }
}
