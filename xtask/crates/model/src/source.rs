//! The spec's files as text.

use super::error::{Place, Sink};
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;

/// More than any hand-written file needs; what is larger got here by mistake.
const LARGEST: u64 = 1024 * 1024;

/// One file of the spec.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A whole file, named so in errors.
pub(super) fn file(path: &str) -> Place {
    let path = path.to_owned();
    Place::File { path, line: None }
}

/// Reads a file that need not be there; anything else in the way is reported.
pub(super) fn read_optional(root: &Path, path: &str, sink: &Sink) -> Option<Source> {
    match read_bytes(&root.join(path)) {
        Ok(bytes) => decode(path, bytes, sink),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            sink.report(file(path), format!("cannot be read: {error}"));
            None
        }
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    // Asked first, since opening a pipe would wait for its writer.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(Error::other("is a folder"));
    }
    if !metadata.is_file() {
        return Err(Error::other("is not a file"));
    }
    if metadata.len() > LARGEST {
        return Err(Error::other("is larger than 1 MiB"));
    }
    fs::read(path)
}

fn decode(path: &str, bytes: Vec<u8>, sink: &Sink) -> Option<Source> {
    let path = path.to_owned();
    match String::from_utf8(bytes) {
        Ok(text) => Some(Source { path, text }),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let before = error.as_bytes().iter().take(valid);
            let line = Some(1 + before.filter(|byte| **byte == b'\n').count());
            sink.report(Place::File { path, line }, "not UTF-8 from here");
            None
        }
    }
}

/// The stems of the TOML files in a folder, sorted. Hidden files are an editor's.
pub(super) fn stems(root: &Path, folder: &str, sink: &Sink) -> Option<Vec<String>> {
    let names = fs::read_dir(root.join(folder)).and_then(|entries| {
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<Result<Vec<String>, Error>>()
    });
    let refuse = |error| sink.report(file(folder), format!("cannot be read: {error}"));
    let names = names.map_err(refuse).ok()?;
    let visible = names.iter().filter(|name| !name.starts_with('.'));
    let mut stems: Vec<String> = visible.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned)).collect();
    stems.sort();
    Some(stems)
}
