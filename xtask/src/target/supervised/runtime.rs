//! What differs between the places where a supervisor runs services: as processes of this machine, or in containers.

use super::Supervised;
use super::recipe::Recipe;
use super::revision::Revision;
use super::start::Secrets;
use crate::ctx::Ctx;
use crate::http::Endpoint;
use crate::plan::{Step, StepId};
use crate::smoke;
use crate::spec::name::{ServiceName, SystemName};
use crate::spec::smoke::DeniedPath;
use crate::spec::system::{Reference, Service, System};
use crate::supervisor::{InstanceStatus, LaunchSpec};
use crate::target::{Remains, Scope, SkippedSystem};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What a deploy starts here, and what it has to make for that.
pub(in crate::target) struct Provided {
    /// What each system starts, in an order in which every service comes after those it needs.
    pub(in crate::target) systems: Vec<(System, Vec<Planned>)>,
    pub(in crate::target) skipped: Vec<SkippedSystem>,
    /// What is built and fetched.
    pub(in crate::target) steps: Vec<Step>,
    /// Something has to be built, for which the machine has to be ready.
    pub(in crate::target) builds: bool,
    pub(in crate::target) errors: BuildErrors,
}

/// A service as it will be started.
pub(in crate::target) struct Planned {
    pub(in crate::target) service: Service,
    pub(in crate::target) recipe: Recipe,
    /// Steps that make what the recipe names.
    pub(in crate::target) needs: Vec<StepId>,
}

/// Why a service has nothing to start, as the compiler or the engine said it.
pub(in crate::target) type BuildErrors = Arc<Mutex<BTreeMap<ServiceName, String>>>;

/// What holds ports of this machine for the deployment.
#[derive(Default)]
pub(in crate::target) struct Held {
    /// The services that are served, and where.
    pub(in crate::target) serving: Vec<(ServiceName, SocketAddr)>,
    /// Processes of the deployment.
    pub(in crate::target) pids: BTreeSet<u32>,
}

/// A place to run services under a supervisor. `core` is what all places share.
pub(in crate::target) trait Runtime: Send + Sync {
    /// # Errors
    /// When what is there cannot be read.
    fn provide(&self, core: &Arc<Supervised>, ctx: &Ctx) -> Result<Provided>;

    /// What every start of a system needs here. `provided`: beside the steps of [`Runtime::provide`], not in a rollback.
    fn ground(&self, core: &Arc<Supervised>, system: &System, recipes: &[Recipe], provided: bool) -> Vec<Step>;

    /// What becomes of a recipe here; `None` while an address or a secret is not known yet.
    ///
    /// # Errors
    /// When what the recipe refers to cannot be read.
    fn launch_spec(&self, core: &Supervised, recipe: &Recipe, secrets: Secrets) -> Result<Option<LaunchSpec>>;

    /// What `${address}`, `${host}`, `${port}`, `${data}` and `${file.NAME}` stand for; `None` while it is not known.
    ///
    /// # Errors
    /// When that cannot be read.
    fn refer(&self, core: &Supervised, service: &Service, reference: &Reference) -> Result<Option<String>>;

    /// Makes what is there before a service starts, its files among it.
    ///
    /// # Errors
    /// When that cannot be made.
    fn prepare(&self, core: &Supervised, recipe: &Recipe, system: &SystemName) -> Result<()>;

    /// How a recipe is started, for the preview.
    fn preview(&self, core: &Supervised, recipe: &Recipe) -> String;

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

    /// Where a service that listens there is reached from this machine, if it is meant to be.
    fn reached(&self, core: &Supervised, service: &ServiceName, listen: SocketAddr) -> Option<SocketAddr>;

    /// Where the checks of a smoke contract reach a service, or why they cannot.
    ///
    /// # Errors
    /// The reason, for people.
    fn endpoint(&self, core: &Supervised, service: &ServiceName) -> Result<Endpoint, String>;

    fn deny(&self, core: &Supervised, denied: &DeniedPath) -> smoke::Outcome;

    /// What a system leaves behind beside its files once it has stopped, and the steps that remove it.
    fn removal(&self, core: &Arc<Supervised>, system: &System, needs: StepId, keep_data: bool) -> Vec<Step>;

    /// What a system has on disk beside the files of its services.
    fn system_paths(&self, core: &Supervised, system: &SystemName) -> Vec<PathBuf>;

    /// Folders of all systems that go with the last of them.
    fn shared_folders(&self, core: &Supervised) -> Vec<PathBuf>;

    /// Whether a service has stored something.
    fn has_data(&self, core: &Supervised, service: &ServiceName) -> bool;

    /// Adds what can still be found of a scope beside files and processes.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn find_remains(&self, core: &Supervised, scope: &Scope, keep_data: bool, remains: &mut Remains) -> Result<()>;
}
