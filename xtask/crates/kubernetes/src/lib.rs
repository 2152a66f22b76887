//! Target `kubernetes`: the systems in a cluster, each a Helm release of the chart `helm/app` in a namespace of its own.
//!
//! The cluster is asked over its API ([`kube`]); Helm runs only to change a release. What was proven is recorded
//! in the cluster, so that nothing has to be rendered to know that nothing changed.
//!
//! A cluster is reached by `access`, kept to one run at a time by `guard`, and remembers the deployment in `records`.
//! `steps` plans a deploy and a rollback, `teardown` the end; what a release is to be is decided in `release_spec`,
//! written down in `values`, and compared with what there is in `release_context` and `running`.

pub mod access;
mod arrival;
mod assets;
mod auto_rollback;
mod balancers;
mod changes;
pub mod chart;
mod claims;
mod context_cluster;
mod deny;
pub mod diagnostics;
mod drift;
mod egress;
pub mod exposure;
pub mod facts;
pub mod fixture;
mod forward;
pub mod guard;
mod handover;
pub mod helm;
pub mod identity;
mod images;
mod jobs;
pub mod kubeconfig;
pub mod local_settings;
mod logs;
mod moving;
pub mod names;
pub mod namespaces;
pub mod needs;
mod parting;
pub mod platform;
pub mod pods;
mod ports;
pub mod prerequisites;
mod public_url;
pub mod pull_secrets;
mod recalled;
pub mod recorded;
pub mod records;
mod release;
mod release_context;
pub mod release_spec;
mod removal;
mod render;
mod rollout;
pub mod running;
mod sample;
mod scale;
mod secret_values;
mod status;
mod steps;
pub mod teardown;
pub mod traffic;
mod values;
mod verify;

pub use self::arrival::is_from;
pub use self::sample::sample_values;

use self::access::Access;
use self::context_cluster::ContextCluster;
use self::exposure::Ways;
use self::forward::Forwards;
use self::names::Names;
use self::platform::Platform;
use self::records::Records;
use self::running::Running;
use anyhow::Result;
use base::ctx::{Ctx, Vars};
use base::error::Fault;
use base::http::Endpoint;
use base::proc::Proc;
use base::signal::Interrupts;
use engine::backend::{Contribution, Guard, LogSource, Remains, Speaker, SystemChanges, SystemStatus, Tags, Target};
use engine::deployment::{Deployment, Scope};
use engine::home::Home;
use engine::journal::Journal;
use engine::lease::Claim;
use engine::plan::Step;
use engine::reconcile::{Entrance, Observed, Recorded, StateMove, UnitId};
use engine::rendering::{Place, Rendering};
use engine::smoke;
use model::job::Job;
use model::name::{ServiceName, SystemName};
use model::smoke::DeniedPath;
use model::system::{Service, System};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use tools::oci;

pub struct Kubernetes {
    pub deployment: Deployment,
    pub names: Names,
    /// Who provides the cluster.
    pub platform: Arc<dyn Platform>,
    /// The way to the cluster, taken when something is first asked of it.
    pub access: Arc<Access>,
    /// What the cluster knows of the deployment.
    pub records: Records,
    /// How services are reached from here: public ones through the ingress, all others through a port forward.
    ways: Ways,
    forwards: Forwards,
    /// What builds images.
    engine: Arc<oci::Lazy>,
    /// For questions that are asked outside of a run's steps.
    pub proc: Proc,
    /// The environment of whoever deploys.
    vars: Vars,
    pub interrupts: Interrupts,
    own_program: PathBuf,
}

impl Kubernetes {
    /// In the cluster whose context the environment names.
    pub fn of_context(deployment: Deployment, ctx: &Ctx) -> Result<Self> {
        let platform = Arc::new(ContextCluster::new(&deployment, ctx));
        Self::new(deployment, ctx, platform)
    }

    pub fn new(deployment: Deployment, ctx: &Ctx, platform: Arc<dyn Platform>) -> Result<Self> {
        let names = Names::new(&deployment.environment);
        let access = Arc::new(Access::new(&deployment, ctx, Arc::clone(&platform))?);
        Ok(Self {
            platform,
            records: Records::new(Arc::clone(&access), names.clone(), deployment.home.clone())
                .telling_apart(&deployment.spec),
            names,
            access,
            ways: Ways::default(),
            forwards: Forwards::default(),
            engine: Arc::new(oci::Lazy::new(deployment.environment.engine)),
            proc: ctx.proc.clone(),
            vars: ctx.vars.clone(),
            interrupts: ctx.interrupts.clone(),
            own_program: Ctx::own_program()?,
            deployment,
        })
    }

    /// The system of a service.
    pub fn system_of(&self, service: &ServiceName) -> Option<&System> {
        let has = |system: &&System| system.services.iter().any(|other| other.name == *service);
        self.deployment.spec.systems.iter().find(has)
    }

    /// The system of a service, which may be declared no longer.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn owner_of(&self, service: &ServiceName) -> Result<Option<SystemName>> {
        if let Some(system) = self.system_of(service) {
            return Ok(Some(system.name.clone()));
        }
        for system in self.records.systems()? {
            if recorded::released(self, &system)?.contains_key(service) {
                return Ok(Some(system));
            }
        }
        Ok(None)
    }
}

/// Forgets which cluster an environment was deployed to: it is no more, and the next one is another.
///
/// # Errors
/// When that cannot be removed.
pub fn forget_cluster(home: &Home) -> Result<()> {
    identity::forget(home.dir())
}

impl Target for Kubernetes {
    fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    fn home(&self) -> &Home {
        &self.deployment.home
    }

    fn guard(&self, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
        guard::take(self, ctx, claim, journal)
    }

    fn recorded(&self) -> Result<Recorded> {
        recorded::recorded(self)
    }

    fn observed(&self) -> Result<Observed> {
        Ok(Running::look(self)?.observed(&self.names, &self.deployment.spec))
    }

    fn moving(&self, recorded: &Recorded) -> Result<BTreeMap<UnitId, StateMove>> {
        moving::moving(self, recorded)
    }

    fn entrances(&self, service: &Service) -> BTreeSet<Entrance> {
        if service.public { self.names.entrances(&service.public_name) } else { BTreeSet::new() }
    }

    fn deploy(self: Arc<Self>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
        steps::deploy(&self, ctx, verify)
    }

    fn rollback(self: Arc<Self>, ctx: &Ctx, system: &SystemName) -> Result<Contribution> {
        steps::rollback(&self, ctx, system)
    }

    fn run_job(self: Arc<Self>, _: &Ctx, system: &System, job: &Job) -> Result<Vec<Step>> {
        Ok(vec![jobs::step(&self, system, job)])
    }

    fn newest_revision(&self, system: &SystemName) -> Result<Option<u64>> {
        Ok(self.records.history(system)?.pop().map(|newest| newest.number))
    }

    fn widened(&self, scope: Scope) -> Result<Scope> {
        teardown::widened(self, scope, &[])
    }

    fn teardown(self: Arc<Self>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>> {
        Ok(teardown::steps(&self, scope, keep_data))
    }

    fn remains(&self, scope: &Scope, keep_data: bool) -> Result<Remains> {
        teardown::remains(self, scope, keep_data)
    }

    fn stored_data(&self, scope: &Scope) -> Vec<String> {
        teardown::stored_data(self, scope)
    }

    fn changes(self: Arc<Self>, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
        changes::changes(&self, ctx)
    }

    fn tags(&self, ctx: &Ctx) -> Tags {
        ::images::moved::tags(ctx, &self.deployment, &|_| Vec::new())
    }

    fn render(self: Arc<Self>, ctx: &Ctx, place: &Place) -> Result<Option<Rendering>> {
        render::render(&self, ctx, place).map(Some)
    }

    fn status(&self, _: &Ctx) -> Result<Vec<SystemStatus>> {
        status::status(self)
    }

    fn logs(&self, speaker: &Speaker) -> Box<dyn LogSource + '_> {
        Box::new(logs::PodLogs { core: self, speaker: speaker.clone() })
    }

    fn endpoint(&self, service: &ServiceName) -> Result<Endpoint, String> {
        match self.deployment.find_service(service) {
            Some(declared) if declared.public => exposure::endpoint(self, service),
            _ => self.forwards.endpoint(self, service),
        }
    }

    fn explain(&self, system: &System) -> Option<Fault> {
        let public = system.services.iter().filter(|service| service.public);
        let services: Vec<ServiceName> = public.map(|service| service.name.clone()).collect();
        self.platform.ingress_provider()?.explain(self, &services)
    }

    fn deny(&self, denied: &DeniedPath) -> smoke::Outcome {
        deny::deny(self, denied)
    }

    fn forget(&self, scope: &Scope, keep_data: bool) -> Result<()> {
        teardown::forget(self, scope, keep_data)
    }
}
