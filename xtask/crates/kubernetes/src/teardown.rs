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
mod unmanaged;

pub(super) use claims::VOLUME;
pub(super) use release::{is_left, remove_left_of};
pub(super) use remains::remains;

use self::claims::ClaimsWork;
use self::namespace::NamespaceWork;
use self::others::OthersWork;
use self::release::UninstallWork;
use super::names::SYSTEM;
use super::{Kubernetes, namespaces, recorded};
use anyhow::Result;
use engine::backend::Target;
use engine::deployment::Scope;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Outcome, Preview, Step, StepId, Work};
use engine::teardown::{Removal, Stage};
use kube::object;
use model::name::{ServiceName, SystemName};
use remote_tools::helm;
use remote_tools::helm::Release;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is done to a system, and what to what belongs to none.
pub const UNINSTALL: Action = Action::new("uninstall");
pub const VOLUMES: Action = Action::new("volumes");
pub const IMAGES: Action = Action::new("images");
pub const REMOVE_OTHERS: Action = Action::new("remove-others");
pub const REMOVE_HOME: Action = Action::new("remove-home");
pub use super::prerequisites::NAMESPACE;
/// What a deploy does before it removes what no file declares any more.
const PROVE: Action = Action::new("prove");
/// What a deploy does to a system that goes on without some of its services.
pub const RETIRE: Action = Action::new("retire");

/// Where a system is in the cluster.
#[derive(Debug, Clone)]
pub struct Place {
    /// The system's name, which is the release's.
    name: String,
    namespace: String,
    services: Vec<ServiceName>,
}

/// Where systems are.
pub type Places = BTreeMap<SystemName, Place>;

/// Where the systems of a scope are: those that something was made for, whatever the files say, and those that are declared.
/// Where the records cannot be read, as their cluster cannot be asked, what they would tell is found by its label.
pub fn places(core: &Kubernetes, scope: &Scope) -> Places {
    let recorded = core.recorded().unwrap_or_default().systems;
    let declared = &core.deployment.spec.systems;
    // One whose file cannot be read and that was never proven is known by its name alone.
    let others = declared.iter().map(|system| &system.name).chain(recorded.keys()).chain(&scope.systems).cloned();
    let place = |system: SystemName| {
        let declared = declared.iter().filter(|known| known.name == system).flat_map(|known| &known.services);
        let mut services: BTreeSet<ServiceName> = declared.map(|service| service.name.clone()).collect();
        services.extend(recorded.get(&system).into_iter().flat_map(|known| known.services.keys().cloned()));
        (system.clone(), Place::of(core, &system, services))
    };
    let entries = core.records.entries().unwrap_or_default();
    engine::teardown::going(scope, &entries, others).into_iter().map(place).collect()
}

impl Place {
    fn of(core: &Kubernetes, system: &SystemName, services: BTreeSet<ServiceName>) -> Self {
        let (name, namespace) = (system.to_string(), core.names.namespace(system));
        Self { name, namespace, services: services.into_iter().collect() }
    }
}

/// Everything, when nothing is deployed beside the systems that were named: the rest, and what is in the `shared`
/// namespaces, then serves nobody any more.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub fn widened(core: &Kubernetes, scope: Scope, shared: &[String]) -> Result<Scope> {
    if scope.everything {
        return Ok(scope);
    }
    let named: Vec<String> = scope.systems.iter().map(|system| core.names.namespace(system)).collect();
    let goes = |namespace: &str| named.iter().chain(shared).chain([&core.names.home]).any(|name| name == namespace);
    let beside = |namespace: &str| !goes(namespace);
    let spaces = find::namespaces(core)?.iter().any(|found| beside(found.name()));
    // In a namespace that was there before, only what is in it tells.
    let everything = !spaces && !find::labelled(core, None)?.iter().any(|found| beside(found.namespace()));
    Ok(Scope { everything, ..scope })
}

/// What a teardown does.
pub(super) fn steps(core: &Arc<Kubernetes>, scope: &Scope, keep_data: bool) -> Vec<Step> {
    let places = places(core, scope);
    let mut stages = of_systems(core, &places, &[], keep_data);
    if scope.everything {
        let systems: Vec<Action> = stages.iter().map(Stage::action).collect();
        stages.push(Stage::shared(REMOVE_OTHERS, &systems, others(core, keep_data, Vec::new())));
        stages.push(Stage::shared(REMOVE_HOME, &[REMOVE_OTHERS], home(core, keep_data)));
    }
    engine::teardown::steps(stages, places.keys().cloned())
}

/// What is done by a deploy for a system that no file declares any more, after `needs`. What it stored stays, and what
/// that is worth nothing without.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn of_undeclared(core: &Arc<Kubernetes>, system: &SystemName, needs: &[StepId]) -> Result<Vec<Step>> {
    let place = Place::of(core, system, recorded::service_names(core, system)?);
    let places = Places::from([(system.clone(), place)]);
    let mut stages = vec![Stage::given(PROVE, needs.to_vec())];
    stages.extend(of_systems(core, &places, &[PROVE], true));
    stages.push(Stage::of_systems(Action::new("forget"), &[UNINSTALL, NAMESPACE, IMAGES], |system| {
        let preview = vec![Preview::Do("what it stored stays known, with the secrets that open it".to_owned())];
        let work = ForgetWork { core: Arc::clone(core), system: system.clone() };
        Some(Removal::new(format!("forget the releases of `{system}`"), preview, work))
    }));
    Ok(engine::teardown::steps(stages, places.keys().cloned()))
}

/// Forgets a system that is gone, but for what it stored.
struct ForgetWork {
    core: Arc<Kubernetes>,
    system: SystemName,
}

impl Work for ForgetWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        if let Some(provider) = self.core.platform.ingress_provider() {
            provider.forget_closed(&self.core, cx, &self.system)?;
        }
        let keeps = namespace::get(&self.core, &self.core.names.namespace(&self.system))?.is_some();
        forget_one(&self.core, &self.system, &[], keeps)?;
        Ok(Outcome::Done)
    }
}

/// What removes what belongs to none of the systems, but for what is in the namespaces that are `spared`.
pub fn others(core: &Arc<Kubernetes>, keep_data: bool, spared: Vec<String>) -> Removal {
    let what = "objects with the deployment's label that belong to no system";
    let work = OthersWork { core: Arc::clone(core), keep_data, spared };
    Removal::new("remove what else was made in the cluster", removes(what), work)
}

/// What removes the deployment's own namespace.
pub fn home(core: &Arc<Kubernetes>, keep_data: bool) -> Removal {
    let namespace = core.names.home.clone();
    let preview = removes(&format!("namespace `{namespace}`, unless data is kept"));
    let work = NamespaceWork { core: Arc::clone(core), namespace, keep_data };
    Removal::new("remove the deployment's own namespace, with its records and its lease", preview, work)
}

/// What is done for each system: its release goes, then what it stored, then its namespace; beside these its images. The first
/// of them come after `after`.
pub fn of_systems<'b>(
    core: &'b Arc<Kubernetes>,
    places: &'b Places,
    after: &[Action],
    keep_data: bool,
) -> Vec<Stage<'b>> {
    vec![
        Stage::of_systems(UNINSTALL, after, |system| Some(uninstall(core, &places[system]))),
        Stage::of_systems(VOLUMES, &[UNINSTALL], move |system| (!keep_data).then(|| volumes(core, &places[system]))),
        Stage::of_systems(NAMESPACE, &[VOLUMES], move |system| Some(namespace(core, &places[system], keep_data))),
        Stage::of_systems(IMAGES, &[UNINSTALL], |system| images::removal(core, system)),
    ]
}

fn uninstall(core: &Arc<Kubernetes>, place: &Place) -> Removal {
    let release = Release { name: &place.name, namespace: &place.namespace };
    let preview = vec![
        Preview::Run(helm::uninstall(core.access.helm_as_typed(), release)),
        Preview::Do("remove the Secrets and pods that no release owns".to_owned()),
    ];
    let work = UninstallWork { core: Arc::clone(core), place: place.clone() };
    Removal::new(format!("uninstall `{}`", place.name), preview, work)
}

fn volumes(core: &Arc<Kubernetes>, place: &Place) -> Removal {
    let what = format!("its claims in namespace `{}`, and the volumes behind them", place.namespace);
    let work = ClaimsWork { core: Arc::clone(core), place: place.clone() };
    Removal::new(format!("remove what `{}` stored", place.name), removes(&what), work)
}

fn namespace(core: &Arc<Kubernetes>, place: &Place, keep_data: bool) -> Removal {
    let namespace = place.namespace.clone();
    let what = format!("namespace `{namespace}`, if it was made here and nobody else uses it");
    let work = NamespaceWork { core: Arc::clone(core), namespace, keep_data };
    Removal::new(format!("remove the namespace of `{}`", place.name), removes(&what), work)
}

fn removes(what: &str) -> Vec<Preview> {
    vec![Preview::Do(format!("remove {what}"))]
}

/// The services that have stored something. When that cannot be found out every one may have.
pub(super) fn stored_data(core: &Kubernetes, scope: &Scope) -> Vec<String> {
    let found = find::labelled(core, None);
    let Ok(found) = found else { return scope.systems.iter().map(ToString::to_string).collect() };
    let stored = found.iter().filter(|found| found.kind == kube::path::CLAIM);
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
    if scope.everything && !(keep_data && namespace::get(core, &core.names.home)?.is_some()) {
        return core.deployment.home.remove();
    }
    for (system, place) in places(core, scope) {
        let services = if keep_data { &[][..] } else { &place.services };
        forget_one(core, &system, services, keep_data)?;
    }
    Ok(())
}

/// Forgets a system that is gone, with the generated secrets of these of its services; where `keeps`, not what it stored.
fn forget_one(core: &Kubernetes, system: &SystemName, services: &[ServiceName], keeps: bool) -> Result<()> {
    let is_kept = |kind: &str| kind == VOLUME || kind == namespaces::NAMESPACE;
    core.records.forget_system(system, services, |entry| keeps && is_kept(&entry.kind))
}
