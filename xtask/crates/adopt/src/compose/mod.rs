//! From a compose file.
//!
//! Source of the grammar: <https://docs.docker.com/reference/compose-file/>.

mod health;
mod jobs;
mod left;
mod mentions;
mod mounts;
mod needs;
mod ports;
mod service;
mod source;
mod variables;
mod yaml;

pub(crate) use health::Health;
pub(crate) use mounts::{volume, writable};
pub(crate) use service::own_folder;

use self::variables::Variables;
use self::yaml::Node;
use crate::look::Looked;
use crate::names::{name_of, unused};
use crate::sketch::{Content, Place, Service, Sketch, Source, WORKER};
use crate::{Repository, listens};
use anyhow::Result;
use base::error::Fault;
use model::image::ImagePin;
use model::name::{ServiceName, SystemName};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path};

/// The names that compose looks for in a folder, the best first.
pub const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// What is added to a compose file where it is there.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml", "docker-compose.override.yml"];
/// What a service cannot be called, as what templates and checks mean by these is something else.
const RESERVED: [&str; 7] = ["file", "git", "port", "secret", "outside", "other-services", "public-url"];
/// What a cluster takes of the files of a service, in bytes.
const CLUSTER_TAKES: u64 = 1 << 20;
/// A larger file is nothing that tells where a service listens.
const LARGEST: u64 = 1 << 16;

/// What an image says of itself, where somebody can tell.
pub type Look<'a> = &'a dyn Fn(&ImagePin) -> Option<Looked>;

/// A compose file that is being read.
pub(crate) struct Reading<'a> {
    repository: &'a Repository<'a>,
    look: Look<'a>,
    /// Where the file is, from the root.
    folder: String,
    variables: Variables,
    /// The whole file.
    top: Node,
    sketch: Sketch,
    /// What services are called here, by their names in the file.
    names: BTreeMap<String, ServiceName>,
    /// The volumes that some service has.
    volumes: BTreeSet<String>,
}

/// The system of the compose file at `path`, from the root.
///
/// # Errors
/// When it cannot be read, or is no compose file.
pub fn read(repository: &Repository<'_>, path: &str, name: SystemName, look: Look<'_>) -> Result<Sketch> {
    let wrong = |why: String| Fault::could_not_run("compose-wrong", format!("`{path}` cannot be read: {why}"));
    let text = fs::read_to_string(repository.root.join(path)).map_err(|error| wrong(error.to_string()))?;
    let top = yaml::read(&text).map_err(|error| wrong(format!("line {error}")))?;
    if top.get("services").entries().is_empty() {
        return Err(wrong("it has no `services`".to_owned()).into());
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let dotenv = fs::read_to_string(repository.root.join(&folder).join(".env")).unwrap_or_default();
    let sketch = Sketch {
        description: format!("What `{path}` describes").replace('`', ""),
        from: path.to_owned(),
        notes: Vec::new(),
        services: Vec::new(),
        jobs: Vec::new(),
        secrets: BTreeMap::new(),
        images: BTreeMap::new(),
        copies: Vec::new(),
        name,
    };
    let reading = Reading {
        variables: Variables::new(sketch.name.as_str(), &dotenv),
        names: BTreeMap::new(),
        volumes: BTreeSet::new(),
        repository,
        look,
        folder,
        top,
        sketch,
    };
    reading.system().map_err(|why| wrong(why).into())
}

impl Reading<'_> {
    fn system(mut self) -> Result<Sketch, String> {
        self.whole();
        let services: Vec<(String, Node)> = self.top.get("services").entries().to_vec();
        for (name, node) in services.iter().filter(|(_, node)| node.get("profiles").is_null()) {
            let called = self.called(name, node)?;
            self.names.insert(name.clone(), called);
        }
        for (name, node) in &services {
            if !node.get("profiles").is_null() {
                self.say(format!(
                    "`{name}` is left out: compose starts it only when its profile is asked for, and there are no profiles \
                     here."
                ));
                continue;
            }
            let node = self.extended(name, node.clone(), 0);
            let Some(called) = self.names.get(name).cloned() else { continue };
            match self.service(name, called, &node) {
                Ok(service) => self.sketch.services.push(service),
                Err(why) => self.say(format!("`{name}` is left out: {why}")),
            }
        }
        self.find_jobs();
        self.find_needs();
        self.find_ports();
        self.say_unneeded();
        self.settle();
        Ok(self.sketch)
    }

    fn say(&mut self, note: impl Into<String>) {
        self.sketch.notes.push(note.into());
    }

    /// What is to be said of the whole file.
    fn whole(&mut self) {
        if !self.top.get("include").is_null() {
            self.say("`include` is not followed: add those files as systems of their own, or put them into one.");
        }
        let folder = self.repository.root.join(&self.folder);
        if let Some(file) = OVERRIDES.iter().find(|file| folder.join(file).is_file()) {
            self.say(format!("`{file}` is not looked at: compose adds it where it is there."));
        }
        let networks = self.top.get("networks").entries().len();
        if networks > 1 {
            self.say(
                "Its networks are one here: in containers all services of a system reach each other, in a cluster those that \
                 need one another, and no other system does.",
            );
        }
    }

    /// What a service is called here: as there, unless it has ports for the public, and another system has the host name.
    fn called(&self, name: &str, node: &Node) -> Result<ServiceName, String> {
        let own = name_of(name).ok_or_else(|| format!("`{name}` cannot be the name of a service"))?;
        let published = !node.get("ports").is_null();
        let taken = |name: &str| {
            RESERVED.contains(&name)
                || published && self.repository.public.iter().any(|service| service.local() == name)
                || self.names.values().any(|service| service.as_str() == name)
        };
        let system = self.sketch.name.as_str();
        let name = if taken(&own) { name_of(&format!("{system}-{own}")).unwrap_or(own) } else { own };
        unused(&name, taken).parse().map_err(|error: model::name::BadName| error.to_string())
    }

    /// With what it `extends` in the same file.
    fn extended(&mut self, name: &str, node: Node, deep: usize) -> Node {
        let extends = node.get("extends").clone();
        let base = extends.text().or(extends.get("service").text()).map(str::to_owned);
        let Some(base) = base else { return node };
        let file = extends.get("file").text();
        let known = self.top.get("services").get(&base).clone();
        if file.is_some() || known.is_null() || deep > 8 {
            self.say(format!("`{name}` extends `{base}`, which is in another file and not carried over."));
            return node;
        }
        let base = self.extended(&base, known, deep + 1);
        node.extending(base)
    }

    /// A path of the file, from the root of the repository; `None` when it is not in it.
    fn within(&self, path: &str) -> Option<String> {
        let mut parts: Vec<&str> = self.folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(part) => parts.push(part.to_str().filter(|part| *part != "~")?),
                Component::CurDir => {}
                Component::ParentDir => {
                    parts.pop()?;
                }
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(parts.join("/"))
    }

    /// Finds where those listen that do not say it themselves.
    fn find_ports(&mut self) {
        for index in 0..self.sketch.services.len() {
            if self.sketch.services[index].port.is_some() {
                continue;
            }
            let of_file = self.original(self.sketch.services[index].name.as_str());
            let others = self.sketch.services.iter().enumerate().filter(|(other, _)| *other != index);
            let texts: Vec<String> = others.flat_map(|(_, service)| self.texts(service)).collect();
            let service = &self.sketch.services[index];
            let found = match mentions::port(&of_file, &texts) {
                Some(port) => Some((port, "is where others look for it".to_owned())),
                None => self.listens(service),
            };
            let service = &mut self.sketch.services[index];
            match found {
                Some((port, why)) => {
                    service.port = Some(port);
                    service.note(Place::Port, format!("Nothing says where it listens; {port} {why}."));
                }
                None => service.note(Place::Ready, WORKER),
            }
        }
    }

    fn listens(&self, service: &Service) -> Option<(u16, String)> {
        let Source::Dockerfile { folder, .. } = &service.source else { return None };
        let (port, file) = listens::find(&self.repository.root.join(folder))?;
        Some((port, format!("stands in `{file}`")))
    }

    /// The name of a service in the file.
    fn original(&self, name: &str) -> String {
        let known = self.names.iter().find(|(_, called)| called.as_str() == name);
        known.map_or_else(|| name.to_owned(), |(original, _)| original.clone())
    }

    /// Everything of a service in which others may be named.
    fn texts(&self, service: &Service) -> Vec<String> {
        let mut texts: Vec<String> = service.env.values().chain(&service.args).cloned().collect();
        for file in service.files.values() {
            match &file.content {
                Content::Text(text) => texts.push(text.clone()),
                Content::From(path) => texts.extend(self.contents(path)),
            }
        }
        texts
    }

    /// The texts of a file, or of those in a folder.
    fn contents(&self, path: &str) -> Vec<String> {
        let path = self.repository.root.join(path);
        let small = |path: &Path| fs::metadata(path).is_ok_and(|known| known.is_file() && known.len() <= LARGEST);
        let files = match path.is_dir() {
            true => fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).collect(),
            false => vec![path],
        };
        files.iter().filter(|path| small(path)).filter_map(|path| fs::read_to_string(path).ok()).collect()
    }

    /// What can only be said when all services are known.
    fn settle(&mut self) {
        let asked = self.variables.asked();
        self.sketch.secrets.extend(asked.secrets);
        self.sketch.copies.extend(asked.copies);
        let unknown: Vec<String> = asked.unknown.iter().map(|name| format!("`{name}`")).collect();
        if !unknown.is_empty() {
            self.say(format!("No value is known of {}; it is empty where the file uses it.", unknown.join(", ")));
        }
        let away: Vec<String> = self
            .names
            .values()
            .filter(|name| !self.sketch.services.iter().any(|service| service.name == **name))
            .map(ToString::to_string)
            .collect();
        let root = self.repository.root;
        let mut said = BTreeSet::new();
        for service in &mut self.sketch.services {
            service.notes.say_once(&mut said);
            let further = service.ports.values().map(|port| port.port);
            if service.port.into_iter().chain(further).any(|port| port < 1024) {
                service.container.low_ports = true;
            }
            let files = service.files.values().filter_map(|file| file.content.path());
            if files.map(|path| size(&root.join(path))).sum::<u64>() > CLUSTER_TAKES {
                service.only_containers = true;
                let note = "It has more than 1 MiB of files, which no cluster takes: better, have its image hold them.";
                service.note(Place::Targets, note);
            }
            for need in service.needs.clone().iter().filter(|need| away.contains(need)) {
                service.note(Place::Needs, format!("It needs `{need}`, which is not carried over."));
            }
        }
    }
}

/// How many bytes a file has, or all of a folder.
fn size(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(known) if known.is_dir() => {
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
        }
        Ok(known) => known.len(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests;
