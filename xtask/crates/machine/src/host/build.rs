//! Builds the services' binaries with cargo, all that need it in one invocation, and keeps each under its content key.

use crate::supervised::Supervised;
use crate::supervised::runtime::BuildErrors;
use anyhow::{Context, Result};
use base::error::Fault;
use base::files;
use base::proc::{CommandLine, Proc};
use base::text::counted;
use builds::{Compiler, Manner, Sources, beyond};
use engine::home::Home;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Preview, Work};
use keys::Manifest;
use model::name::ServiceName;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use tools::cargo;

/// The file beside an artifact that lists what it was built from.
pub(super) const INPUTS: &str = "inputs";

/// A binary to have: the service, its crate and what it is built from.
#[derive(Debug, Clone)]
pub(super) struct DesiredBinary {
    pub(super) service: ServiceName,
    pub(super) name: String,
    pub(super) manifest: Manifest,
}

impl DesiredBinary {
    pub(super) fn key(&self) -> String {
        self.manifest.key().to_string()
    }

    fn folder(&self, home: &Home) -> PathBuf {
        home.artifacts(&self.service).join(self.key())
    }

    pub(super) fn is_kept(&self, home: &Home) -> bool {
        self.folder(home).join(self.service.as_str()).is_file()
    }
}

/// What changed since the version of a service with this key; nothing when that is not known.
pub(super) fn changes_since(home: &Home, service: &ServiceName, now: &Manifest, key: &str) -> Vec<String> {
    let inputs = home.artifacts(service).join(key).join(INPUTS);
    let old = std::fs::read_to_string(inputs).ok().and_then(|text| Manifest::from_text(&text).ok());
    let changes = old.map(|old| keys::diff(&old, now)).unwrap_or_default();
    changes.iter().map(ToString::to_string).collect()
}

/// The binaries that the given crates stand for at this moment.
///
/// # Errors
/// When the sources cannot be read or the compiler does not say what it is.
pub(super) fn wanted(core: &Supervised, proc: &Proc, crates: &[(ServiceName, String)]) -> Result<Vec<DesiredBinary>> {
    let root = &core.deployment.root;
    let names: BTreeSet<&str> = crates.iter().map(|(_, name)| name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let manner = Manner { compiler: Compiler::Here, profile: None };
    let sources = Sources::read(root, &core.vars, proc, manner, &names)?;
    let wanted = |(service, name): &(ServiceName, String)| {
        let mut manifest = sources.built_here(name)?;
        let completed = beyond::complete(core.home(), root, &mut manifest);
        Some(completed.map(|()| DesiredBinary { service: service.clone(), name: name.clone(), manifest }))
    };
    crates.iter().filter_map(wanted).collect()
}

pub(super) struct BuildWork {
    pub(super) core: Arc<Supervised>,
    pub(super) wanted: Vec<DesiredBinary>,
    pub(super) errors: BuildErrors,
    pub(super) cargo: CommandLine,
}

impl BuildWork {
    fn missing(&self) -> Vec<&DesiredBinary> {
        self.wanted.iter().filter(|wanted| !wanted.is_kept(self.core.home())).collect()
    }

    fn command(&self, missing: &[&DesiredBinary]) -> CommandLine {
        let crates: BTreeSet<_> = missing.iter().map(|wanted| wanted.name.clone()).collect();
        let (crates, between) = (crates.into_iter().collect::<Vec<_>>(), cargo::build_directory(&self.core.vars));
        let built = self.core.home().built();
        // cargo runs at the root, and a line without it is the same in every checkout.
        let built = built.strip_prefix(&self.core.deployment.root).unwrap_or(&built);
        cargo::build(self.cargo.clone(), &crates, built, between.as_deref())
    }

    pub(super) fn preview(&self) -> Vec<Preview> {
        let missing = self.missing();
        if missing.is_empty() {
            return vec![Preview::Do("nothing: every binary is current".to_owned())];
        }
        vec![Preview::Run(self.command(&missing))]
    }
}

impl Work for BuildWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let all = || counted(self.wanted.len(), "binary is", "binaries are");
        Ok(self.missing().is_empty().then(|| format!("{} current", all())))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let mut missing = self.missing();
        // What cannot be started need not be built.
        missing.retain(|wanted| !self.has_conflict(&wanted.service));
        if missing.is_empty() {
            return Ok(Outcome::DoneWith("nothing that could be started".to_owned()));
        }
        self.core.enter_folder("built", None, &self.core.home().built())?;
        let compiled = builds::compile(cx, &self.command(&missing))?;
        let changed = self.changed_meanwhile(cx, &missing)?;
        let mut built = 0;
        // What has the same key is the same binary; nobody writes to one that is kept.
        let mut kept: BTreeMap<(&str, String), PathBuf> = BTreeMap::new();
        for wanted in &missing {
            let error = match (compiled.binary(&wanted.name), changed.get(&wanted.service)) {
                (Ok(binary), None) => {
                    let same = kept.entry((&wanted.name, wanted.key()));
                    let file = wanted.folder(self.core.home()).join(wanted.service.as_str());
                    let from = same.or_insert(file);
                    beyond::learn(self.core.home(), &self.core.deployment.root, &wanted.manifest, binary)?;
                    keep(wanted, binary, from, self.core.home())?;
                    built += 1;
                    continue;
                }
                (Ok(_), Some(change)) => format!("{change} while it was being built; deploy again"),
                (Err(error), _) => error,
            };
            self.errors.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted.service.clone(), error);
        }
        // While other systems have all that they need, those that failed are told by their own starts.
        if built == 0 && missing.len() == self.wanted.len() {
            return Err(self.nothing_built(&compiled.said).into());
        }
        Ok(Outcome::DoneWith(format!("built {built} of {}", missing.len())))
    }
}

impl BuildWork {
    fn has_conflict(&self, service: &ServiceName) -> bool {
        self.core.system_of(service).is_some_and(|system| self.core.conflict(&system.name).is_some())
    }

    /// The services whose sources are not what they were when the build began, with the first change. What was built
    /// of them belongs to no key.
    fn changed_meanwhile(&self, cx: &StepCx<'_>, missing: &[&DesiredBinary]) -> Result<BTreeMap<ServiceName, String>> {
        let crates: Vec<_> = missing.iter().map(|wanted| (wanted.service.clone(), wanted.name.clone())).collect();
        let now = wanted(&self.core, cx.proc, &crates)?;
        let first_change = |now: &DesiredBinary| {
            let before = missing.iter().find(|before| before.service == now.service)?;
            let change = keys::diff(&before.manifest, &now.manifest).into_iter().next()?;
            Some((now.service.clone(), change.to_string()))
        };
        Ok(now.iter().filter_map(first_change).collect())
    }

    fn nothing_built(&self, stderr: &str) -> Fault {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let first = errors.values().next().map_or(stderr, String::as_str);
        Fault::failed("build-failed", format!("cargo built nothing:\n{first}"))
    }
}

/// Copies a binary to where no later build reaches it, or takes the copy that is there already. It gets its name last,
/// so that a file of that name is whole.
fn keep(wanted: &DesiredBinary, binary: &Path, copied: &Path, home: &Home) -> Result<()> {
    let folder = wanted.folder(home);
    files::write_private(&folder.join(INPUTS), wanted.manifest.to_text().as_bytes())?;
    let beside = folder.join("incomplete");
    files::remove(&beside)?;
    // Not every file system links.
    let linked = std::fs::hard_link(copied, &beside).is_ok();
    let copy = || {
        if !linked {
            std::fs::copy(binary, &beside)?;
        }
        std::fs::rename(&beside, folder.join(wanted.service.as_str()))
    };
    copy().with_context(|| format!("keep `{}` in `{}`", binary.display(), folder.display()))
}

/// Removes the artifacts of a service that no kept revision names.
pub(super) fn prune(home: &Home, service: &ServiceName, named: &BTreeSet<String>) {
    let Ok(folders) = std::fs::read_dir(home.artifacts(service)) else { return };
    for folder in folders.flatten() {
        if !named.contains(&*folder.file_name().to_string_lossy()) {
            // What cannot be removed now is tried again after the next deploy.
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}
