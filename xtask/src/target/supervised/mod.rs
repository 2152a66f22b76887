//! What the targets `host` and `containers` share: services under one supervisor per environment, their state in a
//! folder of the checkout, each version beside the one it follows, revisions to go back to, and a teardown that looks
//! everything up again. A [`Runtime`] says what differs.

pub(super) mod addresses;
mod back;
pub(super) mod images;
mod ports;
mod prove;
pub(super) mod recipe;
mod report;
pub(super) mod revision;
pub(super) mod runtime;
pub(super) mod secrets;
pub(super) mod start;
pub(super) mod steps;
mod supervise;
pub(super) mod teardown;

use self::addresses::Addresses;
use self::recipe::Recipe;
use self::runtime::Runtime;
use self::secrets::Secrets;
use self::steps::Steps;
use super::{Contribution, Deployment, Logs, Remains, Scope, SystemChanges, SystemStatus, Target};
use crate::ctx::{Ctx, Vars};
use crate::error::Fault;
use crate::home::Home;
use crate::http::Endpoint;
use crate::ledger::{Entry, Ledger};
use crate::plan::Step;
use crate::proc::Proc;
use crate::smoke;
use crate::spec::name::ServiceName;
use crate::spec::smoke::DeniedPath;
use crate::spec::system::System;
use crate::supervisor::{Client, Connection, ServiceStatus};
use crate::tools::engine::{self, Found};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) struct Supervised {
    pub(super) deployment: Deployment,
    pub(super) vars: Vars,
    /// For questions that are asked outside of a run's steps.
    pub(super) proc: Proc,
    own_program: PathBuf,
    ledger: Mutex<Ledger>,
    secrets: Secrets,
    /// Addresses that this run has settled, and those of what runs already without us.
    settled: Mutex<Addresses>,
    /// What has the images, and the containers where there are some.
    pub(super) engine: Arc<engine::Lazy>,
    runtime: Box<dyn Runtime>,
}

impl Supervised {
    pub(super) fn new(deployment: Deployment, ctx: &Ctx, runtime: Box<dyn Runtime>) -> Result<Self> {
        Ok(Self {
            ledger: Mutex::new(Ledger::open(&deployment.home.ledger())?),
            secrets: Secrets::new(deployment.home.secrets()),
            settled: Mutex::default(),
            own_program: Ctx::own_program()?,
            vars: ctx.vars.clone(),
            proc: ctx.proc.clone(),
            engine: Arc::new(engine::Lazy::new(
                images::noted_engine(&deployment.home)?.or(deployment.environment.engine),
            )),
            deployment,
            runtime,
        })
    }

    /// What the supervisor says of its services; nothing when none runs.
    pub(super) fn supervised(&self) -> Result<Vec<ServiceStatus>> {
        match Client::connect(self.home().dir()) {
            Connection::Live(client) => client.status(),
            // One of another version is replaced by the next deploy; what it runs cannot be asked for.
            Connection::Absent | Connection::Foreign(_) => Ok(Vec::new()),
        }
    }

    /// # Errors
    /// When no engine answers.
    pub(super) fn found_engine(&self) -> Result<Found> {
        self.engine.get(&self.proc)
    }

    pub(super) fn client(&self) -> Result<Client> {
        match Client::connect(self.home().dir()) {
            Connection::Live(client) => Ok(client),
            Connection::Absent | Connection::Foreign(_) => {
                let cause = "the supervisor does not run any more";
                Err(Fault::failed("supervisor-gone", cause).hint("the next deploy starts another one").into())
            }
        }
    }

    pub(super) fn home(&self) -> &Home {
        &self.deployment.home
    }

    /// Every address that is known at this moment.
    pub(super) fn addresses(&self) -> Result<Addresses> {
        let services = self.deployment.spec.systems.iter().flat_map(|system| &system.services);
        let services = services.filter(|service| self.runtime.takes_port(service));
        let mut all = addresses::known(&self.deployment.environment, services, &self.home().ports())?;
        all.extend(self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Ok(all)
    }

    pub(super) fn settle(&self, addresses: Addresses) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).extend(addresses);
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, entry: Entry) -> Result<()> {
        self.ledger().enter(entry)
    }

    /// Enters a folder and makes it.
    pub(super) fn enter_folder(&self, id: &str, system: Option<&str>, path: &Path) -> Result<()> {
        self.enter_path("folder", id, system, path)?;
        std::fs::create_dir_all(path).with_context(|| format!("make `{}`", path.display()))
    }

    /// Enters the log of a service and makes the folder it is in.
    pub(super) fn enter_log(&self, service: &ServiceName, system: &str) -> Result<()> {
        let log = self.home().log(service);
        self.enter_path("file", &format!("log of {service}"), Some(system), &log)?;
        match log.parent() {
            Some(folder) => std::fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display())),
            None => Ok(()),
        }
    }

    fn enter_path(&self, kind: &str, id: &str, system: Option<&str>, path: &Path) -> Result<()> {
        let inside = path.strip_prefix(&self.deployment.root).unwrap_or(path);
        self.enter(Entry {
            kind: kind.to_owned(),
            id: id.to_owned(),
            system: system.map(str::to_owned),
            identity: json!({"path": inside.to_string_lossy()}),
        })
    }

    /// The recipes of the newest proven revision that is not what runs now.
    fn previous(&self, system: &System) -> Result<Vec<Recipe>> {
        let history = revision::history(&self.home().releases(&system.name))?;
        let status = self.supervised()?;
        let running = |recipe: &Recipe| {
            let spec = self.runtime.launch_spec(self, recipe, start::Secrets::Known).ok().flatten();
            let current = status.iter().find(|status| status.service == recipe.service);
            let release = current.and_then(|status| status.current.as_ref()).map(|current| &current.release);
            spec.is_some_and(|spec| release == Some(&spec.release))
        };
        let previous = history.into_iter().rev().find(|revision| !revision.recipes.iter().all(running));
        previous.map(|revision| revision.recipes).ok_or_else(|| {
            let cause = format!("`{}` has no earlier revision that was proven healthy", system.name);
            Fault::failed("no-revision", cause)
                .hint(format!("`{}` shows what runs", self.deployment.environment.command("status")))
                .into()
        })
    }
}

impl Target for Supervised {
    fn home(&self) -> &Home {
        &self.deployment.home
    }

    fn deploy(self: Arc<Self>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
        let provided = self.runtime.provide(&self, ctx)?;
        let mut plan = Steps::new(&self, provided.errors);
        for (system, planned) in provided.systems {
            plan.add_system(&system, planned, verify);
        }
        Ok(Contribution { steps: plan.finish(provided.steps), skipped: provided.skipped, builds: provided.builds })
    }

    fn rollback(self: Arc<Self>, _: &Ctx, system: &System) -> Result<Contribution> {
        let recipes = self.previous(system)?;
        let mut plan = Steps::new(&self, runtime::BuildErrors::default());
        plan.add_recipes(system, recipes);
        Ok(Contribution { steps: plan.finish(Vec::new()), skipped: Vec::new(), builds: false })
    }

    fn teardown(self: Arc<Self>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>> {
        Ok(teardown::steps(&self, scope, keep_data))
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

    fn changes(self: Arc<Self>, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
        let provided = self.runtime.provide(&self, ctx)?;
        self.find_changes(provided)
    }

    fn status(&self, _: &Ctx) -> Result<Vec<SystemStatus>> {
        self.report_status()
    }

    fn logs(&self, service: &ServiceName) -> Logs<'_> {
        Logs::Files(vec![self.home().log(service)])
    }

    fn endpoint(&self, service: &ServiceName) -> Result<Endpoint, String> {
        self.runtime.endpoint(self, service)
    }

    fn deny(&self, denied: &DeniedPath) -> smoke::Outcome {
        self.runtime.deny(self, denied)
    }

    fn forget(&self, scope: &Scope, keep_data: bool) -> Result<()> {
        self.forget_scope(scope, keep_data)
    }
}
