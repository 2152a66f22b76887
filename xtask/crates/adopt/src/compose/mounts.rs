//! `volumes`, `tmpfs`, `configs` and `secrets` of a service.

use super::Reading;
use super::yaml::Node;
use crate::names::{file_of, unused, volume_of};
use crate::sketch::{Content, File, Place, Secret, SecretContent, SecretCopy, Service, Source};
use std::path::Path;

/// What the target of a folder begins with where programs store things.
const STORES: [&str; 4] = ["/var/lib/", "/data", "/bitnami", "/usr/share/elasticsearch/data"];

/// Folders of a machine in which nobody's programs store things: what is mounted from there is for reading or talking.
const OF_MACHINE: [&str; 9] = ["/dev", "/etc", "/lib", "/proc", "/run", "/sys", "/tmp", "/usr", "/var/run"];
const BEGINS_EMPTY: &str = "that is a volume here, and begins empty.";

/// One entry of `volumes`.
struct Mount {
    kind: String,
    source: Option<String>,
    at: String,
    read_only: bool,
}

impl Reading<'_> {
    pub(super) fn mounts(&mut self, service: &mut Service, node: &Node, folder: Option<&str>) {
        for mount in node.get("volumes").one_or_more() {
            match self.mount_of(mount) {
                Some(mount) => self.mount(service, &mount, folder),
                None => service.note(Place::Volumes, "A volume that is not understood is not carried over."),
            }
        }
        for text in node.get("tmpfs").one_or_more().iter().filter_map(Node::text) {
            let text = self.variables.plain(text);
            writable(service, text.split(':').next().unwrap_or_default());
        }
        for reference in node.get("configs").one_or_more() {
            self.config(service, reference);
        }
        for reference in node.get("secrets").one_or_more() {
            self.secret(service, reference);
        }
    }

    /// `[SOURCE:]TARGET[:MODE]`, or a table.
    fn mount_of(&self, node: &Node) -> Option<Mount> {
        if let Some(text) = node.text() {
            let text = self.variables.plain(text);
            let parts: Vec<&str> = text.split(':').collect();
            let (source, at, mode) = match parts[..] {
                [at] => (None, at, ""),
                [source, at] => (Some(source), at, ""),
                [source, at, mode] => (Some(source), at, mode),
                _ => return None,
            };
            let is_path = source.is_some_and(|source| source.starts_with(['.', '/', '~']));
            return Some(Mount {
                kind: if is_path { "bind" } else { "volume" }.to_owned(),
                source: source.map(str::to_owned),
                at: trimmed(at),
                read_only: mode.split(',').any(|flag| flag == "ro"),
            });
        }
        let text = |key: &str| node.get(key).text().map(|text| self.variables.plain(text));
        Some(Mount {
            kind: text("type").unwrap_or_else(|| "volume".to_owned()),
            source: text("source").or_else(|| text("src")),
            at: trimmed(&text("target").or_else(|| text("dst"))?),
            read_only: text("read_only").as_deref() == Some("true"),
        })
    }

    fn mount(&mut self, service: &mut Service, mount: &Mount, folder: Option<&str>) {
        let at = &mount.at;
        match (mount.kind.as_str(), &mount.source) {
            ("tmpfs", _) => writable(service, at),
            ("bind", Some(source)) => self.bind(service, mount, source, folder),
            ("volume", source) => {
                let within = folder.is_some_and(|folder| at.starts_with(&format!("{folder}/")));
                if source.is_none() && within {
                    let note =
                        format!("The volume without a name at `{at}` hid what a mount brought; the image has its own.");
                    return service.note(Place::Volumes, note);
                }
                if let Some(name) = source.as_ref().filter(|name| !self.volumes.insert((*name).clone())) {
                    let note = format!("`{name}` was shared with another service; here each has a volume of its own.");
                    service.note(Place::Volumes, note);
                }
                volume(service, source.as_deref().unwrap_or(at), at);
            }
            (kind, _) => {
                service.note(Place::Volumes, format!("The mount of type `{kind}` at `{at}` is not carried over."));
            }
        }
    }

    /// A file or folder of the machine that compose ran on.
    fn bind(&mut self, service: &mut Service, mount: &Mount, source: &str, folder: Option<&str>) {
        let at = &mount.at;
        let Some(path) = self.within(source) else {
            let note =
                format!("`{source}` at `{at}` is of the machine, not of this repository, so it is not carried over.");
            if mount.read_only || is_of_machine(source) {
                return service.note(Place::Files, note);
            }
            let note = format!("`{source}` of the machine held what the service stores at `{at}`; {BEGINS_EMPTY}");
            service.note(Place::Volumes, note);
            return volume(service, at, at);
        };
        let full = self.repository.root.join(&path);
        let context = match &service.source {
            Source::Dockerfile { folder, .. } => Some(if folder == "." { "" } else { folder }),
            Source::Image(_) => None,
        };
        let is_context = full.is_dir()
            && context.is_some_and(|context| within_folder(&path, context))
            && folder.is_some_and(|folder| within_folder(at, folder));
        if is_context || full.is_dir() && context.is_some() && folder == Some(at.as_str()) {
            let note =
                format!("`{source}` was mounted over `{at}` to see edits at once; the image has it from its build.");
            return service.note(Place::Files, note);
        }
        let stores = STORES.iter().any(|beginning| at.starts_with(beginning)) && !mount.read_only;
        if !full.exists() || full.is_dir() && (stores || is_empty(&full)) {
            let note = format!("`{source}` held what the service stores at `{at}`; {BEGINS_EMPTY}");
            service.note(Place::Volumes, note);
            return volume(service, at, at);
        }
        if !full.is_dir() && !full.is_file() {
            let note = format!("`{source}` at `{at}` is no file or folder, so it is not carried over.");
            return service.note(Place::Files, note);
        }
        // What git ignores is not the repository's, and neither is what a link leads to.
        let why = match keys::copied(self.repository.root, Path::new(&path)) {
            Ok(files) if files.is_empty() => Some("git ignores it".to_owned()),
            Ok(_) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(why) = why {
            return service.note(Place::Files, format!("`{source}` at `{at}` is not carried over: {why}."));
        }
        if !mount.read_only {
            service.note(Place::Files, format!("`{at}` could be written to before, and is read-only here."));
        }
        add(service, &path, Content::From(path.clone()), at);
    }

    fn config(&mut self, service: &mut Service, reference: &Node) {
        let text = |key: &str| reference.get(key).text().map(|text| self.variables.plain(text));
        let Some(name) = reference.text().map(str::to_owned).or_else(|| text("source")) else { return };
        let at = text("target").unwrap_or_else(|| format!("/{name}"));
        let declared = self.top.get("configs").get(&name).clone();
        let content =
            match (declared.get("file").text(), declared.get("content").text(), declared.get("environment").text()) {
                (Some(file), ..) => self.within(&self.variables.plain(file)).map(Content::From),
                (_, Some(text), _) => Some(Content::Text(self.variables.template(text))),
                (.., Some(variable)) => self.variables.given(variable).map(Content::Text),
                _ => None,
            };
        match content {
            Some(content) => add(service, &name, content, &at),
            None => service.note(Place::Files, format!("The config `{name}` at `{at}` is not in this repository.")),
        }
    }

    fn secret(&mut self, service: &mut Service, reference: &Node) {
        let text = |key: &str| reference.get(key).text().map(|text| self.variables.plain(text));
        let Some(name) = reference.text().map(str::to_owned).or_else(|| text("source")) else { return };
        let target = text("target").unwrap_or_else(|| name.clone());
        let at = if target.starts_with('/') { target } else { format!("/run/secrets/{target}") };
        let word = self.declared(service, &name);
        add(service, &at, Content::Text(format!("${{secret.{word}}}")), &at);
    }

    /// The secrets that instructions of its Dockerfile mount.
    pub(super) fn build_secrets(&mut self, service: &mut Service, build: &Node) {
        for reference in build.get("secrets").one_or_more() {
            let text = |key: &str| reference.get(key).text().map(|text| self.variables.plain(text));
            let id = text("target").or_else(|| text("id"));
            let Some(name) = reference.text().map(str::to_owned).or_else(|| text("source")) else { continue };
            let word = self.declared(service, &name);
            if id.as_ref().is_some_and(|id| *id != word) {
                let note =
                    format!("Its Dockerfile has the secret `{word}` under another id, which has to be this name.");
                service.note(Place::Source, note);
            }
            service.build_secrets.push(word);
        }
    }

    /// The name of a secret of the whole file, which the system has from now on.
    fn declared(&mut self, service: &mut Service, name: &str) -> String {
        let declared = self.top.get("secrets").get(name).clone();
        let kept = format!("{}/{}", self.sketch.name, file_of(name));
        let secret = match (declared.get("file").text(), declared.get("environment").text()) {
            (Some(file), _) => {
                let from = self.variables.plain(file);
                let path = self.within(&from).map(|path| self.repository.root.join(path));
                let copy = path.filter(|path| path.is_file());
                let copy = copy.map(|path| SecretCopy { content: SecretContent::File(path), to: kept.clone() });
                if copy.is_none() {
                    service.note(
                        Place::Files,
                        format!("`{from}`, the secret `{name}`, is not there: write it to `deploy/secrets/{kept}`."),
                    );
                }
                self.sketch.copies.extend(copy);
                Secret::File(kept)
            }
            (None, Some(variable)) => Secret::Env(variable.to_owned()),
            (None, None) => {
                service.note(
                    Place::Files,
                    format!("The secret `{name}` was kept elsewhere: write it to `deploy/secrets/{kept}`."),
                );
                Secret::File(kept)
            }
        };
        let word = file_of(name).replace('.', "-");
        self.sketch.secrets.insert(word.clone(), secret);
        word
    }
}

fn is_of_machine(path: &str) -> bool {
    OF_MACHINE.iter().any(|folder| within_folder(path, folder)) || path.ends_with(".sock") || path == "/"
}

fn trimmed(path: &str) -> String {
    if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path.to_owned() }
}

/// Whether a path is a folder or in it; everything is in the empty one.
fn within_folder(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_empty(folder: &std::path::Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The folder that is a volume by itself, wherever it is named.
const DATA: &str = "/data";

/// Has it write to a folder in memory, unless that is one that is kept.
pub(crate) fn writable(service: &mut Service, at: &str) {
    if at == DATA {
        return volume(service, "data", at);
    }
    let known = service.container.volumes.values().chain(&service.container.writable).any(|path| path == at);
    if at.starts_with('/') && !known {
        service.container.writable.push(at.to_owned());
    }
}

pub(crate) fn volume(service: &mut Service, name: &str, at: &str) {
    let volumes = &mut service.container.volumes;
    if volumes.values().any(|other| other == at) {
        return;
    }
    // A path is called as its last folder is.
    let name = volume_of(name.trim_end_matches('/').rsplit('/').next().unwrap_or(name));
    let name = unused(&name, |name| volumes.contains_key(name));
    volumes.insert(name, at.to_owned());
}

fn add(service: &mut Service, name: &str, content: Content, at: &str) {
    let name = unused(&file_of(name), |name| service.files.contains_key(name));
    service.files.insert(name, File { content, at: at.to_owned() });
}
