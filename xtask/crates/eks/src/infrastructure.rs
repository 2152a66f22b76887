//! The step `infra`, and what is agreed to before it: what would change on AWS, and what it will cost.
//!
//! Without `--yes` the platform is planned before anything is changed, and the plan that was agreed to is the one that the
//! step applies. With `--yes` nobody waits for it: it is planned in the step, while images are built.

use super::{Eks, balancer};
use anyhow::Result;
use aws::infra::priced_plan::{ExtraCost, PricedPlan};
use aws::infra::{Goal, Saved};
use base::ctx::Ctx;
use base::error::Fault;
use base::terminal;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Step, StepId, Work};
use kubernetes::release_spec;
use model::system::TargetKind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The step's name.
pub(super) const STEP: Action = Action::new("infra");
/// What a volume has whose size no file says (`helm/app`, by way of `kubernetes/src/values.rs`).
const VOLUME_GIB: u64 = 1;

/// What a run means to do with the platform, from the making of its steps to the step `infra`.
#[derive(Default)]
pub(super) struct Agreement {
    /// Set when the platform is to be made at all, with whether it is looked at for drift.
    verify: OnceLock<bool>,
    /// The plan that was agreed to, or found to hold nothing.
    saved: Mutex<Option<Saved>>,
}

impl Agreement {
    fn keep(&self, saved: Saved) {
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
    }

    fn take(&self) -> Option<Saved> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The step that makes the platform what `terraform/` says; its outputs are then known.
pub(super) fn step(eks: &Arc<Eks>, verify: bool, needs: Vec<StepId>) -> Step {
    // The first that asks is the only one: a run makes its steps once.
    let _ = eks.agreement.verify.set(verify);
    Step {
        id: StepId::new(STEP),
        title: "make the platform on AWS with Terraform".to_owned(),
        system: None,
        needs,
        holds: Holds::Nothing,
        preview: eks.infra.preview(Goal::Platform),
        work: Box::new(Make { eks: Arc::clone(eks), verify }),
    }
}

struct Make {
    eks: Arc<Eks>,
    verify: bool,
}

impl Work for Make {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let eks = &self.eks;
        let Some(outputs) = as_wanted(eks)? else { return Ok(None) };
        if self.verify {
            let saved = match eks.agreement.take() {
                Some(saved) => saved,
                None => eks.infra.plan(Goal::Platform, &|text| cx.status(text))?,
            };
            if !saved.is_idle() {
                eks.agreement.keep(saved);
                return Ok(None);
            }
        }
        eks.platform.set_outputs(outputs);
        let drift = if self.verify { ", and nothing has drifted" } else { "" };
        Ok(Some(format!("the platform is what `terraform/` says{drift}")))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let eks = &self.eks;
        let saved = match eks.agreement.take() {
            Some(saved) => saved,
            None => eks.infra.plan(Goal::Platform, &|text| cx.status(text))?,
        };
        refuse_danger(eks, &saved).or_else(|fault| eks.infra.discard(&saved).and(Err(fault.into())))?;
        cx.news(format!("infrastructure: {}", saved.summary));
        let outputs = eks.infra.apply(&saved, cx)?;
        eks.platform.set_outputs(outputs);
        Ok(Outcome::DoneWith(saved.summary.counts()))
    }
}

/// The steps that make the platform alone, with its bucket; or those that end it.
pub(super) fn alone(eks: &Arc<Eks>, goal: Goal) -> Vec<Step> {
    if goal == Goal::Platform {
        let state = eks.infra.bucket.step(false);
        let infra = step(eks, true, vec![state.id.clone()]);
        return vec![state, infra];
    }
    vec![Step {
        id: StepId::new(Action::new("destroy")),
        title: "destroy the platform on AWS with Terraform".to_owned(),
        system: None,
        needs: Vec::new(),
        holds: Holds::Nothing,
        preview: eks.infra.preview(Goal::Nothing),
        work: Box::new(End { eks: Arc::clone(eks) }),
    }]
}

struct End {
    eks: Arc<Eks>,
}

impl Work for End {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let resources = self.eks.infra.resources()?;
        Ok(resources.is_empty().then(|| "Terraform's state holds nothing".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let eks = &self.eks;
        in_the_way(eks)?;
        let saved = eks.infra.plan(Goal::Nothing, &|text| cx.status(text))?;
        eks.infra.destroy(&saved, cx)?;
        Ok(Outcome::DoneWith(saved.summary.counts()))
    }
}

/// What controllers in the cluster have made on AWS holds the network, and nobody is left to remove it once the cluster is
/// gone.
fn in_the_way(eks: &Eks) -> Result<()> {
    let cluster = eks.infra.names.base();
    let seen = balancer::seen(&eks.infra.aws, &cluster);
    let seen = seen.map_err(|refusal| aws::fault("look for load balancers of the cluster", &refusal))?;
    let names: Vec<String> = seen.balancers.iter().map(|balancer| format!("`{}`", balancer.name)).collect();
    if names.is_empty() || is_confirmed(eks) {
        return Ok(());
    }
    let environment = &eks.deployment().environment;
    let cause = format!("load balancers of the cluster are still there, and would be left: {}", names.join(", "));
    let hint = format!(
        "`{}` removes them first; to destroy the platform all the same: `--confirm {}`",
        environment.command("teardown"),
        environment.deployment_id
    );
    Err(Fault::failed("in-use", cause).hint(hint).into())
}

fn is_confirmed(eks: &Eks) -> bool {
    let deployment = eks.deployment();
    deployment.consent.confirm.as_deref() == Some(deployment.environment.deployment_id.as_str())
}

/// The outputs of what was applied, where that is what is wanted now.
fn as_wanted(eks: &Eks) -> Result<Option<aws::infra::Outputs>> {
    // The guard has just read it from the bucket, and nobody else applies while the lease is held.
    let applied = eks.infra.applied(false)?;
    let stamp = eks.infra.stamp()?;
    Ok(applied.filter(|(applied, _)| *applied == stamp).map(|(_, outputs)| outputs))
}

/// What takes the cluster, the network or data away is not done for a yes.
fn refuse_danger(eks: &Eks, saved: &Saved) -> Result<(), Fault> {
    let lost = &saved.summary.dangerous;
    if lost.is_empty() || is_confirmed(eks) {
        return Ok(());
    }
    let name = &eks.deployment().environment.deployment_id;
    let lost: Vec<String> = lost.iter().map(|address| format!("`{address}`")).collect();
    let cause = format!("Terraform would destroy or replace {}, with all that is in them", lost.join(", "));
    let hint = format!("if that is meant, say so with the deployment's name: `--confirm {name}`");
    Err(Fault::failed("would-destroy", cause).hint(hint))
}

/// Plans the platform, shows what would change and what it would cost, and asks. Nothing is asked where nothing would
/// change, where `--yes` has answered, and where a command does not make the platform.
///
/// # Errors
/// Usage, when nobody can be asked; `would-destroy`; `declined`, when the answer is no; what Terraform says.
pub(super) fn agree(eks: &Eks, ctx: &Ctx) -> Result<()> {
    let Some(verify) = eks.agreement.verify.get() else { return Ok(()) };
    if eks.deployment().consent.yes || (!verify && as_wanted(eks)?.is_some()) {
        return Ok(());
    }
    may_ask(eks, ctx)?;
    terminal::say("planning the platform on AWS");
    let saved = eks.infra.plan(Goal::Platform, &|_| {})?;
    match agreed(eks, ctx, &saved) {
        Ok(()) => eks.agreement.keep(saved),
        Err(error) => return eks.infra.discard(&saved).and(Err(error)),
    }
    Ok(())
}

fn agreed(eks: &Eks, ctx: &Ctx, saved: &Saved) -> Result<()> {
    refuse_danger(eks, saved)?;
    if saved.is_idle() {
        return Ok(());
    }
    terminal::say(&priced(eks, saved)?.to_string());
    if terminal::confirm(ctx, false, "this changes the platform on AWS")? {
        return Ok(());
    }
    Err(Fault::failed("declined", "nothing was changed").into())
}

/// Whether somebody can be asked about the platform, before there is anything to ask about: for whoever is about to make
/// the bucket.
///
/// # Errors
/// Usage, naming the flag.
pub(super) fn may_ask(eks: &Eks, ctx: &Ctx) -> Result<()> {
    if eks.agreement.verify.get().is_none() || eks.deployment().consent.yes || ctx.can_ask {
        return Ok(());
    }
    // Nobody is asked here: this only says which flag is missing.
    terminal::confirm(ctx, false, "this changes the platform on AWS, which costs money").map(drop)
}

/// What a deploy would change on AWS, and what it would then cost.
///
/// # Errors
/// What Terraform or AWS says.
pub(super) fn priced_plan(eks: &Eks) -> Result<PricedPlan> {
    let saved = eks.infra.look(Goal::Platform, &|_| {})?;
    let priced = priced(eks, &saved)?;
    eks.infra.discard(&saved)?;
    Ok(priced)
}

fn priced(eks: &Eks, saved: &Saved) -> Result<PricedPlan> {
    PricedPlan::of(saved, &eks.deployment().root, eks.infra.names.region.as_str(), extra_cost(eks))
}

/// What the systems make in the cluster that costs something.
fn extra_cost(eks: &Eks) -> ExtraCost {
    let environment = &eks.deployment().environment;
    let parts =
        eks.deployment().systems().filter_map(|system| release_spec::parts(system, environment, TargetKind::Eks).ok());
    let parts: Vec<_> = parts.flatten().collect();
    let public = parts.iter().filter(|part| part.service.public).count();
    let volumes = parts.iter().flat_map(|part| part.volumes.values());
    let stores = volumes.map(|volume| volume.size.map_or(VOLUME_GIB, |size| size.0.div_ceil(1 << 30))).sum();
    // With a domain all share one.
    let load_balancers = if environment.cluster.domain.is_some() { public.min(1) } else { public };
    let balanced = parts.iter().filter(|part| part.service.has_public_port()).count();
    ExtraCost { load_balancers: load_balancers + balanced, volumes_gib: stores }
}
