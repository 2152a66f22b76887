//! Target `host`: the systems as processes of this machine, under one supervisor per environment.

mod addresses;
mod back;
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
mod steps;
mod supervise;
mod teardown;

use self::addresses::Addresses;
use self::build::Wanted;
use self::provision::Provision;
use self::recipe::{Program, Recipe};
use self::secrets::Secrets;
use self::steps::Steps;
use super::{Contribution, Deployment, Remains, Scope, SkippedSystem, SystemChanges, SystemStatus, Target};
use crate::ctx::{Ctx, Vars};
use crate::error::Fault;
use crate::home::Home;
use crate::http::Endpoint;
use crate::ledger::{Entry, Ledger};
use crate::plan::Step;
use crate::smoke;
use crate::spec::name::ServiceName;
use crate::spec::smoke::DeniedPath;
use crate::spec::system::System;
use crate::supervisor::{Client, Connection, ServiceStatus};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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
                Err(Fault::failed("supervisor-gone", cause).hint("the next deploy starts another one").into())
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
        let builds = plan.wanted.iter().any(|wanted| !wanted.is_kept(self.home()));
        Ok(Contribution { steps: plan.finish(), skipped, builds })
    }

    fn rollback(self: Arc<Self>, ctx: &Ctx, system: &System) -> Result<Contribution> {
        let recipes = self.previous(system)?;
        let mut plan = Steps::new(&self, ctx, Vec::new());
        plan.add_recipes(system, recipes);
        Ok(Contribution { steps: plan.finish(), skipped: Vec::new(), builds: false })
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

    /// What is started for a service, given where it comes from; nothing when it runs without us, whose address is then
    /// settled.
    fn program(&self, service: &ServiceName, provision: &Provision, wanted: &[Wanted]) -> Option<Program> {
        match provision {
            Provision::Built { .. } => {
                let wanted = wanted.iter().find(|wanted| wanted.service == *service)?;
                Some(Program::Artifact { key: wanted.key() })
            }
            Provision::Native(program) => Some(program.clone()),
            Provision::Python { runner, script } => {
                let (path, prefix) = runner.invocation(script);
                Some(Program::Native { path, prefix })
            }
            Provision::External(address) => {
                self.settle(BTreeMap::from([(service.clone(), *address)]));
                None
            }
        }
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
            Fault::failed("no-revision", cause)
                .hint(format!("`{}` shows what runs", self.deployment.environment.command("status")))
                .into()
        })
    }
}

/// The path in a ledger entry.
fn entry_path(root: &Path, identity: &Value) -> Option<PathBuf> {
    identity["path"].as_str().map(|path| root.join(path))
}
