//! One service of a compose file.

use super::Reading;
use super::health::{Health, seconds};
use super::left::{LEFT, NOT_BUILT, UNSAID};
use super::mounts::volume;
use super::source::Made;
use super::variables::{escaped, pairs};
use super::yaml::Node;
use crate::confinement::{Said, confine};
use crate::known;
use crate::names::name_of;
use crate::sketch::{Place, Probe, Service};
use model::container::{Cpu, Memory};
use model::name::ServiceName;
use std::fs;

impl Reading<'_> {
    /// A service, or why there is none.
    pub(super) fn service(&mut self, name: &str, called: ServiceName, node: &Node) -> Result<Service, String> {
        let (source, made) = self.source(node)?;
        let mut service = Service::new(called, source);
        self.name_it(&mut service, name, node);
        self.build_secrets(&mut service, node.get("build"));
        for (key, _) in node.get("build").entries().iter().filter(|(key, _)| NOT_BUILT.contains(&key.as_str())) {
            service.note(Place::Source, format!("`build.{key}` is not carried over: a build sees its folder alone."));
        }
        self.port(&mut service, node, &made);
        self.needs(&mut service, node);
        self.env(&mut service, node);
        self.commands(&mut service, node);
        self.mounts(&mut service, node, made.folder.as_deref());
        for at in &made.volumes {
            let is_given = service.container.volumes.values().chain(&service.container.writable).any(|path| path == at);
            if !is_given {
                volume(&mut service, at, at);
            }
        }
        own_folder(&mut service, made.repository.as_deref());
        self.health(&mut service, node, &made);
        self.limits(&mut service, node, &made);
        self.replicas(&mut service, node);
        self.confinement(&mut service, node, &made);
        self.left(&mut service, node);
        Ok(service)
    }

    /// The names by which others find it.
    fn name_it(&mut self, service: &mut Service, name: &str, node: &Node) {
        let mut names = vec![name.to_owned()];
        names.extend(["container_name", "hostname"].iter().filter_map(|key| self.plain(node.get(key))));
        for (_, network) in node.get("networks").entries() {
            names.extend(network.get("aliases").items().iter().filter_map(|alias| self.plain(alias)));
            if let Some(address) = self.plain(network.get("ipv4_address")) {
                let note = format!("Its address was {address}; here it is found by its name alone.");
                service.note(Place::Public, note);
            }
        }
        for alias in names {
            let is_new = alias != service.name.as_str() && !service.aliases.contains(&alias);
            let is_taken = self.names.values().any(|other| other.as_str() == alias)
                || self.sketch.services.iter().any(|other| other.aliases.contains(&alias));
            match name_of(&alias) {
                Some(valid) if valid == alias && is_new && !is_taken => service.aliases.push(alias),
                Some(valid) if valid != alias => service.note(
                    Place::Public,
                    format!(
                        "Others cannot find it as `{alias}`, which is no name here; `{}` is its name.",
                        service.name
                    ),
                ),
                _ => {}
            }
        }
        if service.name.as_str() != name && name_of(name).as_deref() == Some(name) {
            service.note(
                Place::Service,
                format!("Another system has `{name}` for the public, so this one has a name of its own."),
            );
        }
    }

    fn env(&mut self, service: &mut Service, node: &Node) {
        for file in node.get("env_file").one_or_more() {
            let Some(path) = self.plain(file).or_else(|| self.plain(file.get("path"))) else { continue };
            let read = self.within(&path).map(|path| fs::read_to_string(self.repository.root.join(path)));
            match read {
                Some(Ok(text)) => {
                    service.note(
                        Place::Env,
                        format!("With those of `{path}` as they were; that file is not looked at again."),
                    );
                    let kept = |(name, value): (String, String)| {
                        let value = self.variables.kept(&name, &value);
                        (name, value)
                    };
                    let read: Vec<_> = pairs(&text).into_iter().map(kept).collect();
                    read.into_iter().for_each(|(name, value)| set(service, name, value));
                }
                _ => {
                    service
                        .note(Place::Env, format!("`{path}` cannot be read, so its variables are not carried over."));
                }
            }
        }
        let environment = node.get("environment");
        let listed = environment.items().iter().filter_map(Node::text).map(|text| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text.to_owned(), None),
        });
        let mapped = environment.entries().iter().map(|(name, value)| (name.clone(), value.text().map(str::to_owned)));
        for (name, value) in listed.chain(mapped).collect::<Vec<_>>() {
            let value = match value {
                Some(value) => Some(self.variables.template(&value)),
                None => self.variables.given(&name),
            };
            match value {
                Some(value) => set(service, name, value),
                None => service
                    .note(Place::Env, format!("`{name}` was that of whoever starts it, which nobody knows here.")),
            }
        }
    }

    /// `entrypoint` and `command`: what the image starts with, and what that is given.
    fn commands(&mut self, service: &mut Service, node: &Node) {
        let words = |node: &Node, template: bool| -> Option<Vec<String>> {
            let fill = |text: &str| match template {
                true => self.variables.template(text),
                false => self.variables.plain(text),
            };
            match node {
                Node::Null => None,
                Node::Text(text) => shlex::split(&fill(text)),
                node => Some(node.items().iter().filter_map(Node::text).map(fill).collect()),
            }
        };
        let (entrypoint, args) = (words(node.get("entrypoint"), false), words(node.get("command"), true));
        let hidden = |words: &[String]| words.iter().any(|word| word.contains("${secret."));
        service.container.entrypoint =
            entrypoint.unwrap_or_default().into_iter().filter(|word| !word.is_empty()).collect();
        match args {
            Some(args) if hidden(&args) => {
                let note =
                    "Its command has a secret in it, which everybody on the machine would see; give it in `env`.";
                service.note(Place::Args, note);
            }
            Some(args) => service.args = args,
            None => {}
        }
    }

    fn health(&mut self, service: &mut Service, node: &Node, made: &Made) {
        let plain = |text: &str| self.variables.plain(text);
        let of_file = || made.health.as_ref().and_then(|text| Health::of_dockerfile(text, service.port));
        let Some(health) = Health::read(node.get("healthcheck"), service.port, &plain).or_else(of_file) else { return };
        match (health.path, made.repository.as_deref().filter(|repository| known::stores(repository))) {
            (Some(path), _) => service.ready = Probe::Http(path),
            (None, Some(_)) if service.port.is_some() => service.note(
                Place::Ready,
                "Its health check may succeed while it still makes its first files; it takes connections only after that. The \
                 check is `health` below, for machines from which a container cannot be reached.",
            ),
            (None, _) => service.ready = Probe::Command(health.command.clone()),
        }
        service.container.health = health.command;
        service.ready_within = health.within.filter(|seconds| *seconds > 30);
    }

    fn limits(&mut self, service: &mut Service, node: &Node, made: &Made) {
        let limits = node.get("deploy").get("resources").get("limits");
        let said = |old: &str, new: &str| self.plain(node.get(old)).or_else(|| self.plain(limits.get(new)));
        service.container.memory = said("mem_limit", "memory").and_then(|text| memory(&text));
        service.container.cpu = said("cpus", "cpus").and_then(|text| cpu(&text));
        if service.container.memory.is_none() {
            service.note(Place::Container, "Nothing limits its memory in the compose file; here something has to.");
            service.container.memory = known::memory(made.repository.as_deref().unwrap_or_default()).parse().ok();
        }
        service.stop_within =
            self.plain(node.get("stop_grace_period")).and_then(|text| seconds(&text)).filter(|stop| *stop > 0);
        if service.stop_within.is_none() && self.plain(node.get("stop_signal")).is_some_and(|signal| !is_usual(&signal))
        {
            // It may not end by itself here, and compose would not have waited longer.
            service.stop_within = Some(10);
        }
        if service.ready_within.is_none() && !service.container.volumes.is_empty() {
            // What stores something may have to make its files first.
            service.ready_within = Some(120);
        }
    }

    /// As many as compose runs. What stores something is alone anyway.
    fn replicas(&mut self, service: &mut Service, node: &Node) {
        let said = self.plain(node.get("scale")).or_else(|| self.plain(node.get("deploy").get("replicas")));
        let said: Option<u32> = said.and_then(|text| text.parse().ok());
        if !service.container.volumes.is_empty() {
            if said.is_some_and(|several| several > 1) {
                service.note(Place::Replicas, "There is one of it here, as it stores something.");
            }
            return;
        }
        service.replicas = Some(said.unwrap_or(1).clamp(1, 100));
        if said.is_none() {
            let note = "Compose runs one of it. Without this a cluster runs as many as its environment says: better, where \
                        several can do their work side by side.";
            service.note(Place::Replicas, note);
        }
    }

    fn confinement(&mut self, service: &mut Service, node: &Node, made: &Made) {
        let user = self.plain(node.get("user"));
        let by = if user.is_some() { "the compose file" } else { made.by };
        let list =
            |key: &str| -> Vec<String> { node.get(key).items().iter().filter_map(|name| self.plain(name)).collect() };
        let user = user.or_else(|| made.user.clone());
        let said = Said {
            user: user.as_deref(),
            by,
            read_only: self.plain(node.get("read_only")).as_deref() == Some("true"),
            added: list("cap_add"),
            all_dropped: list("cap_drop").iter().any(|name| name.eq_ignore_ascii_case("all")),
            tried: false,
            users: &made.users,
        };
        confine(service, &said);
    }

    /// Says what else there is.
    fn left(&mut self, service: &mut Service, node: &Node) {
        for (key, value) in node.entries() {
            let why = LEFT.iter().find(|(left, _)| left == key).map(|(_, why)| *why);
            let is_known = UNSAID.contains(&key.as_str()) || key.starts_with("x-");
            let shown = match value.text() {
                Some(text) => format!("`{key}: {text}`"),
                None => format!("`{key}`"),
            };
            let harmless = key == "stop_signal" && value.text().is_some_and(is_usual)
                || key == "restart" && value.text() != Some("no");
            match why {
                _ if harmless => {}
                Some(why) => service.note(Place::Service, format!("{shown} is not carried over: {why}.")),
                None if is_known => {}
                None => {
                    service.note(Place::Service, format!("{shown} is not carried over: there is no such thing here."));
                }
            }
        }
    }
}

/// Has a program that wants to own its folder store things in one below its volume.
pub(crate) fn own_folder(service: &mut Service, repository: Option<&str>) {
    let folders: Vec<&String> = service.container.volumes.values().collect();
    let below = repository.and_then(|repository| folders.iter().find_map(|at| known::below_volume(repository, at)));
    let Some((variable, folder)) = below.filter(|(variable, _)| !service.env.contains_key(*variable)) else { return };
    service.note(
        Place::Env,
        format!("`{variable}` is below its volume: it wants to own the folder that it stores things in."),
    );
    service.env.insert(variable.to_owned(), folder);
}

/// Whether a program is told to end by what it is told by here.
fn is_usual(signal: &str) -> bool {
    ["SIGTERM", "TERM", "15"].contains(&signal)
}

fn set(service: &mut Service, name: String, value: String) {
    if name == "PORT" && service.port.is_none() {
        service.port = value.parse().ok();
    }
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    match valid {
        true => {
            service.env.insert(name, value);
        }
        false => service.note(Place::Env, format!("`{}` is not carried over: no name of a variable.", escaped(&name))),
    }
}

/// Bytes such as `512M`, `1.5gb` or `1073741824`, in whole MiB.
fn memory(text: &str) -> Option<Memory> {
    let text = text.trim().to_lowercase();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[number.len()..].trim_end_matches('b').chars().next() {
        None => 1.0,
        Some('k') => 1024.0,
        Some('m') => 1024.0 * 1024.0,
        Some('g') => 1024.0 * 1024.0 * 1024.0,
        Some(_) => return None,
    };
    let mebibytes = (number.parse::<f64>().ok()? * unit / 1024.0 / 1024.0).ceil();
    (mebibytes >= 1.0).then(|| format!("{}Mi", mebibytes.max(6.0)).parse().ok())?
}

/// Cores such as `0.5`.
fn cpu(text: &str) -> Option<Cpu> {
    let thousandths = (text.trim().parse::<f64>().ok()? * 1000.0).round();
    (thousandths > 0.0).then(|| format!("{}m", thousandths.max(10.0)).parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_here() {
        for (text, wanted) in
            [("512M", Some("512Mi")), ("1.5gb", Some("1536Mi")), ("1073741824", Some("1Gi")), ("x", None)]
        {
            assert_eq!(memory(text).map(|memory| memory.to_string()).as_deref(), wanted, "{text}");
        }
        assert_eq!(["0.5", "2", "0.001"].map(|text| cpu(text).unwrap().to_string()), ["500m", "2", "10m"]);
    }
}
