//! What differs between the places where systems run. A target contributes steps and answers questions; commands never
//! ask which one it is.

mod answers;
mod logs;

pub use self::answers::{
    MovedTag, NOT_LOOKED_UP, PlatformPlan, PortStatus, Remains, ServiceState, ServiceStatus, Survivor, SystemChanges,
    SystemStatus, Tags,
};
pub use self::logs::{LogLine, LogRequest, LogSource, Said, Sink, Speaker};

use crate::deployment::{Deployment, Scope, unknown_system};
use crate::home::Home;
use crate::journal::Journal;
use crate::lease::Claim;
use crate::plan::Step;
use crate::reconcile::{Changes, Entrance, Observed, Recorded, StateMove, UnitId};
use crate::rendering::{Place, Rendering};
use crate::secrets::MissingSecret;
use crate::{reconcile, smoke};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::http::Endpoint;
use model::job::Job;
use model::name::{ServiceName, SystemName};
use model::smoke::DeniedPath;
use model::system::{Service, System};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Makes sure that every system that was named is one: declared, in a file that cannot be read, or recorded as made.
///
/// # Errors
/// When one is not, or the records cannot be read.
pub fn check_names(target: &dyn Target) -> Result<()> {
    let deployment = target.deployment();
    let undeclared = |name: &&SystemName| deployment.declares_system(name) == Some(false);
    let undeclared: Vec<&SystemName> = deployment.scope.systems.iter().filter(undeclared).collect();
    if deployment.scope.everything || undeclared.is_empty() {
        return Ok(());
    }
    let recorded = target.recorded()?;
    match undeclared.into_iter().find(|name| !recorded.systems.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let declared = deployment.spec.systems.iter().map(|system| &system.name);
            let known: BTreeSet<&SystemName> =
                declared.chain(&deployment.unreadable.systems).chain(recorded.systems.keys()).collect();
            Err(unknown_system(&deployment.spec, name.as_str(), known.into_iter()).into())
        }
    }
}

/// One place to run systems.
pub trait Target: Send + Sync {
    fn deployment(&self) -> &Deployment;

    /// Where the deployment's lease, ledger and journal live.
    fn home(&self) -> &Home;

    /// Makes sure that nobody else changes the deployment from another machine, for as long as the result is kept. The
    /// lease on [`Target::home`] is held already.
    ///
    /// # Errors
    /// When somebody does, or what the environment names is not what was deployed to before.
    fn guard(&self, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
        let _ = (ctx, claim, journal);
        Ok(Box::new(()))
    }

    /// What was written down as made, whatever the files say: its ledger and its revisions.
    ///
    /// # Errors
    /// When that cannot be read.
    fn recorded(&self) -> Result<Recorded>;

    /// What is found running by the deployment's mark.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn observed(&self) -> Result<Observed>;

    /// What a service is to have for itself alone here.
    fn entrances(&self, service: &Service) -> BTreeSet<Entrance>;

    /// What files, records and what runs come to when they are compared.
    ///
    /// # Errors
    /// When one of them cannot be had.
    fn reconcile(&self) -> Result<Changes> {
        self.compare(&self.recorded()?, &self.observed()?)
    }

    /// The same of records and of what runs that were looked at before.
    ///
    /// # Errors
    /// When what is recorded cannot be read.
    fn compare(&self, recorded: &Recorded, observed: &Observed) -> Result<Changes> {
        let mut desired = self.deployment().desired(&|service| self.entrances(service));
        let (agreed, moving) =
            self.moving(recorded)?.into_iter().partition(|(unit, _)| self.deployment().moves_state(&unit.system));
        desired.moving = moving;
        let extent = self.deployment().scope.extent();
        Ok(Changes { agreed, ..reconcile::compare(&desired, recorded, observed, &extent) })
    }

    /// The units that would begin elsewhere without what they have stored, whether that was asked for or not.
    ///
    /// # Errors
    /// When what is recorded cannot be read.
    fn moving(&self, recorded: &Recorded) -> Result<BTreeMap<UnitId, StateMove>> {
        let _ = recorded;
        Ok(BTreeMap::new())
    }

    /// The steps from whatever is to proven running, and those that remove what no file declares any more, once what
    /// takes its place is proven.
    ///
    /// # Errors
    /// When what is there cannot be read.
    fn deploy(self: Arc<Self>, ctx: &Ctx, verify: bool) -> Result<Contribution>;

    /// The steps back to the previous healthy revision of a system, which may be declared no longer.
    ///
    /// # Errors
    /// When there is none.
    fn rollback(self: Arc<Self>, ctx: &Ctx, system: &SystemName) -> Result<Contribution>;

    /// The steps that run a job now, of what is deployed.
    ///
    /// # Errors
    /// When nothing that it is made of is deployed.
    fn run_job(self: Arc<Self>, ctx: &Ctx, system: &System, job: &Job) -> Result<Vec<Step>>;

    /// The number of the newest revision of a system; `None` where there is none.
    ///
    /// # Errors
    /// When the history cannot be read.
    fn newest_revision(&self, system: &SystemName) -> Result<Option<u64>>;

    /// The scope of a teardown: everything, when nothing is deployed beside the systems that were named.
    ///
    /// # Errors
    /// When what is there cannot be read.
    fn widened(&self, scope: Scope) -> Result<Scope>;

    /// The steps to nothing.
    ///
    /// # Errors
    /// When what is there cannot be read.
    fn teardown(self: Arc<Self>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>>;

    /// Everything of the scope that can still be found, whether the ledger knows it or not. Stored data counts as kept
    /// when it was asked to be.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn remains(&self, scope: &Scope, keep_data: bool) -> Result<Remains>;

    /// The stored data that a teardown of the scope would remove, as names for the question.
    fn stored_data(&self, scope: &Scope) -> Vec<String>;

    /// What a person has to type before everything of the scope is removed; `None` where a yes will do.
    fn name_to_type(&self, scope: &Scope) -> Option<String> {
        let _ = scope;
        None
    }

    /// What a deploy would change of the platform that it makes before anything can run there; `None` where it makes none.
    ///
    /// # Errors
    /// When what is there cannot be read.
    fn platform_plan(&self) -> Result<Option<PlatformPlan>> {
        Ok(None)
    }

    /// What a deploy would change.
    ///
    /// # Errors
    /// When what is there cannot be read.
    fn changes(self: Arc<Self>, ctx: &Ctx) -> Result<Vec<SystemChanges>>;

    /// Which tags of public images stand for something else than what runs. Asks registries, which may not answer.
    fn tags(&self, ctx: &Ctx) -> Tags {
        let _ = ctx;
        Tags::default()
    }

    /// The systems as plain manifests, to be applied by other means; `None` where nothing is run from any.
    ///
    /// # Errors
    /// When something that they need to say is not known.
    fn render(self: Arc<Self>, ctx: &Ctx, place: &Place) -> Result<Option<Rendering>> {
        let _ = (ctx, place);
        Ok(None)
    }

    /// # Errors
    /// When what is there cannot be read.
    fn status(&self, ctx: &Ctx) -> Result<Vec<SystemStatus>>;

    /// Where what a service or a job says is read.
    fn logs(&self, speaker: &Speaker) -> Box<dyn LogSource + '_>;

    /// Where the checks of a smoke contract reach a service, or why they cannot.
    ///
    /// # Errors
    /// The reason, for people.
    fn endpoint(&self, service: &ServiceName) -> Result<Endpoint, String>;

    /// Why the public services of a system are not reached, where a hop on the way from outside is known to fail.
    fn explain(&self, system: &System) -> Option<Fault> {
        let _ = system;
        None
    }

    /// What becomes of a path that must be refused.
    fn deny(&self, denied: &DeniedPath) -> smoke::Outcome;

    /// Forgets a scope that is proven gone, down to the folder that held its state.
    ///
    /// # Errors
    /// When that cannot be removed.
    fn forget(&self, scope: &Scope, keep_data: bool) -> Result<()>;
}

/// What [`Target::guard`] gives back when it is dropped.
pub type Guard = Box<dyn Send>;

/// The steps of a target, and the systems that it cannot run here.
pub struct Contribution {
    pub steps: Vec<Step>,
    pub skipped: Vec<SkippedSystem>,
    /// Something has to be built, for which the machine has to be ready.
    pub builds: bool,
    /// What the steps that remove something go by.
    pub changes: Changes,
    /// What a rollback goes back to.
    pub earlier: Option<Earlier>,
    /// Secrets without which nothing may begin.
    pub missing: Vec<MissingSecret>,
}

/// A revision that a rollback goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    pub number: u64,
    /// How many checks prove it: none where no file declares its system any more.
    pub checks: usize,
}

/// A system that is left out, with the reason and the command that would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedSystem {
    pub name: SystemName,
    pub reason: String,
}
