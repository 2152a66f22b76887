//! What differs between the places where a supervisor runs services: as processes of this machine, or in containers.

use super::Supervised;
use super::recipe::Recipe;
use super::revision::Revision;
use super::start::Secrets;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::http::Endpoint;
use base::os;
use engine::backend::{Remains, SkippedSystem, Tags};
use engine::deployment::Scope;
use engine::identity::Identity;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Step, StepId};
use engine::reconcile::{Stored, UnitId};
use engine::secrets::MissingSecret;
use engine::smoke;
use engine::teardown::Removal;
use model::job::Job;
use model::name::{ServiceName, SystemName};
use model::smoke::DeniedPath;
use model::system::{Reference, Service, System};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use supervisor::{InstanceStatus, LaunchSpec};

/// What a deploy starts here, and what it has to make for that.
pub struct Provided {
    /// What each system starts, in an order in which every service comes after those it needs.
    pub systems: Vec<(System, Vec<Planned>)>,
    pub skipped: Vec<SkippedSystem>,
    pub blocked: Vec<Blocked>,
    /// What is worth knowing of systems beside their changes.
    pub notes: BTreeMap<SystemName, String>,
    /// What is built and fetched.
    pub steps: Vec<Step>,
    /// Something has to be built, for which the machine has to be ready.
    pub builds: bool,
    pub errors: BuildErrors,
    /// Secrets that builds need and nobody gives.
    pub missing: Vec<MissingSecret>,
}

/// A system that cannot be deployed as it was decided, which is its failure and no other's.
pub struct Blocked {
    pub system: SystemName,
    /// The one that cannot, where it is one.
    pub service: Option<ServiceName>,
    pub fault: Fault,
}

/// A service as it will be started.
pub struct Planned {
    pub service: Service,
    pub recipe: Recipe,
    /// Steps that make what the recipe names.
    pub needs: Vec<StepId>,
}

/// Why a service has nothing to start, as the compiler or the engine said it.
pub type BuildErrors = Arc<Mutex<BTreeMap<ServiceName, String>>>;

/// What holds ports of this machine for the deployment.
#[derive(Default)]
pub struct Held {
    /// The services that are served, and where.
    pub serving: BTreeMap<ServiceName, SocketAddr>,
}

/// Systems that no record names, and the services of each that have stored something.
pub type Lost = BTreeMap<SystemName, BTreeSet<ServiceName>>;

/// What publishes a port of this machine where it is not the process that holds it that tells.
pub enum Publisher {
    /// Something of this deployment, which its next start of a system removes.
    Ours,
    /// Somebody else's, in words for people.
    Other(String),
}

/// A place to run services under a supervisor. `core` is what all places share.
pub trait Runtime: Send + Sync {
    /// # Errors
    /// When what is there cannot be read.
    fn provide(&self, core: &Arc<Supervised>, ctx: &Ctx) -> Result<Provided>;

    /// As [`Target::tags`](engine::backend::Target::tags) has it.
    fn tags(&self, core: &Supervised, ctx: &Ctx) -> Tags {
        let _ = (core, ctx);
        Tags::default()
    }

    /// The identity that what is made here carries, where it carries one.
    fn identity(&self) -> Option<Identity> {
        None
    }

    /// Whether it was decided that a system has no such service here.
    ///
    /// # Errors
    /// When what was decided cannot be read.
    fn does_without(&self, core: &Supervised, system: &System, service: &ServiceName) -> Result<bool> {
        let _ = (core, system, service);
        Ok(false)
    }

    /// What every start of a system needs here. `provided`: beside the steps of [`Runtime::provide`], not in a rollback.
    fn prerequisites(&self, core: &Arc<Supervised>, system: &System, recipes: &[Recipe], provided: bool) -> Vec<Step>;

    /// What becomes of a recipe here; `None` while an address or a secret is not known yet.
    ///
    /// # Errors
    /// When what the recipe refers to cannot be read.
    fn launch_spec(&self, core: &Supervised, recipe: &Recipe, secrets: Secrets) -> Result<Option<LaunchSpec>>;

    /// What becomes of a job here, made of a recipe; its release is what the image is to an engine. `None` as above.
    ///
    /// # Errors
    /// When what the recipe refers to cannot be read.
    fn job_launch(
        &self,
        core: &Supervised,
        system: &System,
        job: &Job,
        recipe: &Recipe,
        secrets: Secrets,
    ) -> Result<Option<LaunchSpec>>;

    /// What `${file.NAME}` stands for in a recipe.
    ///
    /// # Errors
    /// When it has no such file.
    fn file(&self, core: &Supervised, recipe: &Recipe, name: &str) -> Result<String>;

    /// What `${address}`, `${host}`, `${port}` and `${data}` stand for; `None` while it is not known.
    ///
    /// # Errors
    /// When that cannot be read.
    fn refer(&self, core: &Supervised, service: &Service, reference: &Reference) -> Result<Option<String>>;

    /// The ledger's entries for what [`Runtime::prepare`] makes.
    fn entries(&self, core: &Supervised, recipe: &Recipe, system: &SystemName) -> Vec<Entry>;

    /// Makes what is there before a service starts, its files among it.
    ///
    /// # Errors
    /// When that cannot be made.
    fn prepare(&self, core: &Supervised, recipe: &Recipe, system: &SystemName) -> Result<()>;

    /// Notes what holds from now on, since a system was proven as it was started.
    ///
    /// # Errors
    /// When that cannot be written down.
    fn proven(&self, core: &Supervised, system: &SystemName) -> Result<()>;

    /// How a recipe is started, for the preview.
    fn preview(&self, core: &Supervised, recipe: &Recipe) -> String;

    /// What whoever reads a plan has to know of a start: how it takes the place of what runs, or what it may do that others
    /// may not.
    fn remark(&self, core: &Supervised, recipe: &Recipe) -> Option<String>;

    /// The other ports that something which is not ready listens on.
    fn elsewhere(&self, spec: &LaunchSpec, candidate: &InstanceStatus) -> Vec<u16>;

    /// Removes what no kept revision of a service needs any more.
    fn prune(&self, core: &Supervised, service: &ServiceName, kept: &[Revision]);

    /// What changed since the version of a service that runs was made; nothing when that is not known.
    fn changes_since(&self, core: &Supervised, service: &ServiceName, version: &str) -> Vec<String>;

    /// Whether a service takes a port of this machine.
    fn takes_port(&self, service: &Service) -> bool;

    /// # Errors
    /// When the supervisor does not answer.
    fn held(&self, core: &Supervised) -> Result<Held>;

    /// What is found of the deployment where its folder was lost.
    ///
    /// # Errors
    /// When that cannot be asked, or it is not lost but another checkout's.
    fn lost(&self, _: &Supervised) -> Result<Lost> {
        Ok(Lost::new())
    }

    /// What publishes an address that is taken, where the process that holds it belongs to an engine. `holder` is that
    /// process, as far as it can be seen.
    fn publisher(&self, core: &Supervised, address: SocketAddr, holder: Option<&os::Holder>) -> Option<Publisher>;

    /// Where a service that listens there is open to this machine, if it is meant to be; a wildcard is given as such.
    fn opened(&self, core: &Supervised, service: &ServiceName, listen: SocketAddr) -> Option<SocketAddr>;

    /// Where the checks of a smoke contract reach a service, or why they cannot.
    ///
    /// # Errors
    /// The reason, for people.
    fn endpoint(&self, core: &Supervised, service: &ServiceName) -> Result<Endpoint, String>;

    fn deny(&self, core: &Supervised, denied: &DeniedPath) -> smoke::Outcome;

    /// What removes what a system leaves behind beside its files once it has stopped, where it leaves anything.
    fn removal(&self, core: &Arc<Supervised>, system: &System, keep_data: bool) -> Option<Removal>;

    /// What a system has on disk beside the files of its services.
    fn system_paths(&self, core: &Supervised, system: &SystemName) -> Vec<PathBuf>;

    /// Folders of all systems that go with the last of them.
    fn shared_folders(&self, core: &Supervised) -> Vec<PathBuf>;

    /// Whether a service has stored something.
    fn has_data(&self, core: &Supervised, service: &ServiceName) -> bool;

    /// What a service for which a place was made has stored. Asks no program.
    fn stored(&self, core: &Supervised, service: &ServiceName) -> Option<Stored>;

    /// Whether two services that listen on one address are in each other's way.
    fn shares_addresses(&self) -> bool;

    /// Gives what one service has stored to another. Done twice it is done once.
    ///
    /// # Errors
    /// When it cannot be moved; it is then where it was.
    fn hand_over(&self, core: &Supervised, from: &ServiceName, to: &UnitId) -> Result<()>;

    /// Gives back the ports of those in whose place a service was to come that has failed: they are about to serve again.
    ///
    /// # Errors
    /// When they cannot be given back.
    fn give_back(&self, _: &Arc<Supervised>, _: &UnitId, _: &[UnitId], _: &StepCx<'_>) -> Result<()> {
        Ok(())
    }

    /// The size of what a service has stored, in bytes, where it can be measured. An engine may be asked.
    fn size(&self, core: &Supervised, service: &ServiceName) -> Option<u64> {
        self.stored(core, service)?.size
    }

    /// Removes what a service that has stopped has left beside its files and its data.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    fn remove_leftovers(&self, core: &Supervised, unit: &UnitId, cx: &StepCx<'_>) -> Result<()>;

    /// Adds what can still be found of a scope beside files and processes.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn find_remains(&self, core: &Supervised, scope: &Scope, keep_data: bool, remains: &mut Remains) -> Result<()>;
}
