//! Target `host`: the systems as processes of this machine.

mod build;
mod choice;
mod folder;
mod install;
mod launch;
mod planning;
mod provision;

use self::build::DesiredBinary;
use self::choice::{Choice, Choices};
use self::planning::{build_step, plan_system};
use self::provision::{Obstacle, Provision};
use super::supervised::addresses::reachable;
use super::supervised::publisher;
use super::supervised::recipe::{Folder, Program, Recipe};
use super::supervised::records::{newest_recipe, stored_in};
use super::supervised::revision::Revision;
use super::supervised::runtime::{Blocked, BuildErrors, Held, Provided, Publisher, Runtime};
use super::supervised::start::Secrets;
use super::supervised::{Supervised, teardown};
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::Fault;
use base::http::{Endpoint, Via};
use base::os;
use base::proc::CommandLine;
use engine::backend::{Remains, SkippedSystem};
use engine::deployment::Scope;
use engine::ledger::Entry;
use engine::plan::Step;
use engine::plan::runner::StepCx;
use engine::reconcile::{Stored, UnitId};
use engine::smoke;
use engine::teardown::Removal;
use keys::Manifest;
use model::job::Job;
use model::name::{ServiceName, SystemName};
use model::smoke::DeniedPath;
use model::system::{Reference, Service, System};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use supervisor::{InstanceStatus, LaunchSpec, ServiceStatus};

/// Services as processes of this machine.
#[derive(Default)]
pub(crate) struct Processes {
    /// What this run wants built, to say what changed since something else was.
    wanted: Mutex<Vec<DesiredBinary>>,
    /// What it wants run from folders.
    folders: Mutex<BTreeMap<ServiceName, Manifest>>,
    choices: Choices,
}

impl Runtime for Processes {
    fn provide(&self, core: &Arc<Supervised>, ctx: &Ctx) -> Result<Provided> {
        let mut found = Vec::new();
        let mut skipped = Vec::new();
        let (mut blocked, mut notes) = (Vec::new(), BTreeMap::new());
        for system in core.deployment.systems() {
            let moves = core.deployment.consent.move_state.contains(&system.name);
            let decided = if moves { Choice::new() } else { choice::recorded(core, system)? };
            let used = |service: &ServiceName| used_program(core, system, service);
            match provision::of_system(system, &decided, core, &used) {
                Ok(provisions) => {
                    let has = |service: &Service| (service.name.clone(), provisions.found.contains_key(&service.name));
                    self.choices.decide(&system.name, choice::optional(system).map(has).collect());
                    if !provisions.unused.is_empty() {
                        notes.insert(system.name.clone(), unused_note(core, system, &provisions.unused));
                    }
                    found.push((system.clone(), provisions.found));
                }
                // What ran here and cannot any more is a failure of the system, and no wish to have it gone.
                Err(Obstacle::Skipped(reason)) if core.ran(&system.name) => {
                    let cause = format!("`{}` ran here and cannot any more: {reason}", system.name);
                    let fault = Fault::failed("system-unavailable", cause);
                    blocked.push(Blocked { system: system.name.clone(), service: None, fault });
                }
                Err(Obstacle::Skipped(reason)) => skipped.push(SkippedSystem { name: system.name.clone(), reason }),
                Err(Obstacle::Lost { service, reason }) => {
                    blocked.push(Blocked {
                        system: system.name.clone(),
                        fault: lost(core, system, &service, &reason),
                        service: Some(service),
                    });
                }
            }
        }
        let wanted = wanted(core, ctx, found.iter().map(|(_, provisions)| provisions))?;
        let mut steps = Vec::new();
        let mut systems = Vec::new();
        for (system, provisions) in found {
            let folders = match self.folders(core, &provisions) {
                Ok(folders) => folders,
                // What cannot be read of one system's folder is no other's trouble.
                Err(error) => {
                    blocked.push(Blocked { system: system.name, service: None, fault: Fault::of(&error) });
                    continue;
                }
            };
            let planned = plan_system(core, &system, &provisions, (&wanted, &folders), &mut steps);
            systems.push((system, planned));
        }
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&wanted);
        let builds = wanted.iter().any(|wanted| !wanted.is_kept(core.home()));
        let errors = BuildErrors::default();
        steps.extend(build_step(core, ctx, wanted, &errors));
        Ok(Provided { systems, skipped, blocked, notes, steps, builds, errors, missing: Vec::new() })
    }

    fn does_without(&self, core: &Supervised, system: &System, service: &ServiceName) -> Result<bool> {
        Ok(choice::recorded(core, system)?.get(service) == Some(&false))
    }

    fn prerequisites(&self, _: &Arc<Supervised>, _: &System, _: &[Recipe], _: bool) -> Vec<Step> {
        Vec::new()
    }

    fn launch_spec(&self, core: &Supervised, recipe: &Recipe, secrets: Secrets) -> Result<Option<LaunchSpec>> {
        launch::spec(core, recipe, secrets)
    }

    fn job_launch(
        &self,
        core: &Supervised,
        _: &System,
        _: &Job,
        recipe: &Recipe,
        secrets: Secrets,
    ) -> Result<Option<LaunchSpec>> {
        launch::job(core, recipe, secrets)
    }

    fn refer(&self, core: &Supervised, service: &Service, reference: &Reference) -> Result<Option<String>> {
        launch::refer(core, service, reference)
    }

    fn file(&self, core: &Supervised, recipe: &Recipe, name: &str) -> Result<String> {
        let path = launch::file(core.home(), &recipe.service, name, recipe.asset(name)?);
        Ok(path.to_string_lossy().into_owned())
    }

    fn entries(&self, core: &Supervised, recipe: &Recipe, system: &SystemName) -> Vec<Entry> {
        let (service, system) = (&recipe.service, system.as_str());
        let data = core.path_entry("folder", &data_id(service), Some(system), &core.home().data(service));
        vec![data, core.log_entry(service, system)]
    }

    fn prepare(&self, core: &Supervised, recipe: &Recipe, system: &SystemName) -> Result<()> {
        let service = &recipe.service;
        self.choices.begin(core.home(), system)?;
        if let Program::Folder(folder) = &recipe.program {
            folder.check(core, service)?;
        }
        core.enter_folder(&data_id(service), Some(system.as_str()), &core.home().data(service))?;
        core.enter_log(service, system.as_str())?;
        core.write_assets(recipe, &launch::mode_of)
    }

    fn proven(&self, core: &Supervised, system: &SystemName) -> Result<()> {
        self.choices.settle(core.home(), system)
    }

    fn preview(&self, core: &Supervised, recipe: &Recipe) -> String {
        let (program, prefix) = launch::invocation(core, recipe);
        let args = prefix.into_iter().chain(recipe.args.iter().map(ToString::to_string));
        let shown = program.strip_prefix(&core.deployment.root).unwrap_or(&program);
        let address = core.addresses().ok().and_then(|all| all.get(&recipe.service).copied());
        let address = address.map_or_else(|| "<free port>".to_owned(), |address| address.to_string());
        let address = if recipe.worker { String::new() } else { format!(", on {address}") };
        let why = core.service(&recipe.service).and_then(|service| core.displacement(service));
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        let takeover = self.remark(core, recipe).map(|takeover| format!("; {takeover}")).unwrap_or_default();
        format!("under the supervisor{address}{why}: {}{takeover}", CommandLine::new(shown).args(args))
    }

    fn remark(&self, core: &Supervised, recipe: &Recipe) -> Option<String> {
        let status = core.supervised_of(std::slice::from_ref(&recipe.service)).unwrap_or_default();
        launch::takeover(recipe, status.first().and_then(|status| status.current.as_ref()))
    }

    fn elsewhere(&self, spec: &LaunchSpec, candidate: &InstanceStatus) -> Vec<u16> {
        if spec.listen == supervisor::NOWHERE {
            return Vec::new();
        }
        let is_admin = |port: u16| matches!(candidate.admin, Some(Via::Address(address)) if address.port() == port);
        let known = |port: &u16| *port == spec.listen.port() || is_admin(*port);
        let ports = candidate.pid.map(os::listening_ports).unwrap_or_default();
        ports.into_iter().filter(|port| !known(port)).collect()
    }

    fn prune(&self, core: &Supervised, service: &ServiceName, kept: &[Revision]) {
        let recipes = kept.iter().flat_map(|revision| &revision.recipes).filter(|recipe| recipe.service == *service);
        let key = |recipe: &Recipe| match &recipe.program {
            Program::Artifact { key } | Program::Folder(Folder { key, .. }) => Some(key.clone()),
            Program::Native { .. } | Program::Image(_) => None,
        };
        build::prune(core.home(), service, &recipes.filter_map(key).collect::<BTreeSet<_>>());
    }

    fn changes_since(&self, core: &Supervised, service: &ServiceName, version: &str) -> Vec<String> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let own = wanted.iter().find(|wanted| wanted.service == *service).map(|wanted| &wanted.manifest);
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let own = own.or_else(|| folders.get(service));
        own.map(|own| build::changes_since(core.home(), service, own, version)).unwrap_or_default()
    }

    fn takes_port(&self, _: &Service) -> bool {
        true
    }

    fn held(&self, core: &Supervised) -> Result<Held> {
        let status = core.supervised()?;
        let current = |service: &ServiceStatus| Some((service.service.clone(), service.current.clone()?));
        let held = status.iter().filter_map(current).filter(|(_, current)| !launch::has_lost_port(core, current));
        let held = held.map(|(service, current)| (service, current.listen));
        let mut serving = held.filter(|(_, listen)| *listen != supervisor::NOWHERE).collect();
        core.add_further(&mut serving)?;
        Ok(Held { serving })
    }

    fn publisher(&self, core: &Supervised, address: SocketAddr, holder: Option<&os::Holder>) -> Option<Publisher> {
        publisher::of_others(core, address, holder)
    }

    fn opened(&self, _: &Supervised, _: &ServiceName, listen: SocketAddr) -> Option<SocketAddr> {
        Some(listen).filter(|listen| *listen != supervisor::NOWHERE)
    }

    /// Where it runs, or else where it should.
    fn endpoint(&self, core: &Supervised, service: &ServiceName) -> Result<Endpoint, String> {
        let supervised = core.supervised_of(std::slice::from_ref(service)).map_err(|error| format!("{error:#}"))?;
        let current = supervised.into_iter().next().and_then(|status| status.current);
        let address = match current {
            Some(current) => Some(current.listen),
            None => core.addresses().map_err(|error| format!("{error:#}"))?.get(service).copied(),
        };
        address.map(|address| reachable(address).into()).ok_or_else(|| format!("`{service}` does not run"))
    }

    fn deny(&self, _: &Supervised, denied: &DeniedPath) -> smoke::Outcome {
        let reason = format!("all processes of this machine share its loopback, so nothing refuses `{}`", denied.to);
        smoke::Outcome::Skipped(reason)
    }

    fn removal(&self, _: &Arc<Supervised>, _: &System, _: bool) -> Option<Removal> {
        None
    }

    fn system_paths(&self, _: &Supervised, _: &SystemName) -> Vec<PathBuf> {
        Vec::new()
    }

    fn shared_folders(&self, core: &Supervised) -> Vec<PathBuf> {
        vec![core.home().tools()]
    }

    fn has_data(&self, core: &Supervised, service: &ServiceName) -> bool {
        let data = core.home().data(service);
        data.is_dir() && !teardown::paths::is_empty(&data)
    }

    fn stored(&self, core: &Supervised, service: &ServiceName) -> Option<Stored> {
        stored_in(&core.home().data(service))
    }

    fn shares_addresses(&self) -> bool {
        true
    }

    fn hand_over(&self, core: &Supervised, from: &ServiceName, to: &UnitId) -> Result<()> {
        let (source, target) = (core.home().data(from), core.home().data(&to.service));
        if !source.is_dir() {
            return Ok(());
        }
        core.enter_folder(&format!("{}{}", teardown::DATA, to.service), Some(to.system.as_str()), &target)?;
        // Only an empty folder is replaced.
        std::fs::rename(&source, &target)
            .with_context(|| format!("move `{}` to `{}`", source.display(), target.display()))
    }

    fn remove_leftovers(&self, _: &Supervised, _: &UnitId, _: &StepCx<'_>) -> Result<()> {
        Ok(())
    }

    fn find_remains(&self, _: &Supervised, _: &Scope, _: bool, _: &mut Remains) -> Result<()> {
        Ok(())
    }
}

impl Processes {
    /// The folders that services run from, as they are now.
    fn folders(
        &self,
        core: &Supervised,
        provisions: &BTreeMap<ServiceName, Provision>,
    ) -> Result<BTreeMap<ServiceName, Folder>> {
        let mut folders = BTreeMap::new();
        for (service, provision) in provisions {
            let Provision::Folder { run, program, .. } = provision else { continue };
            let (folder, manifest) = Folder::now(core, program.clone(), run)?;
            self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(service.clone(), manifest);
            folders.insert(service.clone(), folder);
        }
        Ok(folders)
    }
}

/// The program of this machine that a service was last started with.
fn used_program(core: &Supervised, system: &System, service: &ServiceName) -> Option<PathBuf> {
    match newest_recipe(core.home(), &system.name, service).ok()??.program {
        Program::Native { path, .. } => Some(path),
        Program::Artifact { .. } | Program::Folder(_) | Program::Image(_) => None,
    }
}

/// "`redis` could be had here, and `shortener` keeps its state without it; …"
fn unused_note(core: &Supervised, system: &System, unused: &[ServiceName]) -> String {
    let names: Vec<String> = unused.iter().map(|service| format!("`{service}`")).collect();
    let command = core.deployment.environment.command(&format!("deploy --move-state {}", system.name));
    let (names, system) = (names.join(", "), &system.name);
    format!(
        "{names} could be had here; `{system}` was deployed without and keeps its state where it is; `{command}` changes that"
    )
}

/// What a system kept its state in cannot be had any more.
fn lost(core: &Supervised, system: &System, service: &ServiceName, reason: &str) -> Fault {
    let name = &system.name;
    let command = core.deployment.environment.command(&format!("deploy --move-state {name}"));
    Fault::failed(
        "state-unavailable",
        format!("`{name}` keeps its state in `{service}`, which cannot be had any more: {reason}"),
    )
    .hint(format!("make it available again; or start `{name}` with empty state elsewhere: `{command}`"))
}

/// What the ledger calls the data of a service.
fn data_id(service: &ServiceName) -> String {
    format!("{}{service}", teardown::DATA)
}

fn wanted<'a>(
    core: &Supervised,
    ctx: &Ctx,
    provisions: impl Iterator<Item = &'a BTreeMap<ServiceName, Provision>>,
) -> Result<Vec<DesiredBinary>> {
    let built = |(service, provision): (&ServiceName, &Provision)| match provision {
        Provision::Built { name } => Some((service.clone(), name.clone())),
        _ => None,
    };
    let crates: Vec<_> = provisions.flatten().filter_map(built).collect();
    build::wanted(core, &ctx.proc, &crates)
}
