//! What an environment can set, and what was set parsed into types.

use super::aws::{self, Aws, Compute};
use super::cluster::{Cluster, NameServer, PullSecret};
use super::container::{EngineKind, Platform, Registry};
use super::decode::choose;
use super::environment::{BuildPlace, Environment, Origin, Ports, Setting};
use super::error::{Place, Sink, quoted};
use super::name::{DeploymentId, EnvironmentName};
use super::service_settings;
use super::source;
use super::system::TargetKind::{self, Containers, Eks, Host, Kubernetes};
use super::trace::Reading;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

pub(super) const FOLDER: &str = "deploy/environments";

/// Every setting, and the targets on which it does something. `env.NAME` is one on all of them,
/// `terraform.NAME` on `eks`.
pub(super) const SETTINGS: [(&str, &[TargetKind]); 30] = [
    ("target", &TargetKind::ALL),
    ("deployment_id", &TargetKind::ALL),
    ("ports", &[Host, Containers]),
    ("bind", &[Host, Containers]),
    ("engine", &TargetKind::ALL),
    ("build", &TargetKind::ALL),
    ("registry", &[Host, Containers, Kubernetes]),
    ("mirror", &[Kubernetes]),
    ("platforms", &TargetKind::ALL),
    ("context", &[Kubernetes]),
    ("ingress_class", &[Kubernetes]),
    ("ingress_address", &[Kubernetes]),
    ("ingress_namespace", &[Kubernetes]),
    ("storage_class", &[Kubernetes, Eks]),
    ("domain", &[Kubernetes, Eks]),
    ("namespace_prefix", &[Kubernetes, Eks]),
    ("listen", &[Kubernetes, Eks]),
    ("dns", &[Kubernetes, Eks]),
    ("pull_secrets", &[Kubernetes, Eks]),
    ("replicas", &[Kubernetes, Eks]),
    ("max_failed", &[Kubernetes, Eks]),
    ("probe_rate", &[Kubernetes, Eks]),
    ("account", &[Eks]),
    ("profile", &[Eks]),
    ("region", &[Eks]),
    ("hosted_zone", &[Eks]),
    ("certificate_arn", &[Eks]),
    ("compute", &[Eks]),
    ("controller_repository", &[Eks]),
    ("access_cidrs", &[Eks]),
];

pub(super) const VARIABLE_PREFIX: &str = "env.";
pub(super) const TERRAFORM_PREFIX: &str = "terraform.";
pub(super) const PREFIXES: [&str; 2] = [VARIABLE_PREFIX, TERRAFORM_PREFIX];
/// Those that can be written as a list, too.
pub(super) const LISTS: [&str; 2] = ["dns", "pull_secrets"];
/// Where the load balancer controller's chart is published.
const EKS_CHARTS: &str = "https://aws.github.io/eks-charts";

/// A value as it was set last, and where.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) value: String,
    pub(super) place: Place,
}

pub(super) type Layered = BTreeMap<String, Set>;

/// What was set, parsed into types. `path` is the file that is asked for what is missing.
pub(super) fn resolve(name: EnvironmentName, path: &str, layered: Layered, sink: &Sink) -> Option<Environment> {
    let target = read_target(path, &layered, sink)?;
    check_use(target, &layered, sink);
    let places: BTreeMap<String, Place> = layered.iter().map(|(key, set)| (key.clone(), set.place.clone())).collect();
    let mut settings = Settings { target, layered, sink, origins: Vec::new() };
    let id = settings.parse("deployment_id", name.as_str(), DeploymentId::from_str);
    let ports = settings.choose("ports", "prefer", &PORTS);
    let bind = settings.parse("bind", "127.0.0.1", parse_address);
    let engine = settings.choose("engine", "any", &ENGINES);
    let build = settings.choose("build", "auto", &BUILD_PLACES);
    let registry = settings.parse("registry", "", |text| optional(text, Registry::from_str));
    let mirror = settings.parse("mirror", "false", |text| choose(text, &[("false", false), ("true", true)]));
    let platforms = settings.parse("platforms", "", parse_platforms);
    let cluster = settings.cluster();
    let aws = settings.aws();
    if let (Eks, Some(aws), Some(id)) = (target, &aws, &id) {
        for (key, message) in aws::contradictions(aws, id) {
            let place = places.get(key).cloned().unwrap_or_else(|| source::file(path));
            refuse(key, place, message, sink);
        }
    }
    Some(Environment {
        name,
        target,
        deployment_id: id?,
        ports: ports?,
        bind: bind?,
        engine: engine?,
        build: build?,
        registry: registry?,
        mirror: mirror?,
        platforms: platforms?,
        cluster: cluster?,
        aws: Some(aws?).filter(|_| target == Eks),
        env: settings.prefixed(VARIABLE_PREFIX),
        service_env: service_settings::variables(&settings.layered),
        origins: settings.into_origins(),
    })
}

const PORTS: [(&str, Ports); 3] = [("prefer", Ports::Prefer), ("declared", Ports::Declared), ("free", Ports::Free)];

const EVERYWHERE: [(&str, IpAddr); 2] =
    [("0.0.0.0", IpAddr::V4(Ipv4Addr::UNSPECIFIED)), ("::", IpAddr::V6(Ipv6Addr::UNSPECIFIED))];

const ENGINES: [(&str, Option<EngineKind>); 3] =
    [("any", None), ("docker", Some(EngineKind::Docker)), ("podman", Some(EngineKind::Podman))];

const COMPUTE: [(&str, Compute); 2] = [("nodes", Compute::Nodes), ("auto", Compute::Auto)];

const BUILD_PLACES: [(&str, BuildPlace); 3] =
    [("auto", BuildPlace::Auto), ("host", BuildPlace::Host), ("inside", BuildPlace::Inside)];

/// Nothing, or something well formed.
fn optional<T, E>(text: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, E> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

/// Names between commas, each once.
fn parse_platforms(text: &str) -> Result<Vec<Platform>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let platforms: BTreeSet<Platform> = names.map(str::parse).collect::<Result<_, _>>()?;
    Ok(platforms.into_iter().collect())
}

/// What stands between commas, in its order.
fn parse_list<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::parse).collect()
}

/// What a cluster calls something.
fn parse_name(text: &str) -> Result<String, String> {
    // An argument of a program must not be taken for a flag.
    let plain = !text.starts_with('-') && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    if plain { Ok(text.to_owned()) } else { Err(format!("{} is not a name", quoted(text))) }
}

fn parse_count(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let (least, most) = (range.start(), range.end());
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{} is not a number from {least} to {most}", quoted(text)))
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("{} is not an IP address such as `127.0.0.1`", quoted(text)))
}

fn read_target(path: &str, layered: &Layered, sink: &Sink) -> Option<TargetKind> {
    let choices = TargetKind::ALL.map(|target| (target.as_str(), target));
    sink.note("target", Reading::choice(&choices));
    let Some(set) = layered.get("target") else {
        let place = Place::File { path: path.to_owned(), line: Some(1) };
        let names = choices.map(|(name, _)| format!("`{name}`"));
        sink.report(place, format!("missing key `target`; valid values: {}", names.join(", ")));
        return None;
    };
    choose(&set.value, &choices).map_err(|message| set.report("target", message, sink)).ok()
}

fn does_something(key: &str, target: TargetKind) -> bool {
    SETTINGS.iter().any(|(known, targets)| *known == key && targets.contains(&target))
}

/// Reports settings that do nothing on the target.
fn check_use(target: TargetKind, layered: &Layered, sink: &Sink) {
    for (key, targets) in SETTINGS {
        let Some(set) = layered.get(key) else {
            continue;
        };
        if !targets.contains(&target) {
            let names: Vec<String> = targets.iter().map(|target| format!("`{target}`")).collect();
            let names = names.join(", ");
            set.report(key, format!("does nothing on target `{target}`; it is for {names}"), sink);
        }
    }
    let platform = layered.iter().filter(|(key, _)| key.starts_with(TERRAFORM_PREFIX) && target != Eks);
    platform
        .for_each(|(key, set)| set.report(key, format!("does nothing on target `{target}`; it is for `{Eks}`"), sink));
    service_settings::check_use(target, layered, sink);
}

/// A flag is named by its place.
pub(super) fn refuse(key: &str, place: Place, message: String, sink: &Sink) {
    let message = match place {
        Place::File { .. } => format!("`{key}`: {message}"),
        Place::Flag(_) => message,
    };
    sink.report(place, message);
}

impl Set {
    fn report(&self, key: &str, message: String, sink: &Sink) {
        refuse(key, self.place.clone(), message, sink);
    }

    fn setting(self, key: String) -> Setting {
        let origin = match self.place {
            Place::File { path, line } => Origin::File { path, line: line.unwrap_or(1) },
            Place::Flag(_) => Origin::Flag,
        };
        let value = self.value;
        Setting { key, value, origin }
    }
}

/// What was set, while it is parsed into types.
struct Settings<'s> {
    target: TargetKind,
    layered: Layered,
    sink: &'s Sink,
    origins: Vec<Setting>,
}

impl Settings<'_> {
    fn parse<T, E: Display>(&mut self, key: &str, default: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let set = self.layered.remove(key);
        let text = set.as_ref().map_or(default, |set| &set.value);
        let parsed = parse(text).map_err(|error| match &set {
            Some(set) => set.report(key, error.to_string(), self.sink),
            None => self.sink.report(source::file(FOLDER), format!("`{key}`: {error}")),
        });
        let unset = || Setting { key: key.to_owned(), value: default.to_owned(), origin: Origin::Default };
        match set {
            Some(set) => self.origins.push(set.setting(key.to_owned())),
            None if does_something(key, self.target) => self.origins.push(unset()),
            None => {}
        }
        parsed.ok()
    }

    fn choose<T: Copy>(&mut self, key: &str, default: &str, choices: &[(&'static str, T)]) -> Option<T> {
        self.sink.note(key, Reading::choice(choices));
        self.parse(key, default, |text| choose(text, choices))
    }

    fn cluster(&mut self) -> Option<Cluster> {
        let context = self.parse("context", "", |text| optional(text, parse_name));
        let ingress_class = self.parse("ingress_class", "", |text| optional(text, parse_name));
        let ingress_address = self.parse("ingress_address", "", |text| optional(text, FromStr::from_str));
        let ingress_namespace = self.parse("ingress_namespace", "", |text| optional(text, parse_name));
        let storage_class = self.parse("storage_class", "", |text| optional(text, parse_name));
        let domain = self.parse("domain", "", |text| optional(text, FromStr::from_str));
        let namespace_prefix = self.parse("namespace_prefix", "", FromStr::from_str);
        let listen = self.choose("listen", "0.0.0.0", &EVERYWHERE);
        let dns = self.parse("dns", "", parse_list::<NameServer>);
        let pull_secrets = self.parse("pull_secrets", "", parse_list::<PullSecret>);
        let replicas = self.parse("replicas", "2", |text| parse_count(text, 1..=100));
        let max_failed = self.parse("max_failed", "0", |text| parse_count(text, 0..=u32::MAX));
        let probe_rate = self.parse("probe_rate", "20", |text| parse_count(text, 1..=1000));
        Some(Cluster {
            context: context?,
            ingress_class: ingress_class?,
            ingress_address: ingress_address?,
            ingress_namespace: ingress_namespace?,
            storage_class: storage_class?,
            domain: domain?,
            namespace_prefix: namespace_prefix?,
            listen: listen?,
            dns: dns?,
            pull_secrets: pull_secrets?,
            replicas: replicas?,
            max_failed: max_failed?,
            probe_rate: probe_rate?,
        })
    }

    /// All of them are parsed whatever the target is, so that what is set where it does nothing is told as such.
    fn aws(&mut self) -> Option<Aws> {
        let account = self.parse("account", "", |text| optional(text, FromStr::from_str));
        let profile = self.parse("profile", "", |text| optional(text, parse_name));
        let region = self.parse("region", "us-east-1", FromStr::from_str);
        let hosted_zone = self.parse("hosted_zone", "", |text| optional(text, FromStr::from_str));
        let certificate_arn = self.parse("certificate_arn", "", |text| optional(text, FromStr::from_str));
        let compute = self.choose("compute", "nodes", &COMPUTE);
        let controller_repository = self.parse("controller_repository", EKS_CHARTS, FromStr::from_str);
        let access_cidrs = self.parse("access_cidrs", "", aws::parse_cidrs);
        Some(Aws {
            account: account?,
            profile: profile?,
            region: region?,
            hosted_zone: hosted_zone?,
            certificate_arn: certificate_arn?,
            compute: compute?,
            controller_repository: controller_repository?,
            access_cidrs: access_cidrs?,
            terraform: self.prefixed(TERRAFORM_PREFIX),
        })
    }

    /// Those of `[env]`, or of `[terraform]`.
    fn prefixed(&self, prefix: &str) -> BTreeMap<String, String> {
        let named = self.layered.iter().filter_map(|(key, set)| {
            let name = key.strip_prefix(prefix)?;
            Some((name.to_owned(), set.value.clone()))
        });
        named.collect()
    }

    /// Where each setting came from; those that no type was asked for are text as it is.
    fn into_origins(mut self) -> Vec<Setting> {
        let rest = std::mem::take(&mut self.layered);
        let rest = rest.into_iter().map(|(key, set)| set.setting(key));
        self.origins.extend(rest);
        self.origins.sort_by(|a, b| a.key.cmp(&b.key));
        self.origins
    }
}
