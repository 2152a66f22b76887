//! The steps to nothing, in the order that lets each controller clean up after itself, and what is found afterwards.
//!
//! What is removed is found by the deployment's label, so that a lost ledger loses nothing; the ledger knows what carries
//! none: volumes, and images on this machine.

mod claims;
mod find;
mod gate;
mod images;
mod namespace;
mod others;
mod release;
mod remains;
mod strangers;

pub(super) use remains::remains;

use self::claims::ClaimsWork;
use self::images::ImagesWork;
use self::namespace::NamespaceWork;
use self::others::OthersWork;
use self::release::UninstallWork;
use super::Kubernetes;
use super::names::SYSTEM;
use super::namespaces;
use crate::home;
use crate::kube::object;
use crate::plan::{Holds, Preview, Step, StepId, Work};
use crate::spec::name::{ServiceName, SystemName};
use crate::spec::system::System;
use crate::target::Scope;
use crate::tools::helm::{self, Release};
use anyhow::Result;
use std::sync::Arc;

/// Where a system is in the cluster.
#[derive(Debug, Clone)]
struct Place {
    /// The system's name, which is the release's.
    name: String,
    namespace: String,
    services: Vec<ServiceName>,
}

impl Place {
    fn of(core: &Kubernetes, system: &System) -> Self {
        Self {
            name: system.name.to_string(),
            namespace: core.names.namespace(&system.name),
            services: system.services.iter().map(|service| service.name.clone()).collect(),
        }
    }
}

/// Everything, when nothing is deployed beside the systems that were named: the rest then serves nobody any more.
pub(super) fn widened(core: &Kubernetes, scope: Scope) -> Result<Scope> {
    if scope.everything {
        return Ok(scope);
    }
    let named: Vec<String> = scope.systems.iter().map(|system| core.names.namespace(system)).collect();
    let beside = |namespace: &str| namespace != core.names.home && !named.iter().any(|name| name == namespace);
    let spaces = find::namespaces(core)?.iter().any(|found| beside(found.name()));
    // In a namespace that was there before, only what is in it tells.
    let everything = !spaces && !find::labelled(core, None)?.iter().any(|found| beside(found.namespace()));
    Ok(Scope { everything, ..scope })
}

/// What a teardown does. It is planned without a look at the cluster.
pub(super) fn steps(core: &Arc<Kubernetes>, scope: &Scope, keep_data: bool) -> Vec<Step> {
    let mut steps = of_systems(core, keep_data);
    if scope.everything {
        let all: Vec<StepId> = steps.iter().map(|step| step.id.clone()).collect();
        let others = others(core, keep_data, "remove-others", Vec::new(), all);
        let home = home(core, keep_data, vec![others.id.clone()]);
        steps.extend([others, home]);
    }
    steps
}

/// What is done for each system.
pub(in crate::target) fn of_systems(core: &Arc<Kubernetes>, keep_data: bool) -> Vec<Step> {
    core.deployment.systems().flat_map(|system| of_system(core, system, keep_data)).collect()
}

/// The step, called `id`, that removes what belongs to none of the systems, but for what is in the namespaces that are
/// `spared`.
pub(in crate::target) fn others(
    core: &Arc<Kubernetes>,
    keep_data: bool,
    id: &str,
    spared: Vec<String>,
    needs: Vec<StepId>,
) -> Step {
    let work = OthersWork { core: Arc::clone(core), keep_data, spared };
    let what = "what carries the deployment's label and belongs to none of the systems";
    step(None, &StepId::new(id), "remove what else was made in the cluster", needs, what, work)
}

/// The step that removes the deployment's own namespace.
pub(in crate::target) fn home(core: &Arc<Kubernetes>, keep_data: bool, needs: Vec<StepId>) -> Step {
    let namespace = core.names.home.clone();
    let title = "remove the deployment's own namespace, with its records and its lease";
    let what = format!("namespace `{namespace}`, unless something that was stored is kept");
    let work = NamespaceWork { core: Arc::clone(core), namespace, keep_data };
    step(None, &StepId::new("remove-home"), title, needs, &what, work)
}

/// A system's release, then what it stored, then its namespace; beside these its images.
fn of_system(core: &Arc<Kubernetes>, system: &System, keep_data: bool) -> Vec<Step> {
    let place = Place::of(core, system);
    let (name, namespace) = (Some(&system.name), place.namespace.clone());
    let id = |what: &str| StepId::new(format!("{what}:{}", system.name));
    let uninstall = UninstallWork { core: Arc::clone(core), place: place.clone() };
    let title = format!("uninstall `{}`", system.name);
    let mut steps = vec![step(name, &id("uninstall"), &title, Vec::new(), "", uninstall)];
    let release = Release { name: system.name.as_str(), namespace: &namespace };
    steps[0].preview = vec![
        Preview::Run(helm::uninstall(core.access.helm_as_typed(), release)),
        Preview::Do("remove the Secrets and pods that no release owns".to_owned()),
    ];
    let mut before = id("uninstall");
    if !keep_data {
        let what = format!("its claims in namespace `{namespace}`, and the volumes behind them");
        let work = ClaimsWork { core: Arc::clone(core), place };
        let title = format!("remove what `{}` stored", system.name);
        steps.push(step(name, &id("volumes"), &title, vec![before], &what, work));
        before = id("volumes");
    }
    let what = format!("namespace `{namespace}`, if it was made here and nobody else uses it");
    let work = NamespaceWork { core: Arc::clone(core), namespace, keep_data };
    let title = format!("remove the namespace of `{}`", system.name);
    steps.push(step(name, &id("namespace"), &title, vec![before], &what, work));
    if images::are_built(system) {
        let work = ImagesWork { core: Arc::clone(core), system: system.name.clone() };
        let title = format!("remove the images of `{}` from this machine", system.name);
        let mut images = step(name, &id("images"), &title, vec![id("uninstall")], "", work);
        images.preview = images::preview(core, &system.name);
        steps.push(images);
    }
    steps
}

fn step(
    system: Option<&SystemName>,
    id: &StepId,
    title: &str,
    needs: Vec<StepId>,
    what: &str,
    work: impl Work + 'static,
) -> Step {
    Step {
        id: id.clone(),
        title: title.to_owned(),
        system: system.map(ToString::to_string),
        needs,
        holds: Holds::Nothing,
        preview: vec![Preview::Do(format!("remove {what}"))],
        work: Box::new(work),
    }
}

/// The services that have stored something. When that cannot be found out every one may have.
pub(super) fn stored_data(core: &Kubernetes, scope: &Scope) -> Vec<String> {
    let found = find::labelled(core, None);
    let Ok(found) = found else { return scope.systems.iter().map(ToString::to_string).collect() };
    let stored = found.iter().filter(|found| found.kind == crate::kube::path::CLAIM);
    let in_scope = stored.filter(|found| is_in(core, scope, found.namespace(), object::label(&found.object, SYSTEM)));
    let mut names: Vec<String> = in_scope.map(|claim| find::service(claim).to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether something in a namespace, or that says which system it belongs to, is in the scope.
fn is_in(core: &Kubernetes, scope: &Scope, namespace: &str, system: &str) -> bool {
    let named = |name: &SystemName| core.names.namespace(name) == namespace || name.as_str() == system;
    scope.everything || scope.systems.iter().any(named)
}

/// Forgets a scope that is proven gone: all that this machine knows of it, and in the cluster what is known of systems
/// beside which others stay. Where data is kept, what makes it of use again is, too.
pub(super) fn forget(core: &Kubernetes, scope: &Scope, keep_data: bool) -> Result<()> {
    let home = &core.deployment.home;
    if scope.everything && !(keep_data && namespace::get(core, &core.names.home)?.is_some()) {
        home::remove(home.dir())?;
        // The folder of all environments goes with the last of them.
        home.dir().parent().map(std::fs::remove_dir);
        return Ok(());
    }
    for system in core.deployment.spec.systems.iter().filter(|system| scope.has(&system.name)) {
        let place = Place::of(core, system);
        let services = if keep_data { &[][..] } else { &place.services };
        let is_kept = |kind: &str| kind == claims::VOLUME || kind == namespaces::NAMESPACE;
        core.records.forget_system(&system.name, services, |entry| keep_data && is_kept(&entry.kind))?;
    }
    Ok(())
}
