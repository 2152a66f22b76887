//! The steps of a deploy: state bucket → infrastructure ∥ images → push → kubeconfig → the deployment's namespace →
//! controller and storage class → those of target `kubernetes`.

use super::{Eks, controller, infrastructure, kubeconfig, storage, teardown};
use anyhow::Result;
use base::ctx::Ctx;
use engine::backend::{Contribution, Target};
use engine::plan::{Preview, Step, StepId};
use kubernetes::guard::home;
use kubernetes::teardown as inside;
use model::system::Service;
use std::sync::Arc;

pub(super) fn deploy(eks: &Arc<Eks>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
    let contribution = Arc::clone(&eks.core).deploy(ctx, verify)?;
    let id = StepId::new;
    let state = eks.infra.bucket.step(verify);
    let infra = infrastructure::step(eks, verify, vec![state.id.clone()]);
    let kubeconfig = kubeconfig::step(&eks.core, &eks.platform, vec![infra.id.clone()]);
    let mut steps = vec![state, infra, kubeconfig, home::step(&eks.core, vec![id(kubeconfig::STEP)])];
    let mut grounds = Prerequisites { home: id(home::STEP), for_public: None, for_all: None };
    let controller = || controller::step(eks, vec![grounds.home.clone()]);
    let controller = match has_public(eks) {
        true => Some(controller()?),
        // Only the controller lets go of what is removed.
        false if contribution.steps.iter().any(removes) => Some(teardown::reinstalled(eks, controller()?)),
        false => None,
    };
    grounds.for_public = controller.as_ref().map(|step| step.id.clone());
    steps.extend(controller);
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
    eks.deployment().systems().any(|system| system.services.iter().any(Service::is_exposed))
}

fn is_public(eks: &Eks, system: &str) -> bool {
    let mut systems = eks.deployment().systems().filter(|other| other.name.as_str() == system);
    systems.any(|system| system.services.iter().any(Service::is_exposed))
}

/// Whether a step removes what may have a load balancer.
fn removes(step: &Step) -> bool {
    [inside::RETIRE, inside::UNINSTALL].contains(&step.id.action())
}

/// What the steps in the cluster stand on.
struct Prerequisites {
    home: StepId,
    /// What releases with public services come after.
    for_public: Option<StepId>,
    /// What every release comes after.
    for_all: Option<StepId>,
}

impl Prerequisites {
    /// A step of target `kubernetes`, after those that it takes for granted there.
    fn under(&self, mut step: Step, is_public: bool) -> Step {
        match step.id.action() {
            // Repositories are Terraform's; images are built meanwhile.
            images::PUSH => step.needs.push(StepId::new(infrastructure::STEP)),
            kubernetes::prerequisites::NAMESPACE => step.needs.push(self.home.clone()),
            inside::RETIRE | inside::UNINSTALL => {
                step.needs.push(self.home.clone());
                step.needs.extend(self.for_public.clone());
                let what = "remove Ingresses first, wait until the load balancer controller lets go of them, then remove \
                            the public names that no Ingress has";
                step.preview.insert(0, Preview::Do(what.to_owned()));
            }
            kubernetes::prerequisites::RELEASE => {
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
    use engine::plan::runner::StepCx;
    use engine::plan::{Action, Holds, Outcome, Work};
    use images::Pushes;
    use kubernetes::prerequisites;
    use model::container::Platform;
    use model::name::{ServiceName, SystemName};

    struct Nothing;

    impl Work for Nothing {
        fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
            Ok(None)
        }

        fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
            Ok(Outcome::Done)
        }
    }

    fn named(action: &'static str) -> StepId {
        StepId::new(Action::new(action))
    }

    fn step(id: StepId, needs: &[&'static str]) -> Step {
        Step {
            id,
            title: String::new(),
            system: None,
            needs: needs.iter().copied().map(named).collect(),
            holds: Holds::Nothing,
            preview: Vec::new(),
            work: Box::new(Nothing),
        }
    }

    #[test]
    fn steps_in_the_cluster_come_after_what_they_stand_on() {
        let grounds = Prerequisites {
            home: StepId::new(home::STEP),
            for_public: Some(StepId::new(controller::STEP)),
            for_all: Some(StepId::new(storage::STEP)),
        };
        let needs = |id: StepId, needs: &[&'static str], is_public: bool| {
            let step = grounds.under(step(id, needs), is_public);
            step.needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        // The ids are those that the steps themselves have, so that a step which is called otherwise is noticed here.
        let (service, system): (ServiceName, SystemName) = ("epoch".parse().unwrap(), "epoch".parse().unwrap());
        let push = |platform| Pushes::step_of(&service, platform);
        assert_eq!(needs(push(None), &["image:epoch"], true), "image:epoch infra");
        assert_eq!(needs(push(Some(Platform::LinuxArm64)), &[], true), "infra");
        assert_eq!(needs(prerequisites::namespace_id(&system), &[], true), "home");
        let release = || prerequisites::release_id(&system);
        assert_eq!(needs(release(), &["push:epoch"], true), "push:epoch home controller storage");
        assert_eq!(needs(release(), &[], false), "home storage");
        for removal in [inside::UNINSTALL, inside::RETIRE] {
            assert_eq!(needs(removal.of("old"), &["prove:epoch"], false), "prove:epoch home controller");
        }
        // What builds or proves stands on what it needs itself.
        assert_eq!(needs(Action::new("image").of("epoch"), &["binaries"], true), "binaries");
        assert_eq!(needs(Action::new("prove").of("epoch"), &["release:epoch"], true), "release:epoch");
    }
}
