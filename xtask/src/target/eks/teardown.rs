//! The steps to nothing on AWS, in the order that lets each controller clean up after itself, with gates that wait for
//! AWS's own truth; and what is found afterwards.
//!
//! Releases go first, while the load balancer controller and the cluster's storage still run; a gate each waits until AWS
//! has no load balancer and no volume of theirs; then go these two, then Terraform's platform, then what outlives it, and
//! the state bucket last. Every step asks the world whether it is already so, so that a teardown that was stopped anywhere
//! goes on at the first gate that is not met.

mod balancers;
mod destroy;
mod dns_records;
mod ec2;
mod front_gate;
mod gate;
mod ingresses;
mod inventory;
mod last;
mod look;
mod network;
mod records;
mod remains;
mod revive;
mod scope;
mod services;
mod sweep;
mod systems;
mod tagging;
mod thing;
mod volume_gate;

pub(super) use self::remains::remains;
pub(super) use self::scope::widened;

use self::scope::{Way, in_cluster};
use super::{Eks, controller, storage};
use crate::home;
use crate::infra::Aim;
use crate::plan::{Holds, Preview, Step, StepId, Work};
use crate::target::kubernetes::teardown as inside;
use crate::target::{Scope, Target};
use anyhow::Result;
use std::sync::Arc;

/// What a teardown does.
///
/// # Errors
/// When what is to be kept would go.
pub(super) fn steps(eks: &Arc<Eks>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>> {
    let scope = scope::effective(eks, scope, keep_data);
    scope::check_kept(&scope, keep_data)?;
    let run = Run { eks, scope: &scope, way: Way::new(eks), keep_data };
    let mut steps = run.of_systems()?;
    if scope.everything {
        steps.extend(run.of_platform(&steps)?);
    }
    Ok(steps)
}

/// What a person has to type before all of it is removed.
pub(super) fn name_to_type(eks: &Eks, scope: &Scope) -> Option<String> {
    scope.everything.then(|| eks.infra.names.id.to_string())
}

/// Forgets a scope that is proven gone.
pub(super) fn forget(eks: &Eks, named: &Scope, keep_data: bool) -> Result<()> {
    let scope = scope::effective(eks, named, keep_data);
    if scope.everything {
        let home = &eks.deployment().home;
        home::remove(home.dir())?;
        // The folder of all environments goes with the last of them.
        home.dir().parent().map(std::fs::remove_dir);
        return Ok(());
    }
    eks.core.forget(&scope, keep_data)?;
    let entries = eks.ledger.entries()?;
    let gone: Vec<_> = entries.iter().filter(|entry| systems::entry_goes_with(eks, entry, &scope)).collect();
    eks.ledger.strike(&|entry| gone.contains(&entry))
}

struct Run<'a> {
    eks: &'a Arc<Eks>,
    scope: &'a Scope,
    way: Arc<Way>,
    keep_data: bool,
}

fn id(name: &str) -> StepId {
    StepId::new(name)
}

impl Run<'_> {
    fn step(&self, name: &str, title: &str, needs: &[&str], what: &str, work: impl Work + 'static) -> Step {
        Step {
            id: id(name),
            title: title.to_owned(),
            system: None,
            needs: needs.iter().copied().map(StepId::new).collect(),
            holds: Holds::Nothing,
            preview: vec![Preview::Do(what.to_owned())],
            work: Box::new(work),
        }
    }

    /// The releases of the systems, and the gate behind which their load balancers are gone.
    fn of_systems(&self) -> Result<Vec<Step>> {
        let (eks, scope) = (self.eks, self.scope.clone());
        let what = "enter load balancers, volumes, network interfaces, log groups, records and certificates";
        let title = "note what AWS has that Terraform does not know";
        let ledger = self.step("ledger", title, &[], what, inventory::LedgerWork { eks: Arc::clone(eks) });
        let work = inventory::ProtectionWork { eks: Arc::clone(eks), scope: scope.clone() };
        let title = "take away what protects load balancers from deletion";
        let protection =
            self.step("protection", title, &["ledger"], "set `deletion_protection.enabled` to false", work);
        let revived = revive::step(eks, &scope, controller::step(eks, vec![id("ledger")])?);
        let mut steps = vec![ledger, protection, in_cluster(&self.way, revived)];
        let mut uninstalled = Vec::new();
        for mut step in inside::of_systems(&eks.core, self.keep_data) {
            if step.needs.is_empty() {
                step.needs = vec![id("protection"), id(controller::STEP)];
                uninstalled.push(step.id.clone());
            }
            // Images on this machine have nothing to do with the cluster.
            let is_local = step.id.as_str().starts_with("images:");
            steps.push(if is_local { step } else { in_cluster(&self.way, step) });
        }
        if scope.everything {
            let needs = steps.iter().map(|step| step.id.clone()).filter(|id| !id.as_str().starts_with("images:"));
            let spared = vec![controller::namespace(eks)];
            let others = inside::others(&eks.core, self.keep_data, "remove-others", spared, needs.collect());
            uninstalled.push(others.id.clone());
            steps.push(in_cluster(&self.way, others));
        }
        let work = front_gate::FrontGate { eks: Arc::clone(eks), way: Arc::clone(&self.way), scope: scope.clone() };
        let title = "wait until AWS has no load balancer of it any more";
        let what = "wait for load balancers, target groups, security groups and their network interfaces to be gone";
        let gate = self.step("balancers", title, &[], what, work);
        steps.push(Step { needs: uninstalled, ..gate });
        let work = dns_records::RecordsWork { eks: Arc::clone(eks), scope };
        let what = "remove those in Route 53 that the ledger knows";
        steps.push(self.step("records", "remove the records of public names", &["balancers"], what, work));
        Ok(steps)
    }

    /// What all systems share: what is left in the cluster, the platform, what outlives it, the bucket.
    fn of_platform(&self, before: &[Step]) -> Result<Vec<Step>> {
        let eks = self.eks;
        let volumes = volume_gate::VolumeGate { eks: Arc::clone(eks), way: Arc::clone(&self.way) };
        let title = "wait until AWS has no volume of it any more";
        let gate = self.step("disks", title, &["remove-others"], "wait for the volumes of claims to be gone", volumes);
        let stored = before.iter().map(|step| &step.id).filter(|id| id.as_str().starts_with("volumes:"));
        let disks = Step { needs: gate.needs.iter().chain(stored).cloned().collect(), ..gate };
        let controller = controller::removal(eks, vec![id("balancers")])?;
        let storage = storage::removal(eks, vec![id("disks")]);
        let both = vec![controller.id.clone(), storage.id.clone()];
        let rest = inside::others(&eks.core, self.keep_data, "remove-rest", Vec::new(), both);
        let home = inside::home(&eks.core, self.keep_data, vec![rest.id.clone()]);
        let mut steps = vec![disks];
        steps.extend([controller, storage, rest, home].map(|step| in_cluster(&self.way, step)));
        steps.extend(self.of_aws());
        Ok(steps)
    }

    fn of_aws(&self) -> [Step; 4] {
        let eks = || Arc::clone(self.eks);
        let title = "see that nobody else is in the network";
        let what = "look at the network interfaces and public addresses in it";
        let needs = ["remove-home", "balancers", "disks", "records"];
        let network = self.step("network", title, &needs, what, network::NetworkWork { eks: eks() });
        let title = "destroy the platform with Terraform";
        let destroy = self.step("destroy", title, &["network"], "", destroy::DestroyWork { eks: eks() });
        let destroy = Step { preview: self.eks.infra.preview(Aim::Nothing), ..destroy };
        let title = "remove what outlives the platform";
        let what =
            "remove interfaces, security groups, volumes, log groups, the key's alias and certificates that are left";
        let sweep = self.step("sweep", title, &["destroy"], what, sweep::SweepWork { eks: eks() });
        let title = "remove the bucket of the state, if nothing else is left";
        let what = format!("remove bucket `{}` with every version in it", self.eks.infra.bucket.name());
        let last = self.step("bucket", title, &["sweep"], &what, last::BucketWork { eks: eks() });
        [network, destroy, sweep, last]
    }
}
