//! Loads all systems and the images they use, and checks what takes more than one file.

use super::cluster_files::DeclaredFile;
use super::cluster_jobs::DeclaredJob;
use super::decode::{At, Document};
use super::error::{Place, Sink, SpecError, SpecErrors, find};
use super::image::ImagePins;
use super::image_file;
use super::name::{ServiceName, SystemName};
use super::service_file::Known;
use super::source::{self, Source};
use super::system::{Presence, Service, System, TargetKind};
use super::system_file::{self, Draft};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

pub(super) const SYSTEMS: &str = "deploy/systems";
const CRATES: &str = "app";

/// What is deployed.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Sorted by name.
    pub systems: Vec<System>,
    pub images: ImagePins,
    /// Where the ports are declared that services take of a machine.
    pub(super) ports: Vec<DeclaredPort>,
    /// Where it is said which files services are given.
    pub(super) files: Vec<DeclaredFile>,
    /// Where jobs are declared.
    pub(super) jobs: Vec<DeclaredJob>,
}

/// The port that a service takes of a machine, and where that is written down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeclaredPort {
    pub(super) system: SystemName,
    pub(super) service: ServiceName,
    /// The name of a further one.
    port: Option<String>,
    place: Place,
    /// What a message about it begins with.
    prefix: String,
}

impl Spec {
    /// The ports of a machine that more than one service declares there, as errors: where every service has to have its
    /// own port, these cannot all run. `named` narrows them to those that one of these systems is part of.
    ///
    /// # Errors
    /// When there are any.
    pub fn check_ports(&self, target: TargetKind, named: &[SystemName]) -> Result<(), SpecErrors> {
        let mut taken: BTreeMap<u16, Vec<(&System, &DeclaredPort)>> = BTreeMap::new();
        let sink = Sink::default();
        for declared in &self.ports {
            let Some(system) = self.systems.iter().find(|system| system.name == declared.system) else { continue };
            let mut services = system.services.iter().filter(|service| service.name == declared.service);
            let port = services.find_map(|service| taken_port(service, declared.port.as_ref(), target));
            let Some(port) = port else { continue };
            let concerned = |other: &&System| named.contains(&system.name) || named.contains(&other.name);
            let others = taken.entry(port).or_default();
            if let Some((_, other)) = others.iter().find(|(system, _)| named.is_empty() || concerned(system)) {
                let prefix = &declared.prefix;
                let message = format!(
                    "{prefix}port {port} is that of `{}` too ({}); give one of them a `host_port` of its own",
                    other.service.shown(),
                    other.place
                );
                sink.report(declared.place.clone(), message);
            }
            others.push((system, declared));
        }
        sink.finish(Some(()))
    }
}

/// The port that a service takes of a machine which it shares with others: of containers only what is public does.
fn taken_port(service: &Service, further: Option<&String>, target: TargetKind) -> Option<u16> {
    let (port, public) = match further {
        None => (service.host_port?, service.holds_public_name()),
        Some(name) => service.ports.get(name).map(|further| (further.host_port, further.public))?,
    };
    let shared = target == TargetKind::Host || target == TargetKind::Containers && public;
    let there = service.targets.contains(&target) && service.presence != Presence::WhenReplicated;
    (shared && there).then_some(port)
}

/// What can be read of the files, and what is wrong with the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Readable {
    /// Without the systems whose file has something wrong in it.
    pub spec: Spec,
    /// Those systems: what they declare is not known.
    pub unreadable: BTreeSet<SystemName>,
    /// All that is wrong; `None` when nothing is.
    pub errors: Option<SpecErrors>,
}

/// Loads `deploy/systems/` and `deploy/images.toml` with its `images.local.toml` below the root.
///
/// Reads files only. The error has everything that is wrong with all of them.
pub fn load(root: &Path) -> Result<Spec, SpecErrors> {
    let read = load_readable(root);
    match read.errors {
        None => Ok(read.spec),
        Some(errors) => Err(errors),
    }
}

/// The same, as far as the files can be read: one that cannot be read does not stand in the way of the others.
pub fn load_readable(root: &Path) -> Readable {
    let sink = Sink::default();
    let (images, image_names) = image_file::read(root, &sink);
    let known = Known { crates: programs(root).into_keys().collect(), images: image_names, root: root.to_owned() };
    let sources = read_systems(root, &sink);
    let documents: Vec<(SystemName, Document<'_>)> = sources
        .iter()
        .filter_map(|(name, source)| {
            let document = Document::parse(&source.path, &source.text, &sink)?;
            Some((name.clone(), document))
        })
        .collect();
    let drafts: Vec<Draft<'_>> = documents
        .iter()
        .filter_map(|(name, document)| system_file::read(name, &document.root(&sink), &known))
        .collect();
    check_public_names(&drafts);
    // A file that could not be parsed may hold the very service that is looked for.
    if documents.len() == sources.len() {
        check_foreign(&drafts);
    }
    let ports = drafts.iter().flat_map(declared_ports).collect();
    let of_draft =
        |draft: &Draft<'_>| draft.files.iter().map(|file| DeclaredFile::of(&draft.system.name, file)).collect();
    let files = drafts.iter().flat_map(|draft| -> Vec<DeclaredFile> { of_draft(draft) }).collect();
    let of_draft = |draft: &Draft<'_>| draft.jobs.iter().map(|job| DeclaredJob::of(&draft.system.name, job)).collect();
    let jobs = drafts.iter().flat_map(|draft| -> Vec<DeclaredJob> { of_draft(draft) }).collect();
    let systems: Vec<System> = drafts.into_iter().map(|draft| draft.system).collect();
    match sink.finish(Some(())) {
        Ok(()) => {
            Readable { spec: Spec { systems, images, ports, files, jobs }, unreadable: BTreeSet::new(), errors: None }
        }
        Err(errors) => {
            let unreadable: BTreeSet<SystemName> = errors.iter().filter_map(SpecError::system).collect();
            let systems = systems.into_iter().filter(|system| !unreadable.contains(&system.name)).collect();
            Readable { spec: Spec { systems, images, ports, files, jobs }, unreadable, errors: Some(errors) }
        }
    }
}

fn read_systems(root: &Path, sink: &Sink) -> Vec<(SystemName, Source)> {
    let mut sources = Vec::new();
    for stem in source::stems(root, SYSTEMS, sink).unwrap_or_default() {
        let path = format!("{SYSTEMS}/{stem}.toml");
        match stem.parse::<SystemName>() {
            Ok(name) => {
                let source = source::read_optional(root, &path, sink);
                sources.extend(source.map(|source| (name, source)));
            }
            Err(error) => sink.report(source::file(&path), error.to_string()),
        }
    }
    sources
}

/// The packages below `app/` that are programs, with their folders, whatever those are called. A folder that cannot be
/// listed has none.
pub fn programs(root: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(root.join(CRATES)).into_iter().flatten();
    let named = |entry: fs::DirEntry| Some((program(&entry.path())?, Path::new(CRATES).join(entry.file_name())));
    entries.flatten().filter_map(named).collect()
}

/// The name of the package in a folder, if it has a program. A manifest that cannot be read is cargo's to complain of.
fn program(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let has_main = folder.join("src/main.rs").is_file() || folder.join("src/bin").is_dir();
    let Ok(manifest) = DeTable::parse(&text) else {
        return folder.file_name()?.to_str().filter(|_| has_main).map(str::to_owned);
    };
    let manifest = manifest.get_ref();
    let is_program = has_main || manifest.get("bin").is_some_and(|bins| bins.get_ref().is_array());
    let name = manifest.get("package")?.get_ref().as_table()?.get("name")?.get_ref().as_str()?;
    is_program.then(|| name.to_owned())
}

/// Only services of one system share a public name.
fn check_public_names(drafts: &[Draft<'_>]) {
    let mut first: BTreeMap<&ServiceName, (&System, &Service)> = BTreeMap::new();
    for draft in drafts {
        let system = &draft.system;
        for service in system.services.iter().filter(|service| service.public) {
            let name = &service.public_name.name;
            // Two services of one name are told by that.
            let is_told = |(of, other): &(&System, &Service)| of.name == system.name || other.name == service.name;
            let Some((other, _)) = first.insert(name, (system, service)).filter(|other| !is_told(other)) else {
                continue;
            };
            if let Some((_, at)) = draft.declared.iter().find(|(declared, _)| *declared == service.name) {
                at.report(format!("its public name `{name}` is one of the system `{}` already", other.name));
            }
        }
    }
}

fn declared_ports(draft: &Draft<'_>) -> Vec<DeclaredPort> {
    let declared = |(name, port, at): &(ServiceName, Option<String>, At<'_>)| DeclaredPort {
        system: draft.system.name.clone(),
        service: name.clone(),
        port: port.clone(),
        place: at.place(),
        prefix: at.prefix(),
    };
    draft.host_ports.iter().map(declared).collect()
}

/// Of the services of all systems, one is named alone where only one has that name.
fn check_foreign(drafts: &[Draft<'_>]) {
    let declared = || drafts.iter().flat_map(|draft| draft.declared.iter().map(|(name, _)| (&draft.system.name, name)));
    let full: BTreeMap<String, &ServiceName> =
        declared().map(|(system, name)| (format!("{system}/{name}"), name)).collect();
    for (draft, foreign) in drafts.iter().flat_map(|draft| draft.foreign.iter().map(move |foreign| (draft, foreign))) {
        let shown = foreign.service.shown();
        let own = draft.declared.iter().any(|(name, _)| *name == foreign.service);
        let all: Vec<String> =
            full.iter().filter(|(_, name)| **name == &foreign.service).map(|(full, _)| format!("`{full}`")).collect();
        if own || full.contains_key(&shown) {
            continue;
        }
        let known = declared().map(|(_, name)| name.as_str()).chain(["outside", "other-services"]);
        if let Err(message) = find(&shown, "origin", "valid origins", known) {
            foreign.at.report(message);
        } else if all.len() > 1 {
            foreign.at.report(format!("several systems have a service `{shown}`; name one: {}", all.join(", ")));
        }
    }
}
