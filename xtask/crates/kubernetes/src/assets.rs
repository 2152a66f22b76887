//! What a service is given beside plain texts: files at a path or with a mode, and copies of what lies in the repository.
//! What is no secret is in a ConfigMap that is named after its content and never changes. It is made beside the chart,
//! since every release that is kept would hold all of it once more.

use super::Kubernetes;
use super::names::SERVICE;
use super::prerequisites::{CONFIG_MAP, make_object};
use super::release_spec::WorkloadSpec;
use anyhow::Result;
use base::base64;
use base::error::Fault;
use base::files;
use keys::Digest;
use kube::path;
use model::asset::{Asset, Content, Mode};
use model::name::SystemName;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The values of what a service is given beside plain texts; `None` where that is nothing.
pub(super) fn values(part: &WorkloadSpec, secret: Option<&str>, has_user: bool) -> Option<Value> {
    let mut beside = Sources::default();
    let mut mounts = Vec::new();
    for (name, asset) in assets(part) {
        let sources = sources(part, name, asset, has_user);
        match &asset.at {
            None => beside.extend(sources),
            Some(at) => mounts.push(json!({"path": at, "name": name, "sources": sources.named(part, secret)})),
        }
    }
    let mut values = json!({"mounts": mounts, "sources": beside.named(part, secret)});
    let is_nothing = values["mounts"] == json!([]) && values["sources"] == json!([]);
    if let Some(name) = name(part) {
        values["configMap"] = json!(name);
    }
    (!is_nothing).then_some(values)
}

fn assets(part: &WorkloadSpec) -> impl Iterator<Item = (&String, &Asset)> {
    part.service.files.iter().filter(|(_, asset)| !asset.is_plain())
}

/// What a projected volume is made of, each with its key, its path and its mode.
#[derive(Default)]
struct Sources {
    config_map: Vec<Value>,
    secret: Vec<Value>,
}

impl Sources {
    fn extend(&mut self, other: Self) {
        self.config_map.extend(other.config_map);
        self.secret.extend(other.secret);
    }

    fn named(self, part: &WorkloadSpec, secret: Option<&str>) -> Vec<Value> {
        let secret = secret.map(str::to_owned);
        let all = [("configMap", name(part), self.config_map), ("secret", secret, self.secret)];
        // Before its Secret is made, its name is not known.
        let some = all.into_iter().filter_map(|(kind, name, items)| Some((kind, name?, items)));
        some.filter(|(_, _, items)| !items.is_empty())
            .map(|(kind, name, items)| json!({"kind": kind, "name": name, "items": items}))
            .collect()
    }
}

fn sources(part: &WorkloadSpec, name: &str, asset: &Asset, has_user: bool) -> Sources {
    let mut sources = Sources::default();
    let item = |key: String, path: &str, mode: Mode| json!({"key": key, "path": path, "mode": mode.0});
    match &asset.content {
        Content::Text(_) => {
            // As a plain text has it: its group is the one of the program, where that is known.
            let private = Mode(if has_user { 0o440 } else { 0o444 });
            let mode = asset.mode.map_or(private, Mode::for_others);
            match part.secret_files.contains_key(name) {
                true => sources.secret.push(item(format!("file.{name}"), name, mode)),
                false => sources.config_map.push(item(name.to_owned(), name, mode)),
            }
        }
        Content::Copy(copy) => {
            for (path, file) in &copy.files {
                let below = if path.is_empty() { name.to_owned() } else { format!("{name}/{path}") };
                let mode = asset.mode_of(file.executable).for_others();
                sources.config_map.push(item(key(name, path, &file.digest), &below, mode));
            }
        }
    }
    sources
}

/// What a file is called in the ConfigMap, which takes no path.
fn key(name: &str, path: &str, digest: &Digest) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{name}.{digest:.16}") }
}

/// What is in the ConfigMap, by its keys: a text, or a digest and where the file is.
enum Entry<'p> {
    Text(&'p str),
    File(&'p Digest, std::path::PathBuf),
}

fn entries(part: &WorkloadSpec) -> BTreeMap<String, Entry<'_>> {
    let mut entries = BTreeMap::new();
    for (name, asset) in assets(part) {
        match &asset.content {
            Content::Text(_) => {
                if let Some(text) = part.placed.get(name) {
                    entries.insert(name.clone(), Entry::Text(text));
                }
            }
            Content::Copy(copy) => {
                for (path, file) in &copy.files {
                    let source = copy.source(Path::new(""), path);
                    entries.insert(key(name, path, &file.digest), Entry::File(&file.digest, source));
                }
            }
        }
    }
    entries
}

/// The name of the ConfigMap of a service, where it has one.
pub(super) fn name(part: &WorkloadSpec) -> Option<String> {
    let digest = |(key, entry): (String, Entry<'_>)| match entry {
        Entry::Text(text) => format!("{key} {}", Digest::of(text)),
        Entry::File(digest, _) => format!("{key} {digest}"),
    };
    let all: Vec<String> = entries(part).into_iter().map(digest).collect();
    (!all.is_empty()).then(|| format!("{}-assets-{:.10}", part.service.name, Digest::of(all.join("\n"))))
}

/// The ConfigMap of a service, where it has one. `root` is the repository.
///
/// # Errors
/// When a file is not any more what it was when this was planned.
pub(super) fn config_map(part: &WorkloadSpec, root: &Path) -> Result<Option<Value>> {
    let Some(name) = name(part) else { return Ok(None) };
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, entry) in entries(part) {
        match entry {
            Entry::Text(text) => drop(data.insert(key, json!(text))),
            Entry::File(digest, source) => {
                let content = files::read(&root.join(&source))?.filter(|content| Digest::of(content) == *digest);
                let content = content.ok_or_else(|| {
                    let cause = format!("`{}` is not what it was when this was planned", source.display());
                    Fault::failed("file-changed", cause).hint("run it again")
                })?;
                match String::from_utf8(content) {
                    Ok(text) => drop(data.insert(key, json!(text))),
                    Err(bytes) => drop(binary.insert(key, json!(base64::encode(bytes.as_bytes())))),
                }
            }
        }
    }
    let mut object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
        "metadata": {"name": name, "labels": {SERVICE: part.service.name.as_str()}},
    });
    for (key, map) in [("data", data), ("binaryData", binary)] {
        if !map.is_empty() {
            object[key] = map.into();
        }
    }
    Ok(Some(object))
}

/// Makes the ConfigMaps of a system's services in its namespace, as far as they are not there.
///
/// # Errors
/// When the cluster refuses, and those of [`config_map`].
pub(super) fn make(core: &Kubernetes, system: &SystemName, parts: &[WorkloadSpec]) -> Result<()> {
    for part in parts {
        if let Some(object) = config_map(part, &core.deployment.root)? {
            make_object(core, system, CONFIG_MAP, path::CONFIG_MAP, &object)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release_spec::parts;
    use model::system::TargetKind;

    fn root(name: &str) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("slipway-config-maps-{name}-{}", std::process::id()));
        files::remove(&root).unwrap();
        root
    }

    /// A service of this repository with these files.
    fn part(assets: &[(&str, Value)]) -> WorkloadSpec {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let environment = model::environment(repository, "cluster", &[]).unwrap();
        let mut spec = model::load(repository).unwrap();
        let system = spec.systems.iter_mut().find(|known| known.name.as_str() == "epoch").unwrap();
        for (name, asset) in assets {
            system.services[0].files.insert((*name).to_owned(), Asset::from_json(asset).unwrap());
        }
        parts(system, &environment, TargetKind::Kubernetes).unwrap().remove(0)
    }

    fn file(content: &[u8]) -> Value {
        json!({"digest": Digest::of(content).to_string(), "size": content.len(), "executable": false})
    }

    #[test]
    fn a_config_map_is_named_after_what_is_in_it() {
        let root = root("content");
        files::write_private(&root.join("site/a/b"), b"text").unwrap();
        files::write_private(&root.join("site/c"), &[0xff, 0]).unwrap();
        let site = json!({"from": "site", "files": {"a/b": file(b"text"), "c": file(&[0xff, 0])}, "at": "/srv"});
        let note = json!({"text": "port ${port}", "at": "/etc/note"});
        let asset = part(&[("site", site.clone()), ("note", note)]);
        let object = config_map(&asset, &root).unwrap().unwrap();
        assert_eq!((&object["metadata"]["name"], &object["immutable"]), (&json!(name(&asset)), &json!(true)));
        let key = |content: &[u8]| format!("site.{:.16}", Digest::of(content));
        assert_eq!(object["data"], json!({"note": "port 1337", key(b"text"): "text"}));
        assert_eq!(object["binaryData"], json!({key(&[0xff, 0]): "/wA="}));
        // Where it is and who may read it is not in it.
        let moved = part(&[("site", json!({"from": "site", "files": site["files"], "mode": "0400"}))]);
        let alone = part(&[("site", site)]);
        assert_eq!(name(&moved), name(&alone));
        assert_ne!(name(&alone), name(&asset));
        files::write_private(&root.join("site/c"), b"other").unwrap();
        assert!(config_map(&asset, &root).unwrap_err().to_string().contains("`site/c` is not what it was"));
        files::remove(&root).unwrap();
    }

    #[test]
    fn plain_texts_are_as_they_were() {
        let plain = part(&[("a", json!("x")), ("b", json!("${port}"))]);
        assert_eq!((values(&plain, None, true), name(&plain)), (None, None));
        assert_eq!(plain.files.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}
