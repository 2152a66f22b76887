//! Reads one service of a system's file.

use super::alias::{self, Alias};
use super::asset_file::{self, AssetAt};
use super::build_file;
use super::container::Container;
use super::container_file;
use super::decode::{At, Table, Value};
use super::error::find;
use super::grammar::{check_any_variable, check_variable, check_word};
use super::host_file::{self, Host};
use super::name::ServiceName;
use super::public_name;
use super::reach;
use super::secret_file;
use super::system::{
    HostProgram, HostRun, Managed, Piece, Presence, Probe, Reference, Scale, Service, Source, TargetKind, Template,
};
use super::system_file::read_was;
use super::{port_file, probe_file};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(30);
/// Longer than the 20 seconds that this repository's services give the requests in flight.
const STOP_WITHIN: Duration = Duration::from_secs(30);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

const PRESENCES: [(&str, Presence); 3] = [
    ("always", Presence::Always),
    ("when-replicated", Presence::WhenReplicated),
    ("when-available", Presence::WhenAvailable),
];

const MANAGED: [(&str, Managed); 1] = [("cache", Managed::Cache)];

/// How busy processors are kept, in percent, unless a service says otherwise.
pub(super) const SCALE_AT: u32 = 70;
/// What Kubernetes takes unless told (HorizontalPodAutoscaler, `stabilizationWindowSeconds`).
pub(super) const SCALE_SETTLES: Duration = Duration::from_secs(300);

/// Why there cannot be several of a service with volumes.
pub(super) const ALONE: &str = "a service with `volumes` is one alone: replicas cannot share them";

/// Why a worker cannot be public.
pub(super) const NOTHING_PUBLIC: &str = "a service without `port` has nothing that could be public";

/// What else a service may refer to.
pub(super) struct Known {
    /// The packages below `app/` that are programs.
    pub(super) crates: Vec<String>,
    /// The short names in the image file; none where that file cannot be read.
    pub(super) images: Option<Vec<String>>,
    /// The repository, in which Dockerfiles are, and files that services are given.
    pub(super) root: PathBuf,
}

/// A service as its table says it, and where what later checks look at is said.
pub(super) struct DraftService<'d> {
    pub(super) service: Service,
    pub(super) at: At<'d>,
    /// Where it is said which ports of a machine it takes, those further ones with their name.
    pub(super) ports_at: Vec<(Option<String>, At<'d>)>,
    pub(super) public_at: Option<At<'d>>,
    pub(super) needs_at: Vec<At<'d>>,
    pub(super) aliases: Vec<Alias<'d>>,
    pub(super) templates: Vec<PlacedTemplate<'d>>,
    pub(super) files_at: Vec<AssetAt<'d>>,
}

pub(super) struct PlacedTemplate<'d> {
    pub(super) role: Role,
    pub(super) template: Template,
    pub(super) at: At<'d>,
}

/// What a template is for; it decides what it may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Variable,
    Argument,
    File,
    Provided,
}

/// Reads the table of the service `name`.
pub(super) fn read<'d>(name: &ServiceName, value: &Value<'d>, known: &Known) -> Option<DraftService<'d>> {
    value.table(|table| read_table(name, table, known))?
}

fn read_table<'d>(name: &ServiceName, table: &Table<'d>, known: &Known) -> Option<DraftService<'d>> {
    let has = |key| table.optional(key).is_some();
    let is_image = has("image") && !has("crate");
    let is_foreign = is_image || has("dockerfile") && !has("crate");
    let mut templates = Vec::new();
    let source = read_source(table, known, &mut templates);
    let ports = port_file::read(table);
    let is_worker = ports.as_ref().is_some_and(|ports| ports.port.is_none());
    let (needs, needs_at) = read_needs(table);
    let aliases = alias::read(table);
    let reaches = reach::read(table);
    // What a stranger's image listens on, it may want to be told in its own way.
    let check = if is_foreign { check_any_variable } else { check_variable };
    let env = read_templates(table, "env", Role::Variable, check, &mut templates);
    let (ready, live) = probe_file::read(table, is_foreign, is_worker);
    let mut provides = read_templates(table, "provides", Role::Provided, check_word, &mut templates);
    for (name, template) in usual_provides().into_iter().filter(|_| !is_worker) {
        // What a stranger's image speaks is known only where it is asked over HTTP.
        if name != "url" || !is_image || ready.as_ref().is_some_and(Probe::is_http) {
            provides.entry(name.to_owned()).or_insert(template);
        }
    }
    provides.extend(ports.iter().flat_map(|ports| port_file::provides(&ports.further)));
    let secrets = secret_file::read(table, None);
    let (files, files_at) = asset_file::read(table, &known.root, &mut templates);
    let args = read_args(table, &mut templates);
    let said = public_name::read(table, name);
    if let Some(at) = said.at.as_ref().filter(|_| said.public && is_worker) {
        at.report(NOTHING_PUBLIC);
    }
    let team = table.optional("team").and_then(|value| value.parse());
    let presence = table.optional("presence").and_then(|value| value.choice(&PRESENCES));
    let managed = table.optional("managed").and_then(|value| value.choice(&MANAGED));
    let targets = table.optional("targets").and_then(|value| read_targets(&value));
    let ready_within = read_ready_within(table, ready.as_ref());
    let stop_within = read_wait(table, "stop_within", STOP_WITHIN);
    let replicas = table.optional("replicas").and_then(|value| value.number(1..=100)).map(u32::from);
    let scale = table.optional("scale").and_then(|value| read_scale(&value));
    let was = table.optional("was").map(|value| read_was(&value, name));
    let container = table.optional("container").and_then(|value| container_file::read(&value, is_foreign));
    check_alone(table, container.as_ref(), replicas);
    let (source, run) = source?;
    let ports = ports?;
    let service = Service {
        name: name.clone(),
        aliases: aliases.iter().map(|(alias, _)| alias.clone()).collect(),
        source,
        run,
        port: ports.port,
        host_port: ports.host_port,
        ports: ports.further,
        public: said.public,
        public_name: said.name,
        team,
        needs,
        reaches,
        presence: presence.unwrap_or(Presence::Always),
        managed,
        targets: targets.unwrap_or_else(|| TargetKind::ALL.into_iter().collect()),
        env,
        provides,
        secrets,
        files,
        args,
        ready: ready?,
        live: live?,
        ready_within,
        stop_within,
        replicas,
        scale,
        container: container.unwrap_or_default(),
        was: was.unwrap_or_default(),
    };
    let stores = |placed: &PlacedTemplate<'_>| placed.template.references().any(|one| *one == Reference::Data);
    let data = templates.iter().any(stores).then(|| service.data());
    asset_file::check(&service.files, &files_at, &service.container, data);
    Some(DraftService {
        service,
        at: table.at.clone(),
        ports_at: ports.places,
        public_at: said.at,
        needs_at,
        templates,
        files_at,
        aliases,
    })
}

/// A volume is for one replica alone, which every cluster has.
fn check_alone(table: &Table<'_>, container: Option<&Container>, replicas: Option<u32>) {
    let stores = container.is_some_and(|container| !container.volumes.is_empty());
    for key in ["replicas", "scale"] {
        let several = key == "scale" || replicas.is_some_and(|replicas| replicas > 1);
        if let Some(value) = table.optional(key).filter(|_| stores && several) {
            value.report(ALONE);
        }
    }
}

/// The keys that say what a service runs, and what each names.
const SOURCES: [(&str, &str); 3] = [
    ("crate", "a package in `app`"),
    ("dockerfile", "a folder with a Dockerfile"),
    ("image", "a name in `deploy/images.toml`"),
];

/// What it is made of, and the command that stands for it on `host`, where there is one.
fn read_source<'d>(
    table: &Table<'d>,
    known: &Known,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> Option<(Source, Option<HostRun>)> {
    let there = SOURCES.map(|(key, _)| table.optional(key));
    let (host, build) = (table.optional("host"), table.optional("build"));
    let first = there.iter().position(Option::is_some);
    if let Some(second) = there.iter().flatten().nth(1) {
        let keys = SOURCES.map(|(key, _)| format!("`{key}`")).join(", ");
        second.report(format!("a service has one of {keys}, not two"));
        return None;
    }
    if let Some(build) = build.as_ref().filter(|_| first != Some(1)) {
        build.report("only for a service with `dockerfile`");
    }
    match there {
        [Some(name), ..] => {
            if let Some(host) = host {
                host.report("only for a service with `image` or `dockerfile`; a crate runs as it is");
            }
            let crates = known.crates.iter().map(String::as_str);
            read_known(&name, "crate", "programs in `app`", crates).map(|name| (Source::Crate(name), None))
        }
        [_, Some(folder), _] => {
            let build = build_file::read(&folder, build.as_ref(), known, templates);
            let dir = build.as_ref().map_or("", |build| &build.context);
            let (host, run) = read_host(host.as_ref(), known, dir, templates)?;
            Some((Source::Dockerfile { build: build?, host }, run))
        }
        [_, _, Some(name)] => {
            let host = read_host(host.as_ref(), known, "", templates);
            let image = match &known.images {
                Some(images) => {
                    let images = images.iter().map(String::as_str);
                    read_known(&name, "image", "images in `deploy/images.toml`", images)
                }
                None => name.text().map(str::to_owned),
            };
            let (host, run) = host?;
            Some((Source::Image { image: image?, host }, run))
        }
        _ => {
            let keys = SOURCES.map(|(key, what)| format!("`{key}` ({what})"));
            table.missing(&format!("one of {}", keys.join(", ")));
            None
        }
    }
}

/// How it is had on `host`, in a folder that is `dir` unless it says otherwise. A broken stand-in must not look like none.
fn read_host<'d>(
    value: Option<&Value<'d>>,
    known: &Known,
    dir: &str,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> Option<(Option<HostProgram>, Option<HostRun>)> {
    let Some(value) = value else { return Some((None, None)) };
    match host_file::read(value, &known.root, dir, templates)? {
        Host::Program(program) => Some((Some(program), None)),
        Host::Run(run) => Some((None, Some(run))),
    }
}

pub(super) fn read_known<'k>(
    value: &Value<'_>,
    kind: &str,
    what: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> Option<String> {
    value.checked(&|name| find(name, kind, what, known.clone()))
}

pub(super) fn read_needs<'d>(table: &Table<'d>) -> (Vec<ServiceName>, Vec<At<'d>>) {
    let values = table.optional("needs").and_then(|value| value.list());
    let parsed = values.into_iter().flatten().filter_map(|value| {
        let need: ServiceName = value.parse()?;
        Some((need, value.at))
    });
    parsed.unzip()
}

pub(super) fn read_targets(value: &Value<'_>) -> Option<BTreeSet<TargetKind>> {
    let targets = value.list()?;
    if targets.is_empty() {
        value.report("names no target");
    }
    let choices = TargetKind::ALL.map(|target| (target.as_str(), target));
    targets.iter().map(|target| target.choice(&choices)).collect()
}

fn read_templates<'d>(
    table: &Table<'d>,
    key: &'static str,
    role: Role,
    check_name: fn(&str) -> Result<(), String>,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> BTreeMap<String, Template> {
    let entries = table.optional(key).and_then(|value| value.entries());
    let mut read = BTreeMap::new();
    for (name, value) in entries.into_iter().flatten() {
        if let Err(message) = check_name(name) {
            value.report(message);
        }
        // One that is broken is there all the same for those that refer to it.
        let template = read_template(value, role, templates);
        read.insert(name.to_owned(), template.unwrap_or_else(|| Template(Vec::new())));
    }
    read
}

fn read_args<'d>(table: &Table<'d>, templates: &mut Vec<PlacedTemplate<'d>>) -> Vec<Template> {
    let values = table.optional("args").and_then(|value| value.list());
    let read = values.into_iter().flatten();
    read.filter_map(|value| read_template(value, Role::Argument, templates)).collect()
}

pub(super) fn read_template<'d>(
    value: Value<'d>,
    role: Role,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> Option<Template> {
    let template: Template = value.parse()?;
    templates.push(PlacedTemplate { role, template: template.clone(), at: value.at });
    Some(template)
}

/// What has to run for a while to be ready has that time as well.
fn read_ready_within(table: &Table<'_>, ready: Option<&Probe>) -> Duration {
    let runs = match ready {
        Some(Probe::Runs(runs)) => *runs,
        _ => Duration::ZERO,
    };
    let within = read_wait(table, "ready_within", READY_WITHIN + runs);
    if let Some(value) = table.optional("ready_within").filter(|_| within <= runs) {
        value.report(format!("it is ready after {}, which has to be less", humantime::format_duration(runs)));
    }
    within
}

fn read_wait(table: &Table<'_>, key: &'static str, default: Duration) -> Duration {
    let range = Duration::from_millis(1)..=LONGEST_WAIT;
    let wait = table.optional(key).and_then(|value| value.duration(range));
    wait.unwrap_or(default)
}

fn read_scale(value: &Value<'_>) -> Option<Scale> {
    value.table(|table| {
        let max = table.required("max").and_then(|value| value.number(1..=100));
        let cpu = table.optional("cpu").and_then(|value| value.number(1..=1000));
        let settle = table.optional("settle").and_then(|value| value.duration(Duration::ZERO..=LONGEST_WAIT));
        Some(Scale { max: max?.into(), cpu: cpu.map_or(SCALE_AT, u32::from), settle: settle.unwrap_or(SCALE_SETTLES) })
    })?
}

/// `http://${host}:${port}`: where a crate's service is reached, since each of them speaks HTTP.
/// What others may refer to of whatever has a port.
fn usual_provides() -> [(&'static str, Template); 4] {
    let (host, port) = (|| Piece::Reference(Reference::Host), || Piece::Reference(Reference::Port));
    let text = |text: &str| Piece::Text(text.to_owned());
    [
        ("host", Template(vec![host()])),
        ("port", Template(vec![port()])),
        ("address", Template(vec![host(), text(":"), port()])),
        ("url", Template(vec![text("http://"), host(), text(":"), port()])),
    ]
}
