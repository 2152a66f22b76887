//! Target `host`: the systems as processes of this machine, under one supervisor per environment.

mod addresses;
mod build;
mod install;
mod ports;
mod prove;
mod provision;
mod recipe;
mod report;
mod revision;
mod secrets;
mod start;
mod teardown;

use self::addresses::Addresses;
use self::build::{BuildErrors, BuildWork, Wanted};
use self::install::InstallWork;
use self::ports::PortsWork;
use self::prove::ProveWork;
use self::provision::Provision;
use self::recipe::{Program, Recipe};
use self::secrets::Secrets;
use self::start::StartWork;
use super::{Contribution, Deployment, Remains, Scope, SkippedSystem, SystemChanges, SystemStatus, Target};
use crate::ctx::{Ctx, Vars};
use crate::error::Fault;
use crate::home::Home;
use crate::http::Endpoint;
use crate::ledger::{Entry, Ledger};
use crate::plan::runner::StepCx;
use crate::plan::{Holds, Outcome, Preview, Step, StepId, Work};
use crate::proc::CommandLine;
use crate::smoke;
use crate::spec::name::ServiceName;
use crate::spec::smoke::DeniedPath;
use crate::spec::system::{Service, System};
use crate::supervisor::{self, Client, Connection, ServiceStatus};
use crate::tools::cargo;
use crate::ui::counted;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Only one cargo at a time can have the build directory.
const CARGO_LOCK: &str = "cargo";

pub(super) struct Host {
    deployment: Deployment,
    vars: Vars,
    own_program: PathBuf,
    ledger: Mutex<Ledger>,
    secrets: Secrets,
    /// Addresses that this run has settled, and those of what runs already without us.
    settled: Mutex<Addresses>,
}

impl Host {
    pub(super) fn new(deployment: Deployment, ctx: &Ctx) -> Result<Self> {
        Ok(Self {
            ledger: Mutex::new(Ledger::open(&deployment.home.ledger())?),
            secrets: Secrets::new(deployment.home.secrets()),
            settled: Mutex::default(),
            own_program: Ctx::own_program()?,
            vars: ctx.vars.clone(),
            deployment,
        })
    }

    /// What the supervisor says of its services; nothing when none runs.
    fn supervised(&self) -> Result<Vec<ServiceStatus>> {
        match Client::connect(self.home().dir()) {
            Connection::Live(client) => client.status(),
            // One of another version is replaced by the next deploy; what it runs cannot be asked for.
            Connection::Absent | Connection::Foreign(_) => Ok(Vec::new()),
        }
    }

    fn client(&self) -> Result<Client> {
        match Client::connect(self.home().dir()) {
            Connection::Live(client) => Ok(client),
            Connection::Absent | Connection::Foreign(_) => {
                let cause = "the supervisor does not run any more";
                Err(Fault::failed("supervisor-gone", cause).hint("`cargo xtask deploy` starts it again").into())
            }
        }
    }

    fn home(&self) -> &Home {
        &self.deployment.home
    }

    /// Every address that is known at this moment.
    fn addresses(&self) -> Result<Addresses> {
        let services = self.deployment.spec.systems.iter().flat_map(|system| &system.services);
        let mut all = addresses::known(&self.deployment.environment, services, &self.home().ports())?;
        all.extend(self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Ok(all)
    }

    fn settle(&self, addresses: Addresses) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).extend(addresses);
    }

    fn enter(&self, entry: Entry) -> Result<()> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).enter(entry)
    }

    /// Enters a folder and makes it.
    fn enter_folder(&self, id: &str, system: Option<&str>, path: &Path) -> Result<()> {
        let inside = path.strip_prefix(&self.deployment.root).unwrap_or(path);
        self.enter(Entry {
            kind: "folder".to_owned(),
            id: id.to_owned(),
            system: system.map(str::to_owned),
            identity: json!({"path": inside.to_string_lossy()}),
        })?;
        std::fs::create_dir_all(path).with_context(|| format!("make `{}`", path.display()))
    }

    /// The folders of a service, entered before anything is put into them.
    fn prepare_folders(&self, service: &ServiceName, system: &str) -> Result<()> {
        self.enter_folder(&format!("{}{service}", teardown::DATA), Some(system), &self.home().data(service))?;
        let log = self.home().log(service);
        self.enter_file(&format!("log of {service}"), system, &log)?;
        match log.parent() {
            Some(folder) => std::fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display())),
            None => Ok(()),
        }
    }

    fn enter_file(&self, id: &str, system: &str, path: &Path) -> Result<()> {
        let inside = path.strip_prefix(&self.deployment.root).unwrap_or(path);
        self.enter(Entry {
            kind: "file".to_owned(),
            id: id.to_owned(),
            system: Some(system.to_owned()),
            identity: json!({"path": inside.to_string_lossy()}),
        })
    }
}

impl Target for Host {
    fn home(&self) -> &Home {
        &self.deployment.home
    }

    fn deploy(self: Arc<Self>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
        let mut provisions = Vec::new();
        let mut skipped = Vec::new();
        for system in self.deployment.systems() {
            match provision::of_system(system, ctx, self.home()) {
                Ok(found) => provisions.push((system.clone(), found)),
                Err(reason) => skipped.push(SkippedSystem { name: system.name.clone(), reason }),
            }
        }
        let wanted = self.wanted(ctx, provisions.iter().map(|(_, found)| found))?;
        let mut plan = Steps::new(&self, ctx, wanted);
        for (system, found) in &provisions {
            plan.add_system(system, found, verify);
        }
        Ok(Contribution { steps: plan.finish(), skipped })
    }

    fn rollback(self: Arc<Self>, ctx: &Ctx, system: &System) -> Result<Contribution> {
        let recipes = self.previous(system)?;
        let mut plan = Steps::new(&self, ctx, Vec::new());
        plan.add_recipes(system, recipes);
        Ok(Contribution { steps: plan.finish(), skipped: Vec::new() })
    }

    fn teardown(self: Arc<Self>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>> {
        teardown::steps(&self, scope, keep_data)
    }

    fn widened(&self, scope: Scope) -> Result<Scope> {
        self.widened_scope(scope)
    }

    fn remains(&self, scope: &Scope, keep_data: bool) -> Result<Remains> {
        self.find_remains(scope, keep_data)
    }

    fn stored_data(&self, scope: &Scope) -> Vec<String> {
        self.data_in(scope)
    }

    fn changes(&self, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
        self.find_changes(ctx)
    }

    fn status(&self, _: &Ctx) -> Result<Vec<SystemStatus>> {
        self.report_status()
    }

    fn logs(&self, service: &ServiceName) -> Vec<PathBuf> {
        vec![self.home().log(service)]
    }

    fn endpoint(&self, service: &ServiceName) -> Result<Endpoint, String> {
        self.endpoint_of(service)
    }

    fn deny(&self, denied: &DeniedPath) -> smoke::Outcome {
        Self::deny_on_host(denied)
    }

    fn forget(&self, scope: &Scope, keep_data: bool) -> Result<()> {
        self.forget_scope(scope, keep_data)
    }
}

impl Host {
    fn wanted<'a>(
        &self,
        ctx: &Ctx,
        provisions: impl Iterator<Item = &'a BTreeMap<ServiceName, Provision>>,
    ) -> Result<Vec<Wanted>> {
        let crates: Vec<_> = provisions
            .flatten()
            .filter_map(|(service, provision)| match provision {
                Provision::Built { name } => Some((service.clone(), name.clone())),
                _ => None,
            })
            .collect();
        build::wanted(&self.deployment.root, &self.vars, &ctx.proc, &crates)
    }

    /// The recipes of the newest proven revision that is not what runs now.
    fn previous(&self, system: &System) -> Result<Vec<Recipe>> {
        let history = revision::history(&self.home().releases(&system.name))?;
        let status = self.supervised()?;
        let running = |recipe: &Recipe| {
            let spec = self.launch_spec(recipe, start::Secrets::Known).ok().flatten();
            let current = status.iter().find(|status| status.service == recipe.service);
            let release = current.and_then(|status| status.current.as_ref()).map(|current| &current.release);
            spec.is_some_and(|spec| release == Some(&spec.release))
        };
        let previous = history.into_iter().rev().find(|revision| !revision.recipes.iter().all(running));
        previous.map(|revision| revision.recipes).ok_or_else(|| {
            let cause = format!("`{}` has no earlier revision that was proven healthy", system.name);
            Fault::failed("no-revision", cause).hint("`cargo xtask status` shows what runs").into()
        })
    }
}

/// Puts the steps of a deploy together.
struct Steps<'a> {
    host: &'a Arc<Host>,
    ctx: &'a Ctx,
    wanted: Vec<Wanted>,
    errors: BuildErrors,
    services: Vec<ServiceName>,
    steps: Vec<Step>,
}

impl<'a> Steps<'a> {
    fn new(host: &'a Arc<Host>, ctx: &'a Ctx, wanted: Vec<Wanted>) -> Self {
        Self { host, ctx, wanted, errors: BuildErrors::default(), services: Vec::new(), steps: Vec::new() }
    }

    fn add_system(&mut self, system: &System, found: &BTreeMap<ServiceName, Provision>, verify: bool) {
        let present: Vec<ServiceName> = found.keys().cloned().collect();
        let mut recipes = Vec::new();
        for service in &system.services {
            let Some(provision) = found.get(&service.name) else { continue };
            let program = match provision {
                Provision::Built { .. } => match self.wanted.iter().find(|wanted| wanted.service == service.name) {
                    Some(wanted) => Program::Artifact { key: wanted.key() },
                    None => continue,
                },
                Provision::Native(program) => program.clone(),
                Provision::Python { runner, script } => {
                    self.add_install(system, service, runner, script);
                    let (path, prefix) = runner.invocation(script);
                    Program::Native { path, prefix }
                }
                Provision::External(address) => {
                    self.host.settle(BTreeMap::from([(service.name.clone(), *address)]));
                    continue;
                }
            };
            let recipe = Recipe::new(service, program, &self.host.deployment.environment, &present);
            let mut needs: Vec<StepId> = vec![StepId::new("ports"), StepId::new("supervisor")];
            match provision {
                Provision::Built { .. } => needs.push(StepId::new("build")),
                Provision::Python { .. } => needs.push(StepId::new(format!("install:{}", service.name))),
                Provision::Native(_) | Provision::External(_) => {}
            }
            self.add_start(system, service, recipe.clone(), needs, found);
            recipes.push(recipe);
        }
        self.add_proof(system, recipes, verify);
    }

    /// The steps that start exactly these recipes; their binaries are kept already.
    fn add_recipes(&mut self, system: &System, recipes: Vec<Recipe>) {
        let found: BTreeMap<ServiceName, Provision> =
            recipes.iter().map(|recipe| (recipe.service.clone(), Provision::Native(recipe.program.clone()))).collect();
        for recipe in &recipes {
            let Some(service) = self.host.deployment.find_service(&recipe.service).cloned() else { continue };
            let needs = vec![StepId::new("ports"), StepId::new("supervisor")];
            self.add_start(system, &service, recipe.clone(), needs, &found);
        }
        self.add_proof(system, recipes, true);
    }

    fn add_start(
        &mut self,
        system: &System,
        service: &Service,
        recipe: Recipe,
        mut needs: Vec<StepId>,
        found: &BTreeMap<ServiceName, Provision>,
    ) {
        let started = |need: &&ServiceName| !matches!(found.get(*need), None | Some(Provision::External(_)));
        needs.extend(service.needs.iter().filter(started).map(start_id));
        self.services.push(service.name.clone());
        let preview = self.preview_start(&recipe);
        let work = StartWork {
            host: Arc::clone(self.host),
            recipe,
            system: system.name.to_string(),
            errors: Arc::clone(&self.errors),
        };
        let title = format!("start `{}` and wait until it is ready", service.name);
        self.push(start_id(&service.name), title, Some(system), needs, vec![preview], work);
    }

    fn preview_start(&self, recipe: &Recipe) -> Preview {
        let (program, prefix) = recipe.invocation(self.host.home());
        let args = prefix.into_iter().chain(recipe.args.iter().map(ToString::to_string));
        let shown = program.strip_prefix(&self.host.deployment.root).unwrap_or(&program);
        let address = self.host.addresses().ok().and_then(|all| all.get(&recipe.service).copied());
        let address = address.map_or_else(|| "<free port>".to_owned(), |address| address.to_string());
        Preview::Do(format!("under the supervisor, on {address}: {}", CommandLine::new(shown).args(args)))
    }

    fn add_install(
        &mut self,
        system: &System,
        service: &Service,
        runner: &crate::tools::python::Runner,
        script: &crate::tools::python::Script,
    ) {
        let enable = match &service.source {
            crate::spec::system::Source::Image { host: Some(host), .. } => host.enable.clone(),
            _ => String::new(),
        };
        let preview = runner.install(script).into_iter().map(Preview::Run).collect();
        let work = InstallWork { host: Arc::clone(self.host), runner: runner.clone(), script: script.clone(), enable };
        let id = StepId::new(format!("install:{}", service.name));
        let title = format!("install {}", script.requirement);
        self.push(id, title, Some(system), vec![StepId::new("ports")], preview, work);
    }

    fn add_proof(&mut self, system: &System, recipes: Vec<Recipe>, verify: bool) {
        let needs = recipes.iter().map(|recipe| start_id(&recipe.service)).collect();
        let preview = system.smoke.iter().map(|check| Preview::Do(format!("{}: {}", check.service, check.name)));
        let preview = preview.collect();
        let work = ProveWork { host: Arc::clone(self.host), system: system.clone(), recipes, verify };
        let title = format!("check `{}` against its smoke contract", system.name);
        self.push(StepId::new(format!("smoke:{}", system.name)), title, Some(system), needs, preview, work);
    }

    fn push(
        &mut self,
        id: StepId,
        title: String,
        system: Option<&System>,
        needs: Vec<StepId>,
        preview: Vec<Preview>,
        work: impl Work + 'static,
    ) {
        let system = system.map(|system| system.name.to_string());
        self.steps.push(Step { id, title, system, needs, holds: Holds::Nothing, preview, work: Box::new(work) });
    }

    /// Adds what all systems share.
    fn finish(mut self) -> Vec<Step> {
        if self.services.is_empty() {
            return self.steps;
        }
        let ports = PortsWork { host: Arc::clone(self.host), services: self.services.clone() };
        let preview = vec![Preview::Do(format!("of {}", counted(self.services.len(), "service", "services")))];
        self.push(StepId::new("ports"), "check that the ports are free".to_owned(), None, vec![], preview, ports);
        let supervisor = SupervisorWork { host: Arc::clone(self.host) };
        let preview = vec![Preview::Do(format!("in the background, for `{}`", self.host.deployment.environment.name))];
        let title = "start the supervisor".to_owned();
        self.push(StepId::new("supervisor"), title, None, vec![StepId::new("ports")], preview, supervisor);
        if !self.wanted.is_empty() {
            let work = BuildWork {
                host: Arc::clone(self.host),
                errors: Arc::clone(&self.errors),
                cargo: cargo::command(&self.ctx.vars, &self.host.deployment.root),
                wanted: std::mem::take(&mut self.wanted),
            };
            let title = format!("build {} with cargo", counted(work.wanted.len(), "service", "services"));
            let preview = work.preview();
            self.push(StepId::new("build"), title, None, vec![StepId::new("ports")], preview, work);
            if let Some(build) = self.steps.last_mut() {
                build.holds = Holds::Lock(CARGO_LOCK);
            }
        }
        // Shared steps go first, where a reader of the plan expects them.
        self.steps.sort_by_key(|step| step.system.is_some());
        self.steps
    }
}

fn start_id(service: &ServiceName) -> StepId {
    StepId::new(format!("start:{service}"))
}

/// Sees to it that the supervisor runs. Services that a killed one left behind are ended first.
struct SupervisorWork {
    host: Arc<Host>,
}

impl Work for SupervisorWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(match Client::connect(self.host.home().dir()) {
            Connection::Live(client) => Some(format!("process {}", client.process().pid)),
            Connection::Absent | Connection::Foreign(_) => None,
        })
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let dir = self.host.home().dir();
        cx.status("starting");
        let ensured = supervisor::ensure(dir, &self.host.own_program, &self.host.surroundings())?;
        let process = ensured.client.process();
        self.host.enter(Entry {
            kind: "process".to_owned(),
            id: "supervisor".to_owned(),
            system: None,
            identity: process.to_json(),
        })?;
        let mut words = vec![format!("process {}", process.pid)];
        if ensured.replaced.is_some() {
            words.push("instead of one of another version".to_owned());
        }
        if !ensured.orphans.is_empty() {
            words.push(format!(
                "ended {} of one that was killed",
                counted(ensured.orphans.len(), "service", "services")
            ));
        }
        Ok(Outcome::DoneWith(words.join(", ")))
    }
}

/// The path in a ledger entry.
fn entry_path(root: &Path, identity: &Value) -> Option<PathBuf> {
    identity["path"].as_str().map(|path| root.join(path))
}
