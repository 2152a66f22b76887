//! A service as it was when it was last started, kept in `services/NAME.json`: what the records need once no file declares
//! it any more.

use super::recipe::{Program, Recipe, provided};
use anyhow::Result;
use base::files;
use engine::home::Home;
use model::asset;
use model::build::DockerBuild;
use model::container::Container;
use model::name::{ServiceName, SystemName};
use model::port::{self, FurtherPorts};
use model::public_name::PublicName;
use model::secret::{Secret, SecretSource, Shape};
use model::system::{Presence, Probe, Service, Source, TargetKind, Template};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Where the facts of a service are.
pub(super) fn path(home: &Home, service: &ServiceName) -> PathBuf {
    home.dir().join("services").join(format!("{service}.json"))
}

/// Writes down what a service is, unless that stands there already.
///
/// # Errors
/// When it cannot be written.
pub(super) fn keep(home: &Home, system: &SystemName, service: &Service) -> Result<()> {
    let path = path(home, &service.name);
    let document = json!({"schema": 1, "system": system.as_str(), "service": to_json(service)});
    // What cannot be read is written anew.
    if matches!(files::read_json(&path), Ok(Some(there)) if there == document) {
        return Ok(());
    }
    files::write_json(&path, &document)
}

/// The facts of a service, and the system it was started for.
///
/// # Errors
/// When they are there and cannot be read.
pub(super) fn kept(home: &Home, service: &ServiceName) -> Result<Option<(SystemName, Service)>> {
    let Some(document) = files::read_json(&path(home, service))? else { return Ok(None) };
    let system = document["system"].as_str().and_then(|name| name.parse().ok());
    Ok(system.zip(from_json(&document["service"])))
}

/// All that are kept.
///
/// # Errors
/// When one cannot be read.
pub(super) fn all(home: &Home) -> Result<Vec<(SystemName, Service)>> {
    let files = std::fs::read_dir(home.dir().join("services")).into_iter().flatten().flatten();
    let stem = |entry: std::fs::DirEntry| entry.path().file_stem()?.to_str()?.parse::<ServiceName>().ok();
    let mut all = Vec::new();
    for service in files.filter_map(stem) {
        all.extend(kept(home, &service)?);
    }
    Ok(all)
}

/// As much as a recipe tells of a service of which no facts were kept. Its port is not among it where it ran as a process.
pub(super) fn of_recipe(recipe: &Recipe) -> Service {
    let (source, port, container) = match &recipe.program {
        Program::Image(image) if image.key.is_none() => {
            (Source::Image { image: image.reference.clone(), host: None }, image.port, image.container.clone())
        }
        Program::Image(image) => (Source::Crate(recipe.service.to_string()), image.port, image.container.clone()),
        Program::Artifact { .. } => (Source::Crate(recipe.service.to_string()), None, Container::default()),
        Program::Native { .. } | Program::Folder(_) => {
            (Source::Image { image: recipe.service.to_string(), host: None }, None, Container::default())
        }
    };
    let mut service = blank(&recipe.service);
    service.needs = provided(recipe.templates()).into_iter().collect();
    Service {
        source,
        port,
        host_port: port,
        ports: recipe.ports.clone(),
        env: recipe.env.clone(),
        args: recipe.args.clone(),
        files: recipe.files.clone(),
        ready: recipe.ready.clone(),
        live: recipe.live.clone(),
        ready_within: recipe.ready_within,
        stop_within: recipe.stop_within,
        container,
        ..service
    }
}

/// A service of which nothing but its name is known.
pub(super) fn blank(name: &ServiceName) -> Service {
    let probe = Probe::Tcp { send: None, expect: None };
    Service {
        name: name.clone(),
        aliases: BTreeSet::new(),
        source: Source::Crate(name.to_string()),
        run: None,
        port: None,
        host_port: None,
        ports: FurtherPorts::new(),
        public: false,
        public_name: PublicName::own(name),
        team: None,
        needs: Vec::new(),
        reaches: Vec::new(),
        presence: Presence::Always,
        managed: None,
        targets: TargetKind::ALL.into_iter().collect(),
        env: BTreeMap::new(),
        provides: BTreeMap::from([("url".to_owned(), url())]),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        args: Vec::new(),
        ready: probe.clone(),
        live: probe,
        ready_within: Duration::from_secs(30),
        stop_within: Duration::from_secs(30),
        replicas: None,
        scale: None,
        container: Container::default(),
        was: BTreeSet::new(),
    }
}

fn url() -> Template {
    "http://${host}:${port}".parse().unwrap_or_else(|_| Template(Vec::new()))
}

fn to_json(service: &Service) -> Value {
    let source = match &service.source {
        Source::Crate(name) => json!({"crate": name}),
        Source::Dockerfile { build, .. } => json!({"dockerfile": build.context}),
        Source::Image { image, .. } => json!({"image": image}),
    };
    let mut json = json!({
        "name": service.name.as_str(), "source": source, "port": service.port, "host_port": service.host_port,
        "public": service.public, "needs": service.needs.iter().map(ServiceName::as_str).collect::<Vec<_>>(),
        "env": texts(&service.env), "provides": texts(&service.provides), "files": asset::to_json(&service.files),
        "args": service.args.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "secrets": service.secrets.keys().collect::<Vec<_>>(),
        "ready": service.ready.to_json(), "live": service.live.to_json(),
        "ready_within": service.ready_within.as_secs_f64(), "stop_within": service.stop_within.as_secs_f64(),
        "container": service.container.to_json(),
        "optional": service.presence != Presence::Always,
    });
    if !service.ports.is_empty() {
        json["ports"] = port::to_json(&service.ports);
    }
    if !service.aliases.is_empty() {
        json["aliases"] = service.aliases.iter().map(ServiceName::as_str).collect();
    }
    if service.public_name != PublicName::own(&service.name) {
        json["public_name"] = service.public_name.to_json();
    }
    json
}

fn source(value: &Value) -> Option<Source> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let built = |context| Source::Dockerfile { build: DockerBuild { context, ..DockerBuild::default() }, host: None };
    let image = |image| Source::Image { image, host: None };
    text("crate").map(Source::Crate).or_else(|| text("dockerfile").map(built)).or_else(|| text("image").map(image))
}

fn from_json(value: &Value) -> Option<Service> {
    // An earlier version wrote 0 for a port that it did not know.
    let port = |key: &str| value[key].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let list = |key: &str| value[key].as_array().map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    let seconds = |key: &str| Duration::try_from_secs_f64(value[key].as_f64()?).ok();
    let source = source(&value["source"])?;
    // Where each one is, the recipes say.
    let secret = || Secret { source: SecretSource::Generated(Shape::default()), system: None };
    let name: ServiceName = value["name"].as_str()?.parse().ok()?;
    let secrets = list("secrets")?.into_iter().map(|name| (name.to_owned(), secret())).collect();
    Some(Service {
        source,
        port: port("port"),
        host_port: port("host_port"),
        ports: port::from_json(&value["ports"])?,
        public: value["public"].as_bool()?,
        public_name: PublicName::from_json(&value["public_name"]).unwrap_or_else(|| PublicName::own(&name)),
        aliases: list("aliases").into_iter().flatten().map(|name| name.parse().ok()).collect::<Option<_>>()?,
        needs: list("needs")?.into_iter().map(|name| name.parse().ok()).collect::<Option<_>>()?,
        env: templates(&value["env"])?,
        provides: templates(&value["provides"])?,
        files: asset::from_json(&value["files"])?,
        args: list("args")?.into_iter().map(|text| text.parse().ok()).collect::<Option<_>>()?,
        secrets,
        ready: Probe::from_json(&value["ready"])?,
        live: Probe::from_json(&value["live"])?,
        ready_within: seconds("ready_within")?,
        stop_within: seconds("stop_within")?,
        container: Container::from_json(&value["container"])?,
        // What made it optional does not matter any more.
        presence: if value["optional"] == true { Presence::WhenAvailable } else { Presence::Always },
        ..blank(&name)
    })
}

fn texts(templates: &BTreeMap<String, Template>) -> Value {
    templates.iter().map(|(name, template)| (name.clone(), json!(template.to_string()))).collect::<Map<_, _>>().into()
}

fn templates(value: &Value) -> Option<BTreeMap<String, Template>> {
    let entry = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.parse().ok()?));
    value.as_object()?.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_service_survives_being_kept() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        for service in model::load(root).unwrap().systems.into_iter().flat_map(|system| system.services) {
            let again = from_json(&to_json(&service)).unwrap();
            let same = (again.port, again.public, &again.env, &again.provides, &again.files, &again.ready);
            let wanted =
                (service.port, service.public, &service.env, &service.provides, &service.files, &service.ready);
            assert_eq!(same, wanted);
            assert_eq!(
                (again.is_own(), again.data(), &again.needs),
                (service.is_own(), service.data(), &service.needs)
            );
            assert_eq!(again.presence == Presence::Always, service.presence == Presence::Always);
            assert_eq!(to_json(&again), to_json(&service));
        }
    }
}
