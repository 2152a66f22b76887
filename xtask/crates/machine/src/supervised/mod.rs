//! What the targets `host` and `containers` share: services under one supervisor per environment, their state in a
//! folder of the checkout, each version beside the one it follows, revisions to go back to, and a teardown that looks
//! everything up again. A [`Runtime`] says what differs.

pub mod addresses;
pub mod assets;
mod auto_rollback;
mod earlier;
mod facts;
mod given_secrets;
mod holder;
pub mod images;
mod jobs;
mod log_file;
mod moving;
mod outlook;
mod ports;
mod preference;
pub mod publisher;
pub mod recipe;
pub mod records;
pub mod removal;
mod report;
pub mod revision;
pub mod runtime;
mod secrets;
pub mod start;
pub mod steps;
mod succession;
mod supervise;
pub mod teardown;
mod verify;

use self::addresses::{Addresses, Kept};
use self::log_file::LogFile;
use self::records::Past;
use self::runtime::{Blocked, Runtime};
use self::secrets::Secrets;
use self::steps::Steps;
use anyhow::{Context, Result};
use base::ctx::{Ctx, Vars};
use base::error::Fault;
use base::http::Endpoint;
use base::proc::Proc;
use engine::backend::{
    Contribution, Earlier, Guard, LogSource, Remains, Speaker, SystemChanges, SystemStatus, Tags, Target,
};
use engine::deployment::{Deployment, Scope};
use engine::home::Home;
use engine::identity::Identity;
use engine::journal::Journal;
use engine::lease::Claim;
use engine::ledger::{Entry, Ledger};
use engine::plan::Step;
use engine::reconcile::{Changes, Entrance, Observed, Recorded, Refusal, StateMove, UnitId};
use engine::recorded_settings;
use engine::smoke;
use model::environment::Ports;
use model::job::Job;
use model::name::{ServiceName, SystemName};
use model::smoke::DeniedPath;
use model::system::{Service, System};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use supervisor::{Client, Connection, ServiceStatus};
use tools::oci;
use tools::oci::Found;

pub struct Supervised {
    pub deployment: Deployment,
    pub vars: Vars,
    /// For questions that are asked outside of a run's steps.
    pub proc: Proc,
    own_program: PathBuf,
    ledger: Mutex<Ledger>,
    /// What the steps of this run will make, to be entered at once by the first that makes something.
    planned: Mutex<Vec<Entry>>,
    secrets: Secrets,
    /// Addresses that this run has settled, and those of what runs already without us.
    settled: Mutex<Addresses>,
    /// Every address that is known, until another is settled: each template of each service may ask.
    addresses: Mutex<Option<Arc<Addresses>>>,
    identity: Identity,
    /// Services that were made and are declared no longer.
    past: Past,
    /// Services that this run gives what another has stored.
    inheriting: Mutex<BTreeSet<ServiceName>>,
    /// Systems that this run starts otherwise than the files declare them.
    reshaped: Mutex<Vec<System>>,
    /// What has the images, and the containers where there are some.
    pub engine: Arc<oci::Lazy>,
    /// Systems whose ports somebody else has, and who.
    conflicts: Mutex<BTreeMap<SystemName, Fault>>,
    runtime: Box<dyn Runtime>,
}

impl Supervised {
    pub fn new(deployment: Deployment, ctx: &Ctx, runtime: Box<dyn Runtime>) -> Result<Self> {
        let ledger = Ledger::open(&deployment.home.ledger())?;
        let (kind, noted) = images::noted(&deployment.home)?;
        Ok(Self {
            identity: runtime.identity().map_or_else(|| Identity::of(&deployment.home), Ok)?,
            past: Past::read(&deployment.home, ledger.entries(), &deployment.spec)?,
            inheriting: Mutex::default(),
            reshaped: Mutex::default(),
            ledger: Mutex::new(ledger),
            planned: Mutex::default(),
            secrets: Secrets::new(deployment.home.secrets()),
            settled: Mutex::default(),
            addresses: Mutex::default(),
            conflicts: Mutex::default(),
            own_program: Ctx::own_program()?,
            vars: ctx.vars.clone(),
            proc: ctx.proc.clone(),
            engine: Arc::new(oci::Lazy::new(kind.or(deployment.environment.engine)).noted(noted)),
            deployment,
            runtime,
        })
    }

    /// What the supervisor says of its services; nothing when none runs.
    pub fn supervised(&self) -> Result<Vec<ServiceStatus>> {
        match Client::connect(self.home().dir()) {
            Connection::Live(client) => unless_ended(&client, client.status()),
            // One of another version is replaced by the next deploy; what it runs cannot be asked for.
            Connection::Absent | Connection::Foreign(_) => Ok(Vec::new()),
        }
    }

    /// What it says of some services alone, which costs the same however many there are.
    pub fn supervised_of(&self, services: &[ServiceName]) -> Result<Vec<ServiceStatus>> {
        match Client::connect(self.home().dir()) {
            Connection::Live(client) if !services.is_empty() => unless_ended(&client, client.status_of(services)),
            _ => Ok(Vec::new()),
        }
    }

    /// # Errors
    /// When no engine answers.
    pub fn found_engine(&self) -> Result<Found> {
        self.engine.get(&self.proc)
    }

    pub fn client(&self) -> Result<Client> {
        match Client::connect(self.home().dir()) {
            Connection::Live(client) => Ok(client),
            Connection::Absent | Connection::Foreign(_) => {
                let cause = "the supervisor is not running";
                Err(Fault::failed("supervisor-gone", cause).hint("the next deploy starts another one").into())
            }
        }
    }

    pub fn home(&self) -> &Home {
        &self.deployment.home
    }

    /// Every address that is known at this moment.
    pub fn addresses(&self) -> Result<Arc<Addresses>> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*addresses {
            return Ok(Arc::clone(known));
        }
        let kept = Kept::read(&self.home().ports())?;
        let environment = &self.deployment.environment;
        let mut all = match environment.ports {
            Ports::Prefer => self.forecast(&kept)?,
            Ports::Declared | Ports::Free => {
                let declared = self.deployment.spec.systems.iter().flat_map(|system| &system.services);
                let past = self.past.all().map(|(_, service)| service).filter(|service| service.host_port.is_some());
                // Of two with one name it is the declared one that counts.
                let all = past.chain(declared).flat_map(addresses::each_port);
                let services: Vec<_> = all.filter(|service| self.runtime.takes_port(service)).collect();
                addresses::known(environment, services.iter(), &kept)
            }
        };
        all.extend(self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Ok(Arc::clone(addresses.insert(Arc::new(all))))
    }

    /// The same, read again: what was known before the lease was taken may be another run's past.
    pub(crate) fn addresses_now(&self) -> Result<Arc<Addresses>> {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.addresses()
    }

    pub(crate) fn settle(&self, addresses: Addresses) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).extend(addresses);
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether this run gives a service what another has stored.
    pub fn inherits(&self, service: &ServiceName) -> bool {
        self.inheriting.lock().unwrap_or_else(PoisonError::into_inner).contains(service)
    }

    fn note_heirs(&self, changes: &Changes) {
        let heirs = changes.units.keys().filter(|unit| changes.adopted(unit).is_some());
        let heirs = heirs.map(|unit| unit.service.clone()).collect();
        *self.inheriting.lock().unwrap_or_else(PoisonError::into_inner) = heirs;
    }

    /// What of the files must not be deployed.
    fn refused(&self, changes: &Changes, system: &System) -> Option<Blocked> {
        let Refusal { service, fault } = changes.refusal(&system.name, &self.deployment.environment)?;
        Some(Blocked { system: system.name.clone(), service: Some(service), fault })
    }

    /// The systems that are started otherwise than declared.
    pub(crate) fn reshaped(&self) -> MutexGuard<'_, Vec<System>> {
        self.reshaped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, entry: Entry) -> Result<()> {
        self.ledger().enter(entry)
    }

    /// Enters what the starts that are planned will make, before the first of them makes anything.
    pub(crate) fn enter_planned(&self) -> Result<()> {
        let planned = std::mem::take(&mut *self.planned.lock().unwrap_or_else(PoisonError::into_inner));
        self.ledger().enter_all(planned)
    }

    /// Notes what a start will make, to be entered with what all others will.
    fn plan_entries(&self, entries: Vec<Entry>) {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).extend(entries);
    }

    /// Enters a folder and makes it.
    pub fn enter_folder(&self, id: &str, system: Option<&str>, path: &Path) -> Result<()> {
        self.enter(self.path_entry("folder", id, system, path))?;
        base::files::make_folder(path).with_context(|| format!("make `{}`", path.display()))
    }

    /// Enters the log of a service and makes the folder it is in.
    pub fn enter_log(&self, service: &ServiceName, system: &str) -> Result<()> {
        let log = self.home().log(service);
        self.enter(self.log_entry(service, system))?;
        match log.parent() {
            Some(folder) => base::files::make_folder(folder).with_context(|| format!("make `{}`", folder.display())),
            None => Ok(()),
        }
    }

    /// The entry of a service's log.
    pub fn log_entry(&self, service: &ServiceName, system: &str) -> Entry {
        self.path_entry("file", &format!("log of {service}"), Some(system), &self.home().log(service))
    }

    pub fn path_entry(&self, kind: &str, id: &str, system: Option<&str>, path: &Path) -> Entry {
        let inside = path.strip_prefix(&self.deployment.root).unwrap_or(path);
        Entry {
            kind: kind.to_owned(),
            id: id.to_owned(),
            system: system.map(str::to_owned),
            identity: json!({"path": inside.to_string_lossy()}),
        }
    }
}

/// What a supervisor answered; nothing where it was just killed.
fn unless_ended(client: &Client, answer: Result<Vec<ServiceStatus>>) -> Result<Vec<ServiceStatus>> {
    match answer {
        Err(_) if client.is_ending() => Ok(Vec::new()),
        answer => answer,
    }
}

impl Target for Supervised {
    fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    fn home(&self) -> &Home {
        &self.deployment.home
    }

    fn guard(&self, _: &Ctx, _: &Claim<'_>, _: &Journal) -> Result<Guard> {
        // Another run may have gone by between our look at the ledger and the lease.
        *self.ledger() = Ledger::open(&self.home().ledger())?;
        if self.identity.may_have_moved {
            self.end_moved_supervisor()?;
        }
        self.identity.keep(self.home(), &self.deployment.environment)?;
        recorded_settings::note(self.home(), &self.deployment.environment)?;
        self.complete_records()?;
        Ok(Box::new(()))
    }

    fn recorded(&self) -> Result<Recorded> {
        self.read_recorded()
    }

    fn observed(&self) -> Result<Observed> {
        self.read_observed()
    }

    fn moving(&self, recorded: &Recorded) -> Result<BTreeMap<UnitId, StateMove>> {
        self.find_moving(recorded)
    }

    fn entrances(&self, service: &Service) -> BTreeSet<Entrance> {
        self.claims(service)
    }

    fn deploy(self: Arc<Self>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
        let mut changes = self.reconcile()?;
        self.note_heirs(&changes);
        let (provided, missing) = self.provided(ctx)?;
        let mut plan = Steps::new(&self, provided.errors);
        for (system, planned) in provided.systems {
            let refused = self.refused(&changes, &system);
            match refused.or_else(|| jobs::impossible(&self, &system, &planned)) {
                Some(blocked) => plan.add_blocked(vec![blocked]),
                None => plan.add_system(&system, planned, verify, &changes),
            }
        }
        plan.add_blocked(provided.blocked);
        let steps = plan.finish(provided.steps);
        let steps = removal::with_removals(&self, steps, &mut changes);
        Ok(Contribution { steps, skipped: provided.skipped, builds: provided.builds, changes, earlier: None, missing })
    }

    fn rollback(self: Arc<Self>, _: &Ctx, system: &SystemName) -> Result<Contribution> {
        let system = self.known_system(system);
        let earlier = self.earlier(&system)?;
        let mut plan = Steps::new(&self, runtime::BuildErrors::default());
        let mut changes = self.changes_back(&system, &earlier.recipes)?;
        self.note_heirs(&changes);
        let checks = plan.add_recipes(&system, earlier.recipes, &changes)?;
        let steps = removal::with_removals(&self, plan.finish(Vec::new()), &mut changes);
        let earlier = Some(Earlier { number: earlier.number, checks });
        Ok(Contribution { steps, skipped: Vec::new(), builds: false, changes, earlier, missing: Vec::new() })
    }

    fn run_job(self: Arc<Self>, _: &Ctx, system: &System, job: &Job) -> Result<Vec<Step>> {
        self.job_now(system, job)
    }

    fn newest_revision(&self, system: &SystemName) -> Result<Option<u64>> {
        Ok(revision::history(&self.home().releases(system))?.pop().map(|newest| newest.number))
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

    fn changes(self: Arc<Self>, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
        let (provided, _) = self.provided(ctx)?;
        self.find_changes(provided, &self.reconcile()?)
    }

    fn tags(&self, ctx: &Ctx) -> Tags {
        self.runtime.tags(self, ctx)
    }

    fn status(&self, _: &Ctx) -> Result<Vec<SystemStatus>> {
        self.report_status()
    }

    fn logs(&self, speaker: &Speaker) -> Box<dyn LogSource + '_> {
        Box::new(LogFile::of(self, speaker))
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
