//! The steps to nothing on AWS, in the order that lets each controller clean up after itself, with gates that wait for
//! AWS's own truth; and what is found afterwards.
//!
//! Releases go first, while the load balancer controller and the cluster's storage still run; a gate each waits until AWS
//! has no load balancer and no volume of theirs; then go these two, then Terraform's platform, then what outlives it, and
//! the state bucket last. Every step asks the world whether it is already so, so that a teardown that was stopped anywhere
//! goes on at the first gate that is not met.

mod aws_resource;
mod balancers;
mod closing;
mod delete_orphans;
mod delete_state_bucket;
mod destroy;
mod dns_records;
mod ec2;
mod gate;
mod ingresses;
mod inventory;
mod ledger_work;
mod load_balancer_gate;
mod network;
mod records;
mod reinstall_controller;
mod remains;
mod scope;
mod services;
mod systems;
mod tagging;
mod volume_gate;

pub(super) use self::closing::{close, forget as forget_closed};
pub(super) use self::reinstall_controller::everywhere as reinstalled;
pub(super) use self::remains::remains;
pub(super) use self::scope::widened;

use self::scope::{ClusterAccess, in_cluster};
use super::{Eks, controller, storage};
use anyhow::Result;
use aws::infra::Goal;
use engine::backend::Target;
use engine::deployment::Scope;
use engine::plan::{Action, Preview, Step, StepId, Work};
use engine::teardown::{Removal, Stage};
use kubernetes::teardown as inside;
use std::sync::Arc;

/// What a teardown does.
///
/// # Errors
/// When what is to be kept would go.
pub(super) fn steps(eks: &Arc<Eks>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>> {
    let scope = scope::effective(eks, scope, keep_data);
    scope::check_kept(eks, &scope, keep_data)?;
    let places = inside::places(&eks.core, &scope);
    let run = Run { eks, scope: &scope, places: &places, cluster: ClusterAccess::new(eks), keep_data };
    let mut stages = run.of_systems()?;
    if scope.everything {
        stages.extend(run.of_platform()?);
    }
    Ok(engine::teardown::steps(stages, places.keys().cloned()))
}

/// What a person has to type before all of it is removed.
pub(super) fn name_to_type(eks: &Eks, scope: &Scope) -> Option<String> {
    scope.everything.then(|| eks.infra.names.id.to_string())
}

/// Forgets a scope that is proven gone.
pub(super) fn forget(eks: &Eks, named: &Scope, keep_data: bool) -> Result<()> {
    let scope = scope::effective(eks, named, keep_data);
    if scope.everything {
        return eks.deployment().home.remove();
    }
    eks.core.forget(&scope, keep_data)?;
    let entries = eks.ledger.entries()?;
    let gone: Vec<_> = entries.iter().filter(|entry| systems::entry_goes_with(eks, entry, &scope)).collect();
    eks.ledger.strike(&|entry| gone.contains(&entry))?;
    // The one that systems share goes with the last of them.
    closing::strike_gone(&eks.platform.provider, &entries)
}

struct Run<'a> {
    eks: &'a Arc<Eks>,
    scope: &'a Scope,
    places: &'a inside::Places,
    cluster: Arc<ClusterAccess>,
    keep_data: bool,
}

impl<'a> Run<'a> {
    fn stage(
        &self,
        name: &'static str,
        title: &str,
        after: &[&'static str],
        what: &str,
        work: impl Work + 'static,
    ) -> Stage<'a> {
        let after: Vec<Action> = after.iter().copied().map(Action::new).collect();
        Stage::shared(Action::new(name), &after, Removal::new(title, vec![Preview::Do(what.to_owned())], work))
    }

    /// The releases of the systems, and the gate behind which their load balancers are gone.
    fn of_systems(&self) -> Result<Vec<Stage<'a>>> {
        let (eks, scope) = (self.eks, self.scope.clone());
        let what = "record load balancers, volumes, network interfaces, log groups, records and certificates";
        let title = "record what AWS has that Terraform does not know";
        let ledger = self.stage("ledger", title, &[], what, ledger_work::LedgerWork { eks: Arc::clone(eks) });
        let work = ledger_work::ProtectionWork { eks: Arc::clone(eks), scope: scope.clone() };
        let title = "turn off the deletion protection of load balancers";
        let protection =
            self.stage("protection", title, &["ledger"], "set `deletion_protection.enabled` to false", work);
        let install = controller::step(eks, vec![StepId::new(Action::new("ledger"))])?;
        let reinstalled = reinstall_controller::step(eks, &scope, install);
        let mut stages = vec![ledger, protection, in_cluster(&self.cluster, reinstalled.into())];
        let before = [Action::new("protection"), controller::STEP];
        for stage in inside::of_systems(&eks.core, self.places, &before, self.keep_data) {
            // Images on this machine have nothing to do with the cluster.
            let is_local = stage.action() == inside::IMAGES;
            stages.push(if is_local { stage } else { in_cluster(&self.cluster, stage) });
        }
        let mut gone = vec!["uninstall"];
        if scope.everything {
            gone.push("remove-others");
            let after: Vec<Action> =
                stages.iter().map(Stage::action).filter(|action| *action != inside::IMAGES).collect();
            let removal = inside::others(&eks.core, self.keep_data, vec![controller::namespace(eks)]);
            stages.push(in_cluster(&self.cluster, Stage::shared(inside::REMOVE_OTHERS, &after, removal)));
        }
        let work = load_balancer_gate::LoadBalancerGate {
            eks: Arc::clone(eks),
            cluster: Arc::clone(&self.cluster),
            scope: scope.clone(),
        };
        let title = "wait until AWS reports that its load balancers are deleted";
        let what = "wait for load balancers, target groups, security groups and their network interfaces to be gone";
        stages.push(self.stage("balancers", title, &gone, what, work));
        let work = dns_records::RecordsWork { eks: Arc::clone(eks), scope };
        let what = "remove those in Route 53 that the ledger knows";
        stages.push(self.stage("records", "remove the records of public names", &["balancers"], what, work));
        Ok(stages)
    }

    /// What all systems share: what is left in the cluster, the platform, what outlives it, the bucket.
    fn of_platform(&self) -> Result<Vec<Stage<'a>>> {
        let eks = self.eks;
        let step = |name| StepId::new(Action::new(name));
        let volumes = volume_gate::VolumeGate { eks: Arc::clone(eks), cluster: Arc::clone(&self.cluster) };
        let title = "wait until AWS reports that its volumes are deleted";
        let what = "wait for the volumes of claims to be gone";
        let mut stages = vec![self.stage("disks", title, &["remove-others", "volumes"], what, volumes)];
        let controller = controller::removal(eks, vec![step("balancers")])?;
        let storage = storage::removal(eks, vec![step("disks")]);
        let both = [controller.id.action(), storage.id.action()];
        let rest = Action::new("remove-rest");
        let removal = inside::others(&eks.core, self.keep_data, Vec::new());
        let home = Stage::shared(inside::REMOVE_HOME, &[rest], inside::home(&eks.core, self.keep_data));
        let inside = [controller.into(), storage.into(), Stage::shared(rest, &both, removal), home];
        stages.extend(inside.map(|stage| in_cluster(&self.cluster, stage)));
        stages.extend(self.of_aws());
        Ok(stages)
    }

    fn of_aws(&self) -> [Stage<'a>; 4] {
        let eks = || Arc::clone(self.eks);
        let title = "check that nobody else uses the network";
        let what = "look at the network interfaces and public addresses in it";
        let needs = ["remove-home", "balancers", "disks", "records"];
        let network = self.stage("network", title, &needs, what, network::NetworkWork { eks: eks() });
        let title = "destroy the platform with Terraform";
        let removal = Removal::new(title, self.eks.infra.preview(Goal::Nothing), destroy::DestroyWork { eks: eks() });
        let destroy = Stage::shared(Action::new("destroy"), &[Action::new("network")], removal);
        let title = "remove what Terraform leaves behind";
        let what =
            "remove interfaces, security groups, volumes, log groups, the key's alias and certificates that are left";
        let sweep = self.stage("sweep", title, &["destroy"], what, delete_orphans::DeleteOrphansWork { eks: eks() });
        let title = "remove the bucket of the state, if nothing else is left";
        let what = format!("remove bucket `{}` with every version in it", self.eks.infra.bucket.name());
        let last = self.stage("bucket", title, &["sweep"], &what, delete_state_bucket::BucketWork { eks: eks() });
        [network, destroy, sweep, last]
    }
}
