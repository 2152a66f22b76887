//! `deploy/images.toml`, and `images.local.toml` beside it: a mirror, or digests of one's own, which win by name.

use super::decode::{Document, Value};
use super::error::{Sink, SpecErrors, find};
use super::image::{ImagePin, ImagePins};
use super::source;
use std::path::Path;

/// The public images.
pub const IMAGES: &str = "deploy/images.toml";
/// Untracked, with the same grammar.
pub const LOCAL_IMAGES: &str = "deploy/images.local.toml";

/// The pins as `deploy/images.toml` has them, in the order of their names; nobody's own settings count.
///
/// # Errors
/// All that is wrong with that file.
pub fn public_images(root: &Path) -> Result<ImagePins, SpecErrors> {
    let sink = Sink::default();
    let images = read_public(root, &sink).0;
    sink.finish(Some(images))
}

/// The pins that take effect, and all names there are; no names where the file with them cannot be parsed.
pub(super) fn read(root: &Path, sink: &Sink) -> (ImagePins, Option<Vec<String>>) {
    let (mut images, names) = read_public(root, sink);
    for (name, pin) in read_local(root, names.as_deref(), sink) {
        images.insert(name, pin);
    }
    (images, names)
}

fn read_public(root: &Path, sink: &Sink) -> (ImagePins, Option<Vec<String>>) {
    let Some(source) = source::read_optional(root, IMAGES, sink) else {
        return (ImagePins::new(), Some(Vec::new()));
    };
    let Some(document) = Document::parse(&source.path, &source.text, sink) else {
        return (ImagePins::new(), None);
    };
    let entries = document.root(sink).entries().unwrap_or_default();
    let names = entries.iter().map(|(name, _)| (*name).to_owned()).collect();
    (entries.iter().filter_map(pin).collect(), Some(names))
}

fn read_local(root: &Path, known: Option<&[String]>, sink: &Sink) -> ImagePins {
    let Some(source) = source::read_optional(root, LOCAL_IMAGES, sink) else { return ImagePins::new() };
    let Some(document) = Document::parse(&source.path, &source.text, sink) else { return ImagePins::new() };
    let entries = document.root(sink).entries().unwrap_or_default();
    for (name, value) in &entries {
        let known = known.map(|known| known.iter().map(String::as_str));
        if let Some(Err(message)) = known.map(|known| find(name, "image", "valid names", known)) {
            value.report(format!("{message}; they are those of `{IMAGES}`"));
        }
    }
    entries.iter().filter_map(pin).collect()
}

fn pin((name, value): &(&str, Value<'_>)) -> Option<(String, ImagePin)> {
    Some(((*name).to_owned(), value.parse()?))
}
