//! `[services.NAME]` of an environment: what differs there for one service, laid over what its system's file says.

use super::apart::is_named;
use super::container::Container;
use super::container_file::check_folder;
use super::decode::{Table, Value};
use super::environment::{Environment, Setting};
use super::environment_settings::{Layered, refuse};
use super::error::{Place, Sink, SpecErrors, find, quoted};
use super::grammar::check_variable;
use super::load::Spec;
use super::service_file::{ALONE, LONGEST_WAIT, NOTHING_PUBLIC, SCALE_AT, SCALE_SETTLES};
use super::system::{Scale, Service, System, TargetKind};
use std::collections::BTreeMap;

pub(super) const PREFIX: &str = "services.";
const VARIABLE: &str = "env.";

/// One key: where it does something, and how its text changes a service.
struct Key {
    name: &'static str,
    targets: &'static [TargetKind],
    lay: fn(&mut Service, &str) -> Result<(), String>,
}

const CLUSTERS: &[TargetKind] = &[TargetKind::Kubernetes, TargetKind::Eks];
const BOXED: &[TargetKind] = &[TargetKind::Containers, TargetKind::Kubernetes, TargetKind::Eks];

const fn key(
    name: &'static str,
    targets: &'static [TargetKind],
    lay: fn(&mut Service, &str) -> Result<(), String>,
) -> Key {
    Key { name, targets, lay }
}

/// All of them, in the order in which they are laid over a service.
const KEYS: [Key; 14] = [
    key("public", &TargetKind::ALL, |service, text| {
        let public = boolean(text)?;
        let nothing = public && service.port.is_none();
        if nothing { Err(NOTHING_PUBLIC.to_owned()) } else { set(&mut service.public, Ok(public)) }
    }),
    key("replicas", CLUSTERS, |service, text| {
        let replicas = count(text, 100)?;
        alone(service, replicas)?;
        set(&mut service.replicas, Ok(Some(replicas)))
    }),
    key("scale.max", CLUSTERS, |service, text| {
        let max = count(text, 100)?;
        alone(service, max)?;
        let fresh = Scale { max, cpu: SCALE_AT, settle: SCALE_SETTLES };
        service.scale = Some(Scale { max, ..service.scale.unwrap_or(fresh) });
        Ok(())
    }),
    key("scale.cpu", CLUSTERS, |service, text| set(&mut scale(service)?.cpu, count(text, 1000))),
    key("scale.settle", CLUSTERS, |service, text| {
        let parsed = humantime::parse_duration(text).ok().filter(|settle| *settle <= LONGEST_WAIT);
        set(
            &mut scale(service)?.settle,
            parsed.ok_or_else(|| format!("{} is not a duration such as `2m`", quoted(text))),
        )
    }),
    key("container.memory", BOXED, |service, text| set(&mut service.container.memory, text.parse())),
    key("container.cpu", BOXED, |service, text| set(&mut service.container.cpu, text.parse())),
    key("container.user", BOXED, |service, text| set(&mut of_image(service)?.user, text.parse().map(Some))),
    key("container.low_ports", BOXED, |service, text| set(&mut of_image(service)?.low_ports, boolean(text))),
    key("container.data", BOXED, |service, text| {
        check_folder(text)?;
        set(&mut of_image(service)?.data, Ok(text.to_owned()))
    }),
    key("container.writable", BOXED, |service, text| {
        let folders = words(text)?;
        folders.iter().try_for_each(|folder| check_folder(folder))?;
        set(&mut of_image(service)?.writable, Ok(folders))
    }),
    key("container.entrypoint", BOXED, |service, text| set(&mut of_image(service)?.entrypoint, words(text))),
    key("container.command", BOXED, |service, text| set(&mut of_image(service)?.command, words(text))),
    key("container.health", BOXED, |service, text| set(&mut of_image(service)?.health, words(text))),
];

fn set<T>(place: &mut T, parsed: Result<T, String>) -> Result<(), String> {
    *place = parsed?;
    Ok(())
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{} is neither `true` nor `false`", quoted(text)))
}

fn count(text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("{} is not a number from 1 to {most}", quoted(text)))
}

/// A list is kept as JSON has it.
fn words(text: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(text).map_err(|_| format!("{} is not a list of texts such as `[\"a\", \"b\"]`", quoted(text)))
}

fn scale(service: &mut Service) -> Result<&mut Scale, String> {
    service.scale.as_mut().ok_or_else(|| "the service does not grow; set `scale.max`, too".to_owned())
}

fn alone(service: &Service, replicas: u32) -> Result<(), String> {
    if replicas > 1 && !service.container.volumes.is_empty() { Err(ALONE.to_owned()) } else { Ok(()) }
}

fn of_image(service: &mut Service) -> Result<&mut Container, String> {
    match service.is_own() {
        true => Err("not for a crate; images of crates set it themselves".to_owned()),
        false => Ok(&mut service.container),
    }
}

/// Reads the table `services` of an environment's file: each key under its name, as `--set` has it.
pub(super) fn read(services: &Value<'_>, mut layer: impl FnMut(String, &Value<'_>)) {
    for (name, service) in services.entries().into_iter().flatten() {
        service.table(|table| {
            for Key { name: key, .. } in KEYS.iter().filter(|key| !key.name.contains('.')) {
                table.optional(key).iter().for_each(|value| layer(format!("{PREFIX}{name}.{key}"), value));
            }
            for inner in ["scale", "container"] {
                let Some(value) = table.optional(inner) else { continue };
                value
                    .table(|of| read_inner(of, inner, &mut |key, value| layer(format!("{PREFIX}{name}.{key}"), value)));
            }
            let variables = table.optional("env").and_then(|value| value.entries());
            for (variable, value) in variables.into_iter().flatten() {
                match check_variable(variable) {
                    Ok(()) => layer(format!("{PREFIX}{name}.{VARIABLE}{variable}"), &value),
                    Err(message) => value.report(message),
                }
            }
        });
    }
}

fn read_inner(table: &Table<'_>, prefix: &str, layer: &mut dyn FnMut(String, &Value<'_>)) {
    for Key { name, .. } in &KEYS {
        let Some(key) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')) else { continue };
        table.optional(key).iter().for_each(|value| layer((*name).to_owned(), value));
    }
}

/// The name of the service in `services.NAME.KEY`, and the key.
fn split(setting: &str) -> Option<(&str, &str)> {
    setting.strip_prefix(PREFIX)?.split_once('.')
}

/// Whether `--set` can have this, which begins with [`PREFIX`].
pub(super) fn check_flag(setting: &str) -> Result<(), String> {
    let (_, key) = split(setting).ok_or_else(|| "expected `services.NAME.KEY`".to_owned())?;
    match key.strip_prefix(VARIABLE) {
        Some(name) => check_variable(name),
        None => find(key, "key", "valid keys", KEYS.iter().map(|key| key.name).chain(["env.NAME"])),
    }
}

/// Reports what does nothing on the target.
pub(super) fn check_use(target: TargetKind, layered: &Layered, sink: &Sink) {
    for (setting, set) in layered {
        let Some((_, key)) = split(setting) else { continue };
        let known = KEYS.iter().find(|known| known.name == key);
        if let Some(known) = known.filter(|known| !known.targets.contains(&target)) {
            let names: Vec<String> = known.targets.iter().map(|target| format!("`{target}`")).collect();
            let message = format!("does nothing on target `{target}`; it is for {}", names.join(", "));
            refuse(setting, set.place.clone(), message, sink);
        }
    }
}

/// The variables of each service.
pub(super) fn variables(layered: &Layered) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (setting, set) in layered {
        let Some((service, key)) = split(setting) else { continue };
        if let Some(name) = key.strip_prefix(VARIABLE) {
            all.entry(service.to_owned()).or_default().insert(name.to_owned(), set.value.clone());
        }
    }
    all
}

impl Spec {
    /// The spec as it is in an environment. `complete` says that every service is known: only then one can be unknown.
    ///
    /// # Errors
    /// What of `[services.NAME]` does not fit the services.
    pub fn in_environment(&mut self, environment: &Environment, complete: bool) -> Result<(), SpecErrors> {
        let sink = Sink::default();
        let names: Vec<String> = self.services().map(|service| service.name.local().to_owned()).collect();
        let of_services = || environment.origins.iter().filter_map(|setting| Some((setting, split(&setting.key)?)));
        for (setting, (name, _)) in of_services() {
            let unknown = || find(name, "service", "services", names.iter().map(String::as_str)).err();
            match self.named(name).as_slice() {
                [_] => {}
                [] if !complete => {}
                [] => report(setting, unknown().unwrap_or_else(|| format!("unknown service {}", quoted(name))), &sink),
                several => report(setting, ambiguous(name, several), &sink),
            }
        }
        // `scale.max` has to be there before what differs in it.
        for Key { name: key, lay, .. } in &KEYS {
            for (setting, (service, _)) in of_services().filter(|(_, (_, of))| of == key) {
                let found = self.service_mut(service);
                if let Some(Err(message)) = found.map(|service| lay(service, &setting.value)) {
                    report(setting, message, &sink);
                }
            }
        }
        self.systems.iter_mut().for_each(|system| system.settle_public_names(Some(environment.target)));
        sink.finish(Some(()))
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        self.systems.iter().flat_map(|system| &system.services)
    }

    pub(super) fn services_mut(&mut self) -> impl Iterator<Item = &mut Service> {
        self.systems.iter_mut().flat_map(|system| &mut system.services)
    }

    fn service_mut(&mut self, text: &str) -> Option<&mut Service> {
        self.systems.iter_mut().find_map(|System { name, services, .. }| {
            services.iter_mut().find(|service| is_named(text, name, &service.name))
        })
    }
}

/// What to say of a name that services of several systems have.
pub fn ambiguous(name: &str, several: &[(&System, &Service)]) -> String {
    let full = several.iter().map(|(system, service)| format!("`{}/{}`", system.name, service.name.local()));
    format!("several systems have a service {}; name one: {}", quoted(name), full.collect::<Vec<_>>().join(", "))
}

fn report(setting: &Setting, message: String, sink: &Sink) {
    let place = match &setting.origin {
        super::environment::Origin::File { path, line } => Place::File { path: path.clone(), line: Some(*line) },
        _ => Place::Flag(format!("--set {}", setting.key)),
    };
    refuse(&setting.key, place, message, sink);
}
