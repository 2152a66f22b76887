//! Reads `[services.NAME.files]`: what files and folders a service is given.

use super::asset::{Asset, Content, CopiedFile, Copy};
use super::container::{Container, FILES};
use super::container_file::check_folder;
use super::decode::{At, Table, Value};
use super::error::quoted;
use super::grammar::check_file_name;
use super::service_file::{PlacedTemplate, Role, read_template};
use super::system::Template;
use std::collections::BTreeMap;
use std::path::Path;

/// Where something is said of a file, for what is checked later.
pub(super) type AssetAt<'d> = (String, At<'d>);

pub(super) fn read<'d>(
    table: &Table<'d>,
    root: &Path,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> (BTreeMap<String, Asset>, Vec<AssetAt<'d>>) {
    let entries = table.optional("files").and_then(|value| value.entries());
    let mut files = BTreeMap::new();
    let mut places = Vec::new();
    for (name, value) in entries.into_iter().flatten() {
        if let Err(message) = check_file_name(name) {
            value.report(message);
        }
        places.push((name.to_owned(), value.at.clone()));
        // One that is broken is there all the same for those that refer to it.
        let asset = read_one(value, root, templates).unwrap_or_else(|| Template(Vec::new()).into());
        files.insert(name.to_owned(), asset);
    }
    (files, places)
}

fn read_one<'d>(value: Value<'d>, root: &Path, templates: &mut Vec<PlacedTemplate<'d>>) -> Option<Asset> {
    if !value.is_table() && !value.is_text() {
        value.report("expected a text, or a table with `from` or `text`");
        return None;
    }
    if value.is_text() {
        return read_template(value, Role::File, templates).map(Asset::from);
    }
    value.table(|table| {
        let content = match (table.optional("from"), table.optional("text")) {
            (Some(from), None) => read_copy(&from, root).map(Content::Copy),
            (None, Some(text)) => read_template(text, Role::File, templates).map(Content::Text),
            (Some(_), Some(text)) => {
                text.report("a file has `from` or `text`, not both");
                None
            }
            (None, None) => {
                table.missing("key `from` (a file or folder of this repository) or `text`");
                None
            }
        };
        let at = table.optional("at").and_then(|value| value.checked(&check_at));
        let mode = table.optional("mode").and_then(|value| value.parse());
        Some(Asset { content: content?, at, mode })
    })?
}

/// The files there as they are now.
fn read_copy(value: &Value<'_>, root: &Path) -> Option<Copy> {
    let from = value.checked(&check_from)?;
    let copied = match keys::copied(root, Path::new(&from)) {
        Ok(copied) => copied,
        Err(error) => {
            value.report(format!("{error:#}"));
            return None;
        }
    };
    if copied.is_empty() {
        value.report(format!("{} holds no file that git would add", quoted(&from)));
    }
    let mut files = BTreeMap::new();
    for file in copied {
        let Some(path) = file.path.to_str().filter(|path| !path.contains(char::is_control)) else {
            value.report(format!("{} is not a name in UTF-8 on one line", quoted(&file.path.to_string_lossy())));
            continue;
        };
        let kept = CopiedFile { digest: file.digest, size: file.size, executable: file.executable };
        files.insert(path.to_owned(), kept);
    }
    Some(Copy { from, files })
}

/// A path below the root.
fn check_from(text: &str) -> Result<(), String> {
    if is_below(text) {
        Ok(())
    } else {
        Err(format!("{} is not a path below the root such as `proxy/nginx.conf`", quoted(text)))
    }
}

fn check_at(text: &str) -> Result<(), String> {
    let plain = !text.contains([',', ':', '\n', '\0']);
    if check_folder(text).is_ok() || is_below(text) && plain {
        return Ok(());
    }
    Err(format!(
        "{} is not a path such as `/etc/app/app.toml`, or `config/app.toml` for the target `host`",
        quoted(text)
    ))
}

fn is_below(text: &str) -> bool {
    text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Reports files of a service that are in the way of each other, or of what else its container has. What is given is
/// read-only, so nothing can be mounted within it.
pub(super) fn check(
    files: &BTreeMap<String, Asset>,
    places: &[AssetAt<'_>],
    container: &Container,
    data: Option<&str>,
) {
    let others = container.writable.iter().map(|path| (path.as_str(), "one of its `writable` folders"));
    let others: Vec<(&str, &str)> = others
        .chain(data.map(|data| (data, "where its `${data}` is")))
        .chain([(FILES, "where its other files are")])
        .collect();
    for (index, (name, at)) in places.iter().enumerate() {
        let Some(path) = files.get(name).and_then(|asset| asset.at.as_deref()) else { continue };
        for (other, what) in &others {
            if holds(path, other) || *other == FILES && holds(FILES, path) {
                at.report(format!("{} is in the way of {}, {what}", quoted(path), quoted(other)));
            }
        }
        for (earlier, _) in &places[..index] {
            let Some(other) = files.get(earlier).and_then(|asset| asset.at.as_deref()) else { continue };
            if holds(path, other) || holds(other, path) {
                at.report(format!("{} is in the way of {}, where `{earlier}` is", quoted(path), quoted(other)));
            }
        }
    }
}

/// Whether a path is another, or a folder that it is in.
fn holds(path: &str, other: &str) -> bool {
    other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_nowhere_else() {
        for text in ["proxy/nginx.conf", "a", "..a/b"] {
            assert!(check_from(text).is_ok() && check_at(text).is_ok(), "{text}");
        }
        assert!(check_at("/etc/nginx/conf.d/default.conf").is_ok());
        for text in ["", "/", "../a", "a/../b", "a//b", "a/", "./a", "/a/", "/a/../b"] {
            assert!(check_from(text).is_err() && check_at(text).is_err(), "{text}");
        }
        assert!(check_from("/etc/passwd").is_err() && check_at("/a:ro").is_err());
    }
}
