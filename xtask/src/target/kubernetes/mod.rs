//! Target `kubernetes`: the systems in a cluster, each a Helm release of the chart `helm/app` in a namespace of its own.
//!
//! The cluster is asked over its API ([`crate::kube`]); Helm runs only to change a release. What was proven is recorded
//! in the cluster, so that nothing has to be rendered to know that nothing changed.
//!
//! A cluster is reached by `access`, kept to one run at a time by `guard`, and remembers the deployment in `records`.
//! `steps` plans a deploy and a rollback, `teardown` the end; what a release is to be is decided in `wanted`, written down
//! in `values`, and compared with what there is in `aim` and `running`.

pub(in crate::target) mod access;
mod aim;
mod arrival;
mod back;
mod changes;
pub(in crate::target) mod chart;
mod deny;
pub(crate) mod dossier;
mod drift;
pub(crate) mod exposure;
pub(crate) mod facts;
pub(in crate::target) mod fixture;
mod forward;
pub(in crate::target) mod ground;
pub(in crate::target) mod guard;
pub(in crate::target) mod helm;
pub(in crate::target) mod identity;
mod images;
pub(in crate::target) mod kubeconfig;
mod logs;
mod named;
pub(in crate::target) mod names;
pub(in crate::target) mod namespaces;
pub(crate) mod needs;
pub(in crate::target) mod platform;
pub(in crate::target) mod pods;
mod prove;
pub(in crate::target) mod records;
mod release;
mod render;
mod rollout;
pub(in crate::target) mod running;
mod sample;
mod status;
mod steps;
pub(in crate::target) mod teardown;
pub(crate) mod traffic;
mod values;
pub(in crate::target) mod wanted;

pub use self::sample::sample_values;

use self::access::Access;
use self::exposure::Ways;
use self::forward::Forwards;
use self::named::Named;
use self::names::Names;
use self::platform::Platform;
use self::records::Records;
use super::rendering::{Place, Rendering};
use super::{Contribution, Deployment, Guard, Logs, Remains, Scope, SystemChanges, SystemStatus, Target};
use crate::ctx::Ctx;
use crate::error::Fault;
use crate::home::Home;
use crate::http::Endpoint;
use crate::journal::Journal;
use crate::lease::Claim;
use crate::plan::Step;
use crate::proc::Proc;
use crate::signal::Interrupts;
use crate::smoke;
use crate::spec::name::ServiceName;
use crate::spec::smoke::DeniedPath;
use crate::spec::system::System;
use crate::tools::engine;
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;

pub(in crate::target) struct Kubernetes {
    pub(in crate::target) deployment: Deployment,
    pub(in crate::target) names: Names,
    /// Who provides the cluster.
    pub(in crate::target) platform: Arc<dyn Platform>,
    /// The way to the cluster, taken when something is first asked of it.
    pub(in crate::target) access: Arc<Access>,
    /// What the cluster knows of the deployment.
    pub(in crate::target) records: Records,
    /// How services are reached from here: public ones through the ingress, all others through a port forward.
    ways: Ways,
    forwards: Forwards,
    /// What builds images.
    engine: Arc<engine::Lazy>,
    /// For questions that are asked outside of a run's steps.
    pub(in crate::target) proc: Proc,
    pub(in crate::target) interrupts: Interrupts,
    own_program: PathBuf,
}

impl Kubernetes {
    /// In the cluster whose context the environment names.
    pub(super) fn named(deployment: Deployment, ctx: &Ctx) -> Result<Self> {
        let platform = Arc::new(Named::new(&deployment, ctx));
        Self::new(deployment, ctx, platform)
    }

    pub(super) fn new(deployment: Deployment, ctx: &Ctx, platform: Arc<dyn Platform>) -> Result<Self> {
        let names = Names::new(&deployment.environment);
        let access = Arc::new(Access::new(&deployment, ctx, Arc::clone(&platform))?);
        Ok(Self {
            platform,
            records: Records::new(Arc::clone(&access), names.clone(), deployment.home.clone()),
            names,
            access,
            ways: Ways::default(),
            forwards: Forwards::default(),
            engine: Arc::new(engine::Lazy::new(deployment.environment.engine)),
            proc: ctx.proc.clone(),
            interrupts: ctx.interrupts.clone(),
            own_program: Ctx::own_program()?,
            deployment,
        })
    }

    /// The system of a service.
    pub(in crate::target) fn system_of(&self, service: &ServiceName) -> Option<&System> {
        let has = |system: &&System| system.services.iter().any(|other| other.name == *service);
        self.deployment.spec.systems.iter().find(has)
    }
}

/// Forgets which cluster an environment was deployed to: it is no more, and the next one is another.
///
/// # Errors
/// When that cannot be removed.
pub(crate) fn forget_cluster(home: &Home) -> Result<()> {
    identity::forget(home.dir())
}

impl Target for Kubernetes {
    fn home(&self) -> &Home {
        &self.deployment.home
    }

    fn guard(&self, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
        guard::take(self, ctx, claim, journal)
    }

    fn deploy(self: Arc<Self>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
        steps::deploy(&self, ctx, verify)
    }

    fn rollback(self: Arc<Self>, ctx: &Ctx, system: &System) -> Result<Contribution> {
        steps::rollback(&self, ctx, system)
    }

    fn widened(&self, scope: Scope) -> Result<Scope> {
        teardown::widened(self, scope)
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

    fn render(self: Arc<Self>, ctx: &Ctx, place: &Place) -> Result<Option<Rendering>> {
        render::render(&self, ctx, place).map(Some)
    }

    fn status(&self, _: &Ctx) -> Result<Vec<SystemStatus>> {
        status::status(self)
    }

    fn logs(&self, service: &ServiceName) -> Logs<'_> {
        Logs::Stream(Box::new(logs::PodLogs { core: self, service: service.clone() }))
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
        self.platform.front()?.explain(self, &services)
    }

    fn deny(&self, denied: &DeniedPath) -> smoke::Outcome {
        deny::deny(self, denied)
    }

    fn forget(&self, scope: &Scope, keep_data: bool) -> Result<()> {
        teardown::forget(self, scope, keep_data)
    }
}
