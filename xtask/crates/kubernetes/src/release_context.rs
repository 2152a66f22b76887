//! What a run wants the releases of its systems to be, as far as that is known: all steps of a run share it.

use super::Kubernetes;
use super::chart;
use super::images::ImageSource;
use super::parting::Parting;
use super::platform::ServiceBindings;
use super::records::VerifiedRelease;
use super::release_spec::{self, Exposure, ImageRef, ReleaseSpec, WorkloadSpec};
use super::running::{Record, Running};
use super::{assets, exposure, jobs, prerequisites, public_url, pull_secrets, recalled, values};
use anyhow::Result;
use base::ctx::Ctx;
use engine::backend::SkippedSystem;
use model::name::{ServiceName, SystemName};
use model::system::System;
use remote_tools::helm;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A system that can run in the cluster.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) system: System,
    pub(super) parts: Vec<WorkloadSpec>,
    pub(super) parting: Parting,
    /// What it needs is stopped before it is released, so that requests to it are lost in any case.
    pub(super) is_interrupted: bool,
}

impl Candidate {
    /// One that no file declares, as it was proven last.
    pub(super) fn recalled(name: &SystemName, proven: &VerifiedRelease) -> Self {
        let parts = recalled::parts(proven);
        Self { system: recalled::system(name, proven), parts, parting: Parting::default(), is_interrupted: false }
    }

    pub(super) fn services(&self) -> Vec<ServiceName> {
        self.parts.iter().map(|part| part.service.name.clone()).collect()
    }

    pub(super) fn public(&self) -> Vec<ServiceName> {
        let public = self.parts.iter().filter(|part| part.service.public);
        public.map(|part| part.service.name.clone()).collect()
    }
}

/// The systems of a command, and those of them that cannot run in the cluster.
pub(super) fn candidates(core: &Kubernetes) -> (Vec<Candidate>, Vec<SkippedSystem>) {
    let environment = &core.deployment.environment;
    let mut candidates = Vec::new();
    let mut skipped = Vec::new();
    for system in core.deployment.systems() {
        match release_spec::parts(system, environment, environment.target) {
            Ok(parts) => {
                let (parting, is_interrupted) = (Parting::default(), false);
                candidates.push(Candidate { system: system.clone(), parts, parting, is_interrupted });
            }
            Err(reason) => skipped.push(SkippedSystem { name: system.name.clone(), reason }),
        }
    }
    (candidates, skipped)
}

/// A release down to the last value.
#[derive(Debug, Clone)]
pub(super) struct DesiredRelease {
    pub(super) wanted: ReleaseSpec,
    pub(super) values: Value,
    /// Equal stamps are equal releases.
    pub(super) stamp: Fingerprint,
    pub(super) versions: BTreeMap<ServiceName, String>,
}

/// Names what a release is made from: its values, and the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(String);

impl Fingerprint {
    fn new(values: &Value, chart: &str) -> Self {
        Self(format!("{}-{chart}", chart::short(values.to_string())))
    }

    pub(super) fn is_of(&self, proven: &VerifiedRelease) -> bool {
        proven.stamp == self.0
    }

    /// Whether a revision of Helm's was made from this.
    pub(super) fn is_on(&self, record: &Record) -> bool {
        record.stamp == self.0
    }

    #[cfg(test)]
    pub(super) fn for_test(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether both are of the same chart.
    pub(super) fn same_chart(&self, proven: &VerifiedRelease) -> bool {
        let chart = |text: &str| text.rsplit_once('-').map(|(_, chart)| chart.to_owned());
        chart(&self.0) == chart(&proven.stamp)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where the images of a desired release come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResolveMode {
    /// Only what is known without making anything.
    Already,
    /// What the steps of this run have made.
    Supplied,
    /// The same, and Secrets that are missing are made.
    Made,
    /// As `--dry-run` shows it.
    Shown,
}

/// What the steps of a run share.
pub(super) struct ReleaseContext {
    pub(super) core: Arc<Kubernetes>,
    pub(super) supply: Arc<ImageSource>,
    chart: String,
    exposure: Mutex<Option<Exposure>>,
    running: Mutex<Option<Arc<Running>>>,
    helm: helm::Lazy,
}

impl ReleaseContext {
    /// # Errors
    /// Those of [`ImageSource::new`], and when the chart cannot be read.
    pub(super) fn new(core: &Arc<Kubernetes>, ctx: &Ctx, candidates: &[Candidate]) -> Result<Arc<Self>> {
        let systems: Vec<_> =
            candidates.iter().map(|candidate| (candidate.system.name.clone(), candidate.parts.clone())).collect();
        Ok(Arc::new(Self {
            supply: ImageSource::new(core, ctx, &systems)?,
            chart: chart::digest(&core.deployment.root)?,
            exposure: Mutex::default(),
            running: Mutex::default(),
            helm: helm::Lazy::default(),
            core: Arc::clone(core),
        }))
    }

    /// Which Helm is at hand.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn helm(&self) -> Result<helm::Major> {
        self.helm.get(&self.core.proc, self.core.access.helm()?)
    }

    /// What the cluster has, asked when this is first called. Nothing that this run changes is taken from it.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub(super) fn running(&self) -> Result<Arc<Running>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(Arc::clone(running));
        }
        let found = Arc::new(Running::look(&self.core)?);
        *running = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Takes what the cluster was seen to have just now, for the next [`ReleaseContext::running`].
    pub(super) fn set_running(&self, running: Running) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(running));
    }

    /// Has the cluster asked anew by the next [`ReleaseContext::running`].
    pub(super) fn look_again(&self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How public services are exposed, once that is known.
    ///
    /// # Errors
    /// Those of [`exposure::known`].
    pub(super) fn exposure(&self) -> Result<Option<Exposure>> {
        let mut known = self.exposure.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = exposure::known(&self.core)?;
        }
        Ok(known.clone())
    }

    pub(super) fn set_exposure(&self, found: Exposure) {
        *self.exposure.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    /// What the release of a system is to be; nothing while something of it is not known.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub(super) fn desired(&self, candidate: &Candidate, mode: ResolveMode) -> Result<Option<DesiredRelease>> {
        let parts = &candidate.parts;
        let mut images = BTreeMap::new();
        for service in candidate.services() {
            let Some(image) = self.image(&service, mode) else { return Ok(None) };
            images.insert(service, image);
        }
        let system = &candidate.system.name;
        let exposure = if candidate.public().is_empty() { None } else { self.exposure()? };
        let parts = &public_url::told(parts, exposure.as_ref(), &self.core.deployment.environment.cluster);
        let known_exposure = exposure.is_some() || candidate.public().is_empty();
        let secrets = prerequisites::secrets(&self.core, system, parts, mode == ResolveMode::Made)?;
        if mode == ResolveMode::Made {
            assets::make(&self.core, system, parts)?;
        }
        let secrets = match secrets {
            Some(secrets) => secrets,
            None if mode == ResolveMode::Shown => BTreeMap::new(),
            None => return Ok(None),
        };
        let pull_secrets = match pull_secrets::of(&self.core, system, mode == ResolveMode::Made)? {
            Some(names) => names,
            None if mode == ResolveMode::Shown => self.declared_pull_secrets(),
            None => return Ok(None),
        };
        if !known_exposure && mode != ResolveMode::Shown {
            return Ok(None);
        }
        let Some(grants) = self.grants(parts, mode)? else { return Ok(None) };
        let annotations = self.annotations(parts);
        let versions = images.iter().map(|(service, image)| (service.clone(), image.version.clone())).collect();
        let parts = parts.clone();
        let jobs = jobs::of_candidate(&self.core, candidate);
        let wanted = ReleaseSpec {
            jobs,
            images,
            secrets,
            grants,
            annotations,
            exposure,
            parts,
            pull_secrets,
            ..self.blank(system)
        };
        let values = values::of(&wanted);
        Ok(Some(DesiredRelease { stamp: Fingerprint::new(&values, &self.chart), wanted, values, versions }))
    }

    /// What the platform gives these services; nothing while something of it is not known.
    fn grants(
        &self,
        parts: &[WorkloadSpec],
        mode: ResolveMode,
    ) -> Result<Option<BTreeMap<ServiceName, ServiceBindings>>> {
        let mut all = BTreeMap::new();
        for part in parts {
            match self.core.platform.grants(part)? {
                Some(grants) => drop(all.insert(part.service.name.clone(), grants)),
                None if mode == ResolveMode::Shown => {}
                None => return Ok(None),
            }
        }
        Ok(Some(all))
    }

    fn declared_pull_secrets(&self) -> Vec<String> {
        self.core.deployment.environment.cluster.pull_secrets.iter().map(|secret| secret.name.clone()).collect()
    }

    fn annotations(&self, parts: &[WorkloadSpec]) -> BTreeMap<ServiceName, BTreeMap<String, String>> {
        let Some(provider) = self.core.platform.ingress_provider() else { return BTreeMap::new() };
        let public = parts.iter().filter(|part| part.service.public);
        public.map(|part| (part.service.name.clone(), provider.annotations(part))).collect()
    }

    fn image(&self, service: &ServiceName, mode: ResolveMode) -> Option<ImageRef> {
        match mode {
            ResolveMode::Already | ResolveMode::Supplied | ResolveMode::Made => self.supply.known(service),
            ResolveMode::Shown => Some(self.supply.shown(service)),
        }
    }

    fn blank(&self, system: &SystemName) -> ReleaseSpec {
        let environment = &self.core.deployment.environment;
        ReleaseSpec {
            system: system.clone(),
            namespace: self.core.names.namespace(system),
            deployment_id: environment.deployment_id.to_string(),
            host_prefix: environment.cluster.namespace_prefix.to_string(),
            parts: Vec::new(),
            jobs: Vec::new(),
            images: BTreeMap::new(),
            secrets: BTreeMap::new(),
            grants: BTreeMap::new(),
            annotations: BTreeMap::new(),
            exposure: None,
            pull_secrets: Vec::new(),
            dns: environment.cluster.dns.clone(),
            storage_class: environment.cluster.storage_class.clone(),
        }
    }

    /// Names a release of these values.
    pub(super) fn stamp(&self, values: &Value) -> Fingerprint {
        Fingerprint::new(values, &self.chart)
    }

    /// What was proven, as a desired release to return to. A service that is not declared any more is as it was.
    ///
    /// # Errors
    /// Those of [`ReleaseContext::exposure`].
    pub(super) fn again(&self, candidate: &Candidate, proven: &VerifiedRelease) -> Result<DesiredRelease> {
        let declared =
            |part: &WorkloadSpec| candidate.parts.iter().find(|known| known.service.name == part.service.name).cloned();
        let parts = recalled::parts(proven).into_iter().map(|part| declared(&part).unwrap_or(part)).collect();
        let image = |(service, version): (&ServiceName, &String)| {
            let reference = proven.values["services"][service.as_str()]["image"].as_str().unwrap_or_default();
            (service.clone(), ImageRef { reference: reference.to_owned(), version: version.clone() })
        };
        let images = proven.versions.iter().map(image).collect();
        let wanted = ReleaseSpec { parts, images, exposure: self.exposure()?, ..self.blank(&candidate.system.name) };
        Ok(DesiredRelease {
            wanted,
            values: proven.values.clone(),
            stamp: Fingerprint(proven.stamp.clone()),
            versions: proven.versions.clone(),
        })
    }
}
