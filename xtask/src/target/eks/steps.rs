//! The steps of a deploy: state bucket → infrastructure ∥ images → push → kubeconfig → the deployment's namespace →
//! controller and storage class → those of target `kubernetes`.

use super::{Eks, controller, infrastructure, kubeconfig, storage};
use crate::ctx::Ctx;
use crate::plan::{Step, StepId};
use crate::target::kubernetes::guard::home;
use crate::target::{Contribution, Target};
use anyhow::Result;
use std::sync::Arc;

pub(super) fn deploy(eks: &Arc<Eks>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
    let contribution = Arc::clone(&eks.core).deploy(ctx, verify)?;
    let id = StepId::new;
    let state = eks.infra.bucket.step(verify);
    let infra = infrastructure::step(eks, verify, vec![state.id.clone()]);
    let kubeconfig = kubeconfig::step(&eks.core, &eks.platform, vec![infra.id.clone()]);
    let mut steps = vec![state, infra, kubeconfig, home::step(&eks.core, vec![id(kubeconfig::STEP)])];
    let mut grounds = Grounds { home: id(home::STEP), for_public: None, for_all: None };
    if has_public(eks) {
        steps.push(controller::step(eks, vec![grounds.home.clone()])?);
        grounds.for_public = Some(id(controller::STEP));
    }
    if let Some(step) = storage::step(eks, vec![grounds.home.clone()]) {
        steps.push(step);
        grounds.for_all = Some(id(storage::STEP));
    }
    let rewired = contribution.steps.into_iter().map(|step| {
        let is_public = step.system.as_deref().is_some_and(|system| is_public(eks, system));
        grounds.under(step, is_public)
    });
    steps.extend(rewired);
    Ok(Contribution { steps, ..contribution })
}

/// Whether anything that is deployed is reached through a load balancer.
fn has_public(eks: &Eks) -> bool {
    eks.deployment().systems().any(|system| system.services.iter().any(|service| service.public))
}

fn is_public(eks: &Eks, system: &str) -> bool {
    let mut systems = eks.deployment().systems().filter(|other| other.name.as_str() == system);
    systems.any(|system| system.services.iter().any(|service| service.public))
}

/// What the steps in the cluster stand on.
struct Grounds {
    home: StepId,
    /// What releases with public services come after.
    for_public: Option<StepId>,
    /// What every release comes after.
    for_all: Option<StepId>,
}

impl Grounds {
    /// A step of target `kubernetes`, after those that it takes for granted there.
    fn under(&self, mut step: Step, is_public: bool) -> Step {
        let kind = step.id.as_str().split(':').next().unwrap_or_default();
        match kind {
            // Repositories are Terraform's; images are built meanwhile.
            "push" => step.needs.push(StepId::new(infrastructure::STEP)),
            "namespace" => step.needs.push(self.home.clone()),
            "release" => {
                step.needs.push(self.home.clone());
                step.needs.extend(self.for_public.clone().filter(|_| is_public));
                step.needs.extend(self.for_all.clone());
            }
            _ => {}
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{Nothing, step};

    #[test]
    fn steps_in_the_cluster_come_after_what_they_stand_on() {
        let grounds = Grounds {
            home: StepId::new(home::STEP),
            for_public: Some(StepId::new(controller::STEP)),
            for_all: Some(StepId::new(storage::STEP)),
        };
        let needs = |id: &str, needs: &[&str], is_public: bool| {
            let step = grounds.under(step(id, needs, Nothing), is_public);
            step.needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(needs("image:epoch", &["binaries"], true), "binaries");
        assert_eq!(needs("push:epoch", &["image:epoch"], true), "image:epoch infra");
        assert_eq!(needs("push:epoch:arm64", &[], true), "infra");
        assert_eq!(needs("namespace:epoch", &[], true), "home");
        assert_eq!(needs("release:epoch", &["push:epoch"], true), "push:epoch home controller storage");
        assert_eq!(needs("release:messages", &[], false), "home storage");
        assert_eq!(needs("prove:epoch", &["release:epoch"], true), "release:epoch");
    }
}
