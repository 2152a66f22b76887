//! Target `eks`: the systems in a cluster on AWS that a deploy makes first.
//!
//! It is the target `kubernetes` with an environment that follows from the deployment's names ([`derive`]), on a platform
//! of its own ([`platform`]). Before the steps in the cluster come the state bucket, Terraform, the kubeconfig, the load
//! balancer controller and the storage class ([`steps`]); after them, in a teardown, what AWS itself says is gone
//! ([`teardown`]).

mod account;
mod alb_ingress;
mod arrival;
mod balancer;
mod certificate;
mod changes;
mod controller;
mod derive;
mod dns;
mod egress;
mod guard;
mod infrastructure;
mod ingress;
mod kubeconfig;
mod network_balancer;
mod platform;
mod reconciled;
mod request_path;
mod steps;
mod storage;
mod takeover;
mod teardown;

pub use self::controller::chart as controller_chart;

use self::platform::EksPlatform;
use anyhow::Result;
use aws::Aws;
use aws::infra::ledger::AwsLedger;
use aws::infra::{Goal, Infra};
use base::ctx::Ctx;
use base::error::Fault;
use base::http::Endpoint;
use engine::backend::{
    Contribution, Guard, LogSource, PlatformPlan, Remains, Speaker, SystemChanges, SystemStatus, Tags, Target,
};
use engine::deployment::{Deployment, Scope};
use engine::home::Home;
use engine::journal::Journal;
use engine::lease::Claim;
use engine::plan::Step;
use engine::reconcile::{Entrance, Observed, Recorded, StateMove, UnitId};
use engine::rendering::{Place, Rendering};
use engine::smoke;
use images::auth::Ask;
use kubernetes::Kubernetes;
use model::job::Job;
use model::name::{ServiceName, SystemName};
use model::smoke::DeniedPath;
use model::system::{Service, System};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub struct Eks {
    /// The same deployment as `kubernetes` sees it.
    core: Arc<Kubernetes>,
    infra: Arc<Infra>,
    platform: Arc<EksPlatform>,
    ledger: Arc<AwsLedger>,
    agreement: infrastructure::Agreement,
}

/// A deployment as its images see it. Without an account or credentials to tell one, images stay on this machine.
pub fn for_images(deployment: Deployment, ctx: &Ctx, pushes: bool) -> Result<(Deployment, Option<Ask>)> {
    let is_named = deployment.environment.aws.as_ref().is_some_and(|aws| aws.account.is_some());
    if !pushes && !is_named {
        return Ok((deployment, None));
    }
    let names = account::names(&deployment, ctx)?;
    let aws = Aws::new(ctx, &deployment.environment)?;
    let ask = platform::registry_owner(&aws, &names);
    Ok((derive::deployment(deployment, &names)?, Some(ask)))
}

impl Eks {
    pub fn new(deployment: Deployment, ctx: &Ctx) -> Result<Self> {
        let names = account::names(&deployment, ctx)?;
        let deployment = derive::deployment(deployment, &names)?;
        let infra = Arc::new(Infra::new(ctx, &deployment, names)?);
        let ledger = Arc::new(AwsLedger::new(Arc::clone(&infra.bucket), deployment.home.clone()));
        let platform = Arc::new(EksPlatform::new(&infra, &ledger, ctx));
        let core = Arc::new(Kubernetes::new(deployment, ctx, Arc::clone(&platform) as _)?);
        Ok(Self { core, infra, platform, ledger, agreement: infrastructure::Agreement::default() })
    }

    /// The platform that a deploy makes.
    pub fn infra(&self) -> &Arc<Infra> {
        &self.infra
    }

    /// The steps that make the platform alone, or its end.
    pub fn platform_steps(self: &Arc<Self>, goal: Goal) -> Vec<Step> {
        infrastructure::alone(self, goal)
    }

    fn deployment(&self) -> &Deployment {
        &self.core.deployment
    }
}

impl Target for Eks {
    fn deployment(&self) -> &Deployment {
        &self.core.deployment
    }

    fn home(&self) -> &Home {
        &self.deployment().home
    }

    fn guard(&self, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
        guard::take(self, ctx, claim, journal)
    }

    fn recorded(&self) -> Result<Recorded> {
        self.core.recorded()
    }

    fn observed(&self) -> Result<Observed> {
        self.core.observed()
    }

    fn moving(&self, recorded: &Recorded) -> Result<BTreeMap<UnitId, StateMove>> {
        self.core.moving(recorded)
    }

    fn entrances(&self, service: &Service) -> BTreeSet<Entrance> {
        self.core.entrances(service)
    }

    fn deploy(self: Arc<Self>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
        steps::deploy(&self, ctx, verify)
    }

    fn rollback(self: Arc<Self>, ctx: &Ctx, system: &SystemName) -> Result<Contribution> {
        Arc::clone(&self.core).rollback(ctx, system)
    }

    fn run_job(self: Arc<Self>, ctx: &Ctx, system: &System, job: &Job) -> Result<Vec<Step>> {
        Arc::clone(&self.core).run_job(ctx, system, job)
    }

    fn newest_revision(&self, system: &SystemName) -> Result<Option<u64>> {
        self.core.newest_revision(system)
    }

    fn widened(&self, scope: Scope) -> Result<Scope> {
        teardown::widened(self, scope)
    }

    fn teardown(self: Arc<Self>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>> {
        teardown::steps(&self, scope, keep_data)
    }

    fn remains(&self, scope: &Scope, keep_data: bool) -> Result<Remains> {
        teardown::remains(self, scope, keep_data)
    }

    fn stored_data(&self, scope: &Scope) -> Vec<String> {
        self.core.stored_data(scope)
    }

    fn platform_plan(&self) -> Result<Option<PlatformPlan>> {
        let priced = infrastructure::priced_plan(self)?;
        let (text, infrastructure) = (priced.to_string(), priced.summary.document());
        Ok(Some(PlatformPlan { text, infrastructure, estimate: priced.document() }))
    }

    fn name_to_type(&self, scope: &Scope) -> Option<String> {
        teardown::name_to_type(self, scope)
    }

    fn changes(self: Arc<Self>, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
        changes::changes(&self, ctx)
    }

    fn tags(&self, ctx: &Ctx) -> Tags {
        self.core.tags(ctx)
    }

    fn render(self: Arc<Self>, ctx: &Ctx, place: &Place) -> Result<Option<Rendering>> {
        Arc::clone(&self.core).render(ctx, place)
    }

    fn status(&self, ctx: &Ctx) -> Result<Vec<SystemStatus>> {
        changes::status(self, ctx)
    }

    fn logs(&self, speaker: &Speaker) -> Box<dyn LogSource + '_> {
        self.core.logs(speaker)
    }

    fn endpoint(&self, service: &ServiceName) -> Result<Endpoint, String> {
        self.core.endpoint(service)
    }

    fn explain(&self, system: &System) -> Option<Fault> {
        self.core.explain(system)
    }

    fn deny(&self, denied: &DeniedPath) -> smoke::Outcome {
        self.core.deny(denied)
    }

    fn forget(&self, scope: &Scope, keep_data: bool) -> Result<()> {
        teardown::forget(self, scope, keep_data)
    }
}
