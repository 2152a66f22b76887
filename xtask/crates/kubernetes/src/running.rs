//! What the cluster has of the deployment's releases at one moment: Helm's records of them, and the workloads they made.
//! What of these is there, whoever has made it so, is what is observed.

use super::assets;
use super::diagnostics::evidence::is_complete;
use super::names::{Names, SERVICE};
use super::release_spec::{ReleaseSpec, SecretRef};
use super::{Kubernetes, recorded};
use anyhow::Result;
use engine::reconcile::{Observed, UnitId};
use kube::object::{is_going, label, name, namespace};
use kube::path;
use model::Spec;
use model::name::{ServiceName, SystemName};
use remote_tools::helm::Release;
use serde_json::Value;
use std::collections::BTreeSet;

/// The label that tells what a revision was made from.
pub(super) const STAMP: &str = "stamp";

/// Helm's record of one revision of a release: a Secret, whose labels tell all that is of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Of the Secret.
    pub(super) name: String,
    namespace: String,
    release: String,
    pub(super) revision: u64,
    /// `deployed`, `superseded`, `failed`, `pending-upgrade`
    pub(super) status: String,
    /// What it was made from, as it was labelled with [`STAMP`]. Going back to a revision brings its label back, too.
    pub(super) stamp: String,
}

impl Record {
    pub(super) fn of(secret: &Value) -> Option<Self> {
        Some(Self {
            name: name(secret).to_owned(),
            namespace: namespace(secret).to_owned(),
            release: label(secret, "name").to_owned(),
            revision: label(secret, "version").parse().ok()?,
            status: label(secret, "status").to_owned(),
            stamp: label(secret, STAMP).to_owned(),
        })
    }

    pub(super) fn is_deployed(&self) -> bool {
        self.status == "deployed"
    }

    /// Helm brought it about as a whole, then or now.
    pub(super) fn has_served(&self) -> bool {
        self.is_deployed() || self.status == "superseded"
    }

    /// A Helm is at work on it, or was when it was killed.
    pub(super) fn is_unfinished(&self) -> bool {
        self.status.starts_with("pending-") || self.status == "uninstalling"
    }
}

/// How a service is, as far as its workload tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// Not all of its pods are ready and of the newest kind.
    Unready,
    Gone,
}

/// All releases of a deployment. There are none while there is no cluster.
#[derive(Default)]
pub(super) struct Running {
    records: Vec<Record>,
    /// The Secrets beside them, as namespace and name.
    secrets: BTreeSet<(String, String)>,
    /// The ConfigMaps beside them, where services are given what has to be in one.
    config_maps: BTreeSet<(String, String)>,
    workloads: Vec<Value>,
    ingresses: Vec<Value>,
}

impl Running {
    /// Asks the cluster, the same few questions however many systems there are.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub(super) fn look(core: &Kubernetes) -> Result<Self> {
        if !core.platform.is_there()? {
            return Ok(Self::default());
        }
        let api = core.access.api()?;
        let selector = core.names.selector();
        let told = |refusal| kube::fault("ask for the releases in the cluster", &refusal);
        // What is superseded says nothing of the present, and is most of them.
        let current = format!("status!=superseded,{selector}");
        let all = api.list_metadata(&path::SECRET.everywhere(), &current).map_err(told)?;
        let (helm, others): (Vec<Value>, Vec<Value>) =
            all.into_iter().partition(|secret| label(secret, "owner") == "helm");
        let mut workloads = api.list(&path::DEPLOYMENT.everywhere(), &selector).map_err(told)?;
        workloads.extend(api.list(&path::STATEFUL_SET.everywhere(), &selector).map_err(told)?);
        let ingresses = api.list_metadata(&path::INGRESS.everywhere(), &selector).map_err(told)?;
        let named = |secret: &Value| (namespace(secret).to_owned(), name(secret).to_owned());
        let secrets = others.iter().map(named).collect();
        let services = core.deployment.systems().flat_map(|system| &system.services);
        let has_assets = services.flat_map(|service| service.files.values()).any(|asset| !asset.is_plain());
        let config_maps = match has_assets {
            true => api.list_metadata(&path::CONFIG_MAP.everywhere(), &selector).map_err(told)?,
            false => Vec::new(),
        };
        let config_maps = config_maps.iter().map(named).collect();
        let records = helm.iter().filter_map(Record::of).collect();
        Ok(Self { records, secrets, config_maps, workloads, ingresses })
    }

    /// What runs or is reached under the deployment's label, in the namespaces of its systems.
    pub(super) fn observed(&self, names: &Names, spec: &Spec) -> Observed {
        let unit = |found: &Value| -> Option<UnitId> {
            let unit = recorded::unit(spec, found)?;
            let is_its = namespace(found) == names.namespace(&unit.system);
            (is_its && !is_going(found)).then_some(unit)
        };
        let mut observed = Observed::default();
        for unit in self.workloads.iter().filter_map(unit) {
            observed.units.entry(unit).or_default();
        }
        for (ingress, unit) in self.ingresses.iter().filter_map(|ingress| Some((ingress, unit(ingress)?))) {
            let entrances = names.entrances_of(&unit.service, ingress);
            observed.units.entry(unit).or_default().entrances.extend(entrances);
        }
        observed
    }

    /// The services whose Secret somebody has removed: what runs goes on, and does not start again.
    pub(super) fn without_secret<'w>(&self, wanted: &'w ReleaseSpec) -> impl Iterator<Item = &'w ServiceName> {
        let gone = |secret: &SecretRef| !self.secrets.contains(&(wanted.namespace.clone(), secret.name.clone()));
        wanted.secrets.iter().filter(move |(_, secret)| gone(secret)).map(|(service, _)| service)
    }

    /// The same of the ConfigMap with what it is given.
    pub(super) fn without_files<'w>(&self, wanted: &'w ReleaseSpec) -> impl Iterator<Item = &'w ServiceName> {
        let gone = |name: String| !self.config_maps.contains(&(wanted.namespace.clone(), name));
        wanted.parts.iter().filter(move |part| assets::name(part).is_some_and(gone)).map(|part| &part.service.name)
    }

    /// The newest record of a system's release.
    pub(super) fn newest(&self, namespace: &str, system: &SystemName) -> Option<&Record> {
        let own = |record: &&Record| record.namespace == namespace && record.release == system.as_str();
        self.records.iter().filter(own).max_by_key(|record| record.revision)
    }

    /// How a service in this namespace is.
    pub(super) fn standing(&self, space: &str, service: &ServiceName) -> Readiness {
        let own = |workload: &&Value| namespace(workload) == space && label(workload, SERVICE) == service.as_str();
        match self.workloads.iter().find(own) {
            None => Readiness::Gone,
            // One that is to have no pods at all was stopped, by a hand or by a run that was killed.
            Some(workload) if is_complete(workload) && workload["spec"]["replicas"] != 0 => Readiness::Ready,
            Some(_) => Readiness::Unready,
        }
    }

    /// The worst of these services.
    pub(super) fn worst<'s>(&self, space: &str, services: impl IntoIterator<Item = &'s ServiceName>) -> Readiness {
        let all: Vec<Readiness> = services.into_iter().map(|service| self.standing(space, service)).collect();
        [Readiness::Gone, Readiness::Unready].into_iter().find(|bad| all.contains(bad)).unwrap_or(Readiness::Ready)
    }
}

/// Helm's records of a system's release, the newest last.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn records(core: &Kubernetes, system: &SystemName) -> Result<Vec<Record>> {
    records_of(core, Release { name: system.as_str(), namespace: &core.names.namespace(system) })
}

/// The same of any release.
///
/// # Errors
/// Those of [`records`].
pub(super) fn records_of(core: &Kubernetes, release: Release<'_>) -> Result<Vec<Record>> {
    let secrets = path::SECRET.within(release.namespace);
    let found = core.access.api()?.list_metadata(&secrets, &format!("owner=helm,name={}", release.name));
    let found = found.map_err(|refusal| kube::fault("ask for the records of the release", &refusal))?;
    let mut records: Vec<Record> = found.iter().filter_map(Record::of).collect();
    records.sort_by_key(|record| record.revision);
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::SYSTEM;
    use engine::reconcile::Unit;
    use serde_json::json;

    fn secret(release: &str, revision: &str, status: &str) -> Value {
        json!({"metadata": {
            "name": format!("sh.helm.release.v1.{release}.v{revision}"), "namespace": release,
            "labels": {"name": release, "version": revision, "status": status, "owner": "helm"},
        }})
    }

    fn running(secrets: &[Value], workloads: Vec<Value>) -> Running {
        Running { records: secrets.iter().filter_map(Record::of).collect(), workloads, ..Running::default() }
    }

    #[test]
    fn files_that_somebody_has_removed_are_missed() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let environment = model::environment(root, "cluster", &[]).unwrap();
        let mut spec = model::load(root).unwrap();
        let system = spec.systems.iter_mut().find(|known| known.name.as_str() == "epoch").unwrap();
        let plain = crate::sample::sample(system, &environment).unwrap();
        let text = json!({"text": "x", "at": "/etc/x"});
        system.services[0].files.insert("x".to_owned(), model::asset::Asset::from_json(&text).unwrap());
        let wanted = crate::sample::sample(system, &environment).unwrap();
        let missed =
            |running: &Running, wanted: &ReleaseSpec| running.without_files(wanted).cloned().collect::<Vec<_>>();
        assert_eq!(missed(&Running::default(), &plain), []);
        assert_eq!(missed(&Running::default(), &wanted), [wanted.parts[0].service.name.clone()]);
        let there = (wanted.namespace.clone(), assets::name(&wanted.parts[0]).unwrap());
        let running = Running { config_maps: BTreeSet::from([there]), ..Running::default() };
        assert_eq!(missed(&running, &wanted), []);
    }

    #[test]
    fn the_newest_record_counts_by_number() {
        let secrets = [secret("a", "9", "deployed"), secret("a", "10", "failed"), secret("b", "11", "deployed")];
        let running = running(&secrets, Vec::new());
        let newest = running.newest("a", &"a".parse().unwrap()).unwrap();
        assert_eq!((newest.revision, newest.is_deployed()), (10, false));
        assert_eq!(running.newest("c", &"c".parse().unwrap()), None);
    }

    #[test]
    fn unfinished_is_what_a_helm_may_be_at_work_on() {
        let unfinished = |status| Record::of(&secret("a", "1", status)).unwrap().is_unfinished();
        for status in ["pending-install", "pending-upgrade", "pending-rollback", "uninstalling"] {
            assert!(unfinished(status), "{status}");
        }
        for status in ["deployed", "failed", "superseded"] {
            assert!(!unfinished(status), "{status}");
        }
    }

    #[test]
    fn what_runs_or_is_reached_is_observed_where_its_system_is() {
        let object = |namespace: &str, system: &str, service: &str| {
            let labels = json!({SYSTEM: system, SERVICE: service});
            json!({"metadata": {"namespace": namespace, "name": service, "labels": labels}})
        };
        let mut going = object("x-a", "a", "going");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let elsewhere = object("default", "a", "elsewhere");
        let spec = model::load(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap()).unwrap();
        let seen = Running {
            workloads: vec![object("x-a", "a", "web"), object("x-a", "a", "redis"), going, elsewhere, json!({})],
            ingresses: vec![object("x-a", "a", "web"), object("x-b", "b", "left")],
            ..Running::default()
        };
        let observed = seen.observed(&Names::of("x-", "id", "home"), &spec);
        let shown = |(unit, seen): (&UnitId, &Unit)| {
            let entrances = seen.entrances.iter().map(|entrance| format!(" {entrance}"));
            format!("{unit}{}", entrances.collect::<String>())
        };
        let shown: Vec<String> = observed.units.iter().map(shown).collect();
        assert_eq!(shown, ["a/redis", "a/web `x-web`", "b/left `x-left`"]);
    }

    #[test]
    fn a_system_stands_as_its_worst_service_does() {
        let workload = |ready| {
            json!({
                "kind": "Deployment", "metadata": {"namespace": "a", "generation": 2, "labels": {SERVICE: "x"}},
                "spec": {"replicas": 2},
                "status": {
                    "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready,
                    "availableReplicas": ready,
                },
            })
        };
        let [service, other]: [ServiceName; 2] = ["x", "y"].map(|name| name.parse().unwrap());
        let worst =
            |ready, services: &[&ServiceName]| running(&[], vec![workload(ready)]).worst("a", services.iter().copied());
        assert_eq!(worst(2, &[&service]), Readiness::Ready);
        assert_eq!(worst(1, &[&service]), Readiness::Unready);
        let mut stopped = workload(0);
        stopped["spec"]["replicas"] = json!(0);
        for count in ["replicas", "updatedReplicas", "availableReplicas"] {
            stopped["status"][count] = json!(0);
        }
        assert_eq!(running(&[], vec![stopped]).worst("a", [&service]), Readiness::Unready);
        assert_eq!(worst(2, &[&service, &other]), Readiness::Gone);
    }
}
