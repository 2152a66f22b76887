//! How one version of a service is started, before addresses and secrets are filled in. A recipe is kept with each
//! revision, so that a rollback starts exactly what ran then.

use anyhow::{Context, Result, anyhow};
use model::asset::{self, Asset};
use model::container::Container;
use model::environment::Environment;
use model::name::ServiceName;
use model::port::{self, FurtherPorts};
use model::system::{Piece, Probe, Reference, Service, Template};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// What is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A binary that was built here and is kept under its content key.
    Artifact {
        key: String,
    },
    /// A program of this machine, and the arguments that go before the service's own.
    Native {
        path: PathBuf,
        prefix: Vec<String>,
    },
    Folder(Folder),
    Image(Box<Image>),
}

/// A command that runs from a folder of the repository as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The program, from the root where it is in the folder.
    pub path: PathBuf,
    /// The folder, from the root.
    pub dir: String,
    /// What of the folder counts; all that git sees of it where nothing is named.
    pub reads: Vec<String>,
    /// The command that prepares the folder, which counts as well.
    pub prepare: Vec<String>,
    /// The key over all that counts.
    pub key: String,
}

/// An image, and what its container is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name with tag or digest, for people.
    pub reference: String,
    /// The content key of what was built here; `None` for a public image.
    pub key: Option<String>,
    /// The port it listens on, if it does.
    pub port: Option<u16>,
    pub container: Container,
    /// It may leave the network of its system.
    pub reaches: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub service: ServiceName,
    pub program: Program,
    pub args: Vec<Template>,
    pub env: BTreeMap<String, Template>,
    pub files: BTreeMap<String, Asset>,
    /// Where the secrets are that it refers to, by `SERVICE.NAME`; one that is not named here is at just that.
    pub(crate) secrets: BTreeMap<String, String>,
    /// It takes a listening socket that is passed to it, and a private one for probes beside it.
    pub handover: bool,
    /// It has no port.
    pub worker: bool,
    /// What it listens on besides its port.
    pub ports: FurtherPorts,
    pub ready: Probe,
    pub live: Probe,
    pub ready_within: Duration,
    pub stop_within: Duration,
}

impl Recipe {
    /// The recipe for a service as the spec has it now. Variables that refer to a service that is absent are left out.
    pub fn new(service: &Service, program: Program, environment: &Environment, present: &[ServiceName]) -> Self {
        let extra = environment
            .env_of(&service.name)
            .into_iter()
            .map(|(name, value)| (name, Template(vec![Piece::Text(value)])));
        let own = service.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        let kept = |(_, template): &(String, Template)| {
            template.references().all(|reference| match reference {
                Reference::Provided { service, .. } => present.contains(service),
                _ => true,
            })
        };
        Self {
            service: service.name.clone(),
            // A further port is bound by the program, and had by one at a time.
            handover: matches!(program, Program::Artifact { .. }) && service.port.is_some() && service.ports.is_empty(),
            worker: service.port.is_none(),
            ports: service.ports.clone(),
            args: match &service.run {
                Some(run) if matches!(program, Program::Folder(_)) => run.args.clone(),
                _ => service.args.clone(),
            },
            program,
            env: own.filter(kept).chain(extra).collect(),
            files: service.files.clone(),
            secrets: BTreeMap::new(),
            ready: service.ready.clone(),
            live: service.live.clone(),
            ready_within: service.ready_within,
            stop_within: service.stop_within,
        }
    }

    /// What it is given by this name.
    ///
    /// # Errors
    /// When there is nothing.
    pub fn asset(&self, name: &str) -> Result<&Asset> {
        self.files.get(name).ok_or_else(|| anyhow!("`{}` is given no `{name}`", self.service))
    }

    /// Whether versions of it may run beside one another, each with a port of its own: it takes no socket, and has nothing
    /// that only one can have, such as what it stores and a file that says where to listen.
    pub fn is_relayed(&self) -> bool {
        let says_where = |reference: &Reference| matches!(reference, Reference::Port | Reference::Address);
        let is_shared =
            asset::texts(&self.files).any(|file| file.references().any(says_where)) || keep_data(self.templates());
        // Only what is asked over the network shows whether it listens where it was told to.
        let is_asked = matches!(self.ready, Probe::Http { .. } | Probe::Tcp { .. });
        matches!(self.program, Program::Folder(_)) && self.ports.is_empty() && !self.worker && is_asked && !is_shared
    }

    /// Whether it keeps something that only one version can have open.
    pub fn keeps_data(&self) -> bool {
        keep_data(self.templates())
    }

    /// The same, told to listen there.
    pub fn told(&self, address: &str, port: &str) -> Self {
        let tell = |piece: &Piece| match piece {
            Piece::Reference(Reference::Port) => Piece::Text(port.to_owned()),
            Piece::Reference(Reference::Address) => Piece::Text(address.to_owned()),
            piece => piece.clone(),
        };
        let told = |template: &Template| Template(template.0.iter().map(tell).collect());
        let env = self.env.iter().map(|(name, value)| (name.clone(), told(value))).collect();
        Self { args: self.args.iter().map(told).collect(), env, ..self.clone() }
    }

    /// All that is filled in when it is started.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.env.values().chain(&self.args).chain(asset::texts(&self.files))
    }

    /// Where the value of a secret is that it refers to.
    pub(super) fn secret(&self, service: &ServiceName, name: &str) -> String {
        let own = format!("{service}.{name}");
        self.secrets.get(&own).cloned().unwrap_or(own)
    }

    /// The version that people see: the content key of what was built, or the program's name.
    pub fn version(&self) -> String {
        match &self.program {
            Program::Artifact { key } => key.clone(),
            Program::Native { path, prefix } => {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                std::iter::once(name).chain(prefix.last().cloned()).collect::<Vec<_>>().join(" ")
            }
            Program::Folder(folder) => folder.key.clone(),
            Program::Image(image) => image.key.clone().unwrap_or_else(|| image.reference.clone()),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut program = match &self.program {
            Program::Artifact { key } => json!({"artifact": key}),
            Program::Native { path, prefix } => json!({"path": path.to_string_lossy(), "prefix": prefix}),
            Program::Folder(Folder { path, dir, reads, prepare, key }) => json!({
                "folder": dir, "path": path.to_string_lossy(), "reads": reads, "prepare": prepare, "key": key,
            }),
            Program::Image(image) => json!({
                "image": image.reference, "key": image.key, "port": image.port, "container": image.container.to_json(),
            }),
        };
        if matches!(&self.program, Program::Image(image) if image.reaches) {
            program["reaches"] = json!(true);
        }
        let mut document = json!({
            "service": self.service.as_str(),
            "program": program,
            "args": self.args.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "env": texts(&self.env),
            "files": asset::to_json(&self.files),
            "handover": self.handover,
            "ready": self.ready.to_json(),
            "live": self.live.to_json(),
            "ready_within": self.ready_within.as_secs_f64(),
            "stop_within": self.stop_within.as_secs_f64(),
        });
        // A recipe without any reads as it always did, and what was started by it goes on.
        if !self.secrets.is_empty() {
            document["secrets"] = json!(self.secrets);
        }
        if self.worker {
            document["worker"] = json!(true);
        }
        if !self.ports.is_empty() {
            document["ports"] = port::to_json(&self.ports);
        }
        document
    }

    pub(crate) fn from_json(value: &Value) -> Result<Self> {
        let attempt = || -> Option<Self> {
            Some(Self {
                service: value["service"].as_str()?.parse().ok()?,
                program: program_from(&value["program"])?,
                args: value["args"].as_array()?.iter().map(template).collect::<Option<_>>()?,
                env: templates(&value["env"])?,
                files: asset::from_json(&value["files"])?,
                secrets: match value.get("secrets") {
                    Some(places) => serde_json::from_value(places.clone()).ok()?,
                    None => BTreeMap::new(),
                },
                handover: value["handover"].as_bool()?,
                worker: value["worker"] == true,
                ports: port::from_json(&value["ports"])?,
                ready: Probe::from_json(&value["ready"])?,
                live: Probe::from_json(&value["live"])?,
                ready_within: Duration::try_from_secs_f64(value["ready_within"].as_f64()?).ok()?,
                stop_within: Duration::try_from_secs_f64(value["stop_within"].as_f64()?).ok()?,
            })
        };
        attempt().ok_or_else(|| anyhow!("not a recipe: {value}")).context("read a kept revision")
    }
}

/// Whether these refer to a place that outlives what is started.
pub fn keep_data<'t>(mut templates: impl Iterator<Item = &'t Template>) -> bool {
    templates.any(|template| template.references().any(|reference| *reference == Reference::Data))
}

/// The services that these refer to.
pub(super) fn provided<'t>(templates: impl Iterator<Item = &'t Template>) -> BTreeSet<ServiceName> {
    let name = |reference: &Reference| match reference {
        Reference::Provided { service, .. } => Some(service.clone()),
        _ => None,
    };
    templates.flat_map(Template::references).filter_map(name).collect()
}

fn texts(templates: &BTreeMap<String, Template>) -> Value {
    templates.iter().map(|(name, template)| (name.clone(), json!(template.to_string()))).collect::<Map<_, _>>().into()
}

fn template(value: &Value) -> Option<Template> {
    value.as_str()?.parse().ok()
}

fn templates(value: &Value) -> Option<BTreeMap<String, Template>> {
    value.as_object()?.iter().map(|(name, value)| Some((name.clone(), template(value)?))).collect()
}

fn program_from(value: &Value) -> Option<Program> {
    if let Some(key) = value["artifact"].as_str() {
        return Some(Program::Artifact { key: key.to_owned() });
    }
    if let Some(reference) = value["image"].as_str() {
        return Some(Program::Image(Box::new(Image {
            reference: reference.to_owned(),
            key: value["key"].as_str().map(str::to_owned),
            port: value["port"].as_u64().and_then(|port| port.try_into().ok()),
            container: Container::from_json(&value["container"])?,
            reaches: value["reaches"] == true,
        })));
    }
    let path = PathBuf::from(value["path"].as_str()?);
    let words = |key: &str| -> Option<Vec<String>> {
        value[key].as_array()?.iter().map(|word| Some(word.as_str()?.to_owned())).collect()
    };
    match value["folder"].as_str() {
        Some(dir) => Some(Program::Folder(Folder {
            path,
            dir: dir.to_owned(),
            reads: words("reads")?,
            prepare: words("prepare")?,
            key: value["key"].as_str()?.to_owned(),
        })),
        None => Some(Program::Native { path, prefix: words("prefix")? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_survives_being_kept() {
        let text = |text: &str| text.parse::<Template>().unwrap();
        let image = Program::Image(Box::new(Image {
            reference: "docker.io/library/redis:7.4".to_owned(),
            key: None,
            port: Some(6379),
            container: Container { user: Some("999".parse().unwrap()), ..Container::default() },
            reaches: true,
        }));
        let recipe = Recipe {
            service: "redis".parse().unwrap(),
            program: Program::Native { path: PathBuf::from("/usr/bin/redis-server"), prefix: vec!["-".to_owned()] },
            args: vec![text("${file.redis.conf}")],
            env: BTreeMap::from([("COST".to_owned(), text("5$$ at ${host}"))]),
            files: BTreeMap::from([(
                "redis.conf".to_owned(),
                text("port ${port}\nrequirepass ${secret.password}").into(),
            )]),
            secrets: BTreeMap::new(),
            handover: false,
            worker: false,
            ports: FurtherPorts::new(),
            ready: Probe::Tcp { send: Some("PING\r\n".to_owned()), expect: Some("-NOAUTH".to_owned()) },
            live: Probe::Http { path: "/livez".to_owned() },
            ready_within: Duration::from_millis(1500),
            stop_within: Duration::from_secs(20),
        };
        assert_eq!(Recipe::from_json(&recipe.to_json()).unwrap(), recipe);
        let recipe = Recipe { program: image, ..recipe };
        assert_eq!(Recipe::from_json(&recipe.to_json()).unwrap(), recipe);
        assert!(!recipe.to_json().to_string().contains("secrets"), "it reads as before there were any");
        let places = BTreeMap::from([("redis.password".to_owned(), "shop/password@9f".to_owned())]);
        let recipe = Recipe { secrets: places, ..recipe };
        let recipe = Recipe { program: folder(), ..recipe };
        assert_eq!(Recipe::from_json(&recipe.to_json()).unwrap(), recipe);
        assert!(Recipe::from_json(&json!({"service": "redis"})).is_err());
    }

    fn folder() -> Program {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Program::Folder(Folder {
            path: PathBuf::from("vote/serve"),
            dir: "vote".to_owned(),
            reads: words(&["package.json"]),
            prepare: words(&["npm", "ci"]),
            key: "0123".to_owned(),
        })
    }

    #[test]
    fn what_only_one_version_can_have_keeps_two_from_running_side_by_side() {
        let text = |text: &str| text.parse::<Template>().unwrap();
        let probe = Probe::Tcp { send: None, expect: None };
        let recipe = Recipe {
            service: "vote".parse().unwrap(),
            program: folder(),
            args: vec![text("--at=${address}:${port}")],
            env: BTreeMap::from([("URL".to_owned(), text("http://${host}:${port}/${redis.url}"))]),
            files: BTreeMap::from([("a".to_owned(), text("${secret.key}").into())]),
            secrets: BTreeMap::new(),
            handover: false,
            worker: false,
            ports: FurtherPorts::new(),
            ready: probe.clone(),
            live: probe,
            ready_within: Duration::from_secs(1),
            stop_within: Duration::from_secs(1),
        };
        assert!(recipe.is_relayed());
        let told = recipe.told("127.0.0.1", "{port}");
        assert_eq!(told.args[0].to_string(), "--at=127.0.0.1:{port}");
        assert_eq!(told.env["URL"].to_string(), "http://${host}:{port}/${redis.url}");
        for file in ["listen ${port}", "bind ${address}", "dir ${data}"] {
            let files = BTreeMap::from([("a".to_owned(), text(file).into())]);
            assert!(!Recipe { files, ..recipe.clone() }.is_relayed(), "{file}");
        }
        assert!(!Recipe { args: vec![text("${data}")], ..recipe.clone() }.is_relayed());
        let program = Program::Native { path: PathBuf::from("/usr/bin/node"), prefix: Vec::new() };
        assert!(!Recipe { program, ..recipe }.is_relayed());
    }
}
