//! Target `eks`: the systems in a cluster on AWS that a deploy makes first.
//!
//! It is the target `kubernetes` with an environment that follows from the deployment's names ([`derive`]), on a platform
//! of its own ([`platform`]). Before the steps in the cluster come the state bucket, Terraform, the kubeconfig, the load
//! balancer controller and the storage class ([`steps`]); after them, in a teardown, what AWS itself says is gone
//! ([`teardown`]).

mod account;
mod arrival;
mod balancer;
mod certificate;
mod changes;
mod controller;
mod derive;
mod dns;
mod egress;
mod front;
mod guard;
mod hops;
mod infrastructure;
mod ingress;
mod kubeconfig;
mod platform;
mod reconciled;
mod steps;
mod storage;
mod teardown;

pub(crate) use self::controller::chart as controller_chart;

use self::platform::EksPlatform;
use super::kubernetes::Kubernetes;
use super::rendering::{Place, Rendering};
use super::{Contribution, Deployment, Guard, Logs, Remains, Scope, SystemChanges, SystemStatus, Target};
use crate::aws::Aws;
use crate::ctx::Ctx;
use crate::error::Fault;
use crate::home::Home;
use crate::http::Endpoint;
use crate::image::auth::Ask;
use crate::infra::ledger::AwsLedger;
use crate::infra::outlook::Outlook;
use crate::infra::{Aim, Infra};
use crate::journal::Journal;
use crate::lease::Claim;
use crate::plan::Step;
use crate::smoke;
use crate::spec::name::ServiceName;
use crate::spec::smoke::DeniedPath;
use crate::spec::system::System;
use anyhow::Result;
use std::sync::Arc;

pub(super) struct Eks {
    /// The same deployment as `kubernetes` sees it.
    core: Arc<Kubernetes>,
    infra: Arc<Infra>,
    platform: Arc<EksPlatform>,
    ledger: Arc<AwsLedger>,
    agreement: infrastructure::Agreement,
}

/// A deployment as its images see it. Without an account or credentials to tell one, images stay on this machine.
pub(super) fn for_images(deployment: Deployment, ctx: &Ctx, pushes: bool) -> Result<(Deployment, Option<Ask>)> {
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
    pub(super) fn new(deployment: Deployment, ctx: &Ctx) -> Result<Self> {
        let names = account::names(&deployment, ctx)?;
        let deployment = derive::deployment(deployment, &names)?;
        let infra = Arc::new(Infra::new(ctx, &deployment, names)?);
        let ledger = Arc::new(AwsLedger::new(Arc::clone(&infra.bucket), deployment.home.clone()));
        let platform = Arc::new(EksPlatform::new(&infra, &ledger, ctx));
        let core = Arc::new(Kubernetes::new(deployment, ctx, Arc::clone(&platform) as _)?);
        Ok(Self { core, infra, platform, ledger, agreement: infrastructure::Agreement::default() })
    }

    fn deployment(&self) -> &Deployment {
        &self.core.deployment
    }
}

impl Target for Eks {
    fn home(&self) -> &Home {
        &self.deployment().home
    }

    fn guard(&self, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
        guard::take(self, ctx, claim, journal)
    }

    fn deploy(self: Arc<Self>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
        steps::deploy(&self, ctx, verify)
    }

    fn rollback(self: Arc<Self>, ctx: &Ctx, system: &System) -> Result<Contribution> {
        Arc::clone(&self.core).rollback(ctx, system)
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

    fn infra(&self) -> Option<&Arc<Infra>> {
        Some(&self.infra)
    }

    fn platform(self: Arc<Self>, aim: Aim) -> Result<Vec<Step>> {
        Ok(infrastructure::alone(&self, aim))
    }

    fn outlook(&self) -> Result<Option<Outlook>> {
        infrastructure::outlook(self).map(Some)
    }

    fn name_to_type(&self, scope: &Scope) -> Option<String> {
        teardown::name_to_type(self, scope)
    }

    fn changes(self: Arc<Self>, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
        changes::changes(&self, ctx)
    }

    fn render(self: Arc<Self>, ctx: &Ctx, place: &Place) -> Result<Option<Rendering>> {
        Arc::clone(&self.core).render(ctx, place)
    }

    fn status(&self, ctx: &Ctx) -> Result<Vec<SystemStatus>> {
        changes::status(self, ctx)
    }

    fn logs(&self, service: &ServiceName) -> Logs<'_> {
        self.core.logs(service)
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
