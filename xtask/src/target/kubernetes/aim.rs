//! What a run wants the releases of its systems to be, as far as that is known: all steps of a run share it.

use super::Kubernetes;
use super::chart;
use super::images::Supply;
use super::platform::Grants;
use super::records::Proven;
use super::running::{Record, Running};
use super::wanted::{self, Exposure, ImageRef, Part, Wanted};
use super::{exposure, ground, values};
use crate::ctx::Ctx;
use crate::spec::name::{ServiceName, SystemName};
use crate::spec::system::System;
use crate::target::SkippedSystem;
use crate::tools::helm;
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A system that can run in the cluster.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) system: System,
    pub(super) parts: Vec<Part>,
}

impl Candidate {
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
        match wanted::parts(system, environment, environment.target) {
            Ok(parts) => candidates.push(Candidate { system: system.clone(), parts }),
            Err(reason) => skipped.push(SkippedSystem { name: system.name.clone(), reason }),
        }
    }
    (candidates, skipped)
}

/// A release down to the last value.
#[derive(Debug, Clone)]
pub(super) struct Aim {
    pub(super) wanted: Wanted,
    pub(super) values: Value,
    /// Equal stamps are equal releases.
    pub(super) stamp: Stamp,
    pub(super) versions: BTreeMap<ServiceName, String>,
}

/// Names what a release is made from: its values, and the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(String);

impl Stamp {
    fn new(values: &Value, chart: &str) -> Self {
        Self(format!("{}-{chart}", chart::short(values.to_string())))
    }

    pub(super) fn is_of(&self, proven: &Proven) -> bool {
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
    pub(super) fn same_chart(&self, proven: &Proven) -> bool {
        let chart = |text: &str| text.rsplit_once('-').map(|(_, chart)| chart.to_owned());
        chart(&self.0) == chart(&proven.stamp)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where the images of an aim come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
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
pub(super) struct Run {
    pub(super) core: Arc<Kubernetes>,
    pub(super) supply: Arc<Supply>,
    chart: String,
    exposure: Mutex<Option<Exposure>>,
    running: Mutex<Option<Arc<Running>>>,
    helm: helm::Lazy,
}

impl Run {
    /// # Errors
    /// Those of [`Supply::new`], and when the chart cannot be read.
    pub(super) fn new(core: &Arc<Kubernetes>, ctx: &Ctx, candidates: &[Candidate]) -> Result<Arc<Self>> {
        let systems: Vec<_> =
            candidates.iter().map(|candidate| (candidate.system.name.clone(), candidate.parts.clone())).collect();
        Ok(Arc::new(Self {
            supply: Supply::new(core, ctx, &systems)?,
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

    /// Has the cluster asked anew by the next [`Run::running`].
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
    pub(super) fn aim(&self, candidate: &Candidate, known: Known) -> Result<Option<Aim>> {
        let parts = &candidate.parts;
        let mut images = BTreeMap::new();
        for service in candidate.services() {
            let Some(image) = self.image(&service, known) else { return Ok(None) };
            images.insert(service, image);
        }
        let system = &candidate.system.name;
        let exposure = if candidate.public().is_empty() { None } else { self.exposure()? };
        let known_exposure = exposure.is_some() || candidate.public().is_empty();
        let secrets = ground::secrets(&self.core, system, parts, known == Known::Made)?;
        let secrets = match secrets {
            Some(secrets) => secrets,
            None if known == Known::Shown => BTreeMap::new(),
            None => return Ok(None),
        };
        if !known_exposure && known != Known::Shown {
            return Ok(None);
        }
        let Some(grants) = self.grants(parts, known)? else { return Ok(None) };
        let annotations = self.annotations(parts);
        let versions = images.iter().map(|(service, image)| (service.clone(), image.version.clone())).collect();
        let parts = parts.clone();
        let wanted = Wanted { images, secrets, grants, annotations, exposure, parts, ..self.blank(system) };
        let values = values::of(&wanted);
        Ok(Some(Aim { stamp: Stamp::new(&values, &self.chart), wanted, values, versions }))
    }

    /// What the platform gives these services; nothing while something of it is not known.
    fn grants(&self, parts: &[Part], known: Known) -> Result<Option<BTreeMap<ServiceName, Grants>>> {
        let mut all = BTreeMap::new();
        for part in parts {
            match self.core.platform.grants(part)? {
                Some(grants) => drop(all.insert(part.service.name.clone(), grants)),
                None if known == Known::Shown => {}
                None => return Ok(None),
            }
        }
        Ok(Some(all))
    }

    fn annotations(&self, parts: &[Part]) -> BTreeMap<ServiceName, BTreeMap<String, String>> {
        let Some(front) = self.core.platform.front() else { return BTreeMap::new() };
        let public = parts.iter().filter(|part| part.service.public);
        public.map(|part| (part.service.name.clone(), front.annotations(part))).collect()
    }

    fn image(&self, service: &ServiceName, known: Known) -> Option<ImageRef> {
        match known {
            Known::Already | Known::Supplied | Known::Made => self.supply.known(service),
            Known::Shown => Some(self.supply.shown(service)),
        }
    }

    fn blank(&self, system: &SystemName) -> Wanted {
        let environment = &self.core.deployment.environment;
        Wanted {
            system: system.clone(),
            namespace: self.core.names.namespace(system),
            deployment_id: environment.deployment_id.to_string(),
            host_prefix: environment.cluster.namespace_prefix.to_string(),
            parts: Vec::new(),
            images: BTreeMap::new(),
            secrets: BTreeMap::new(),
            grants: BTreeMap::new(),
            annotations: BTreeMap::new(),
            exposure: None,
            storage_class: environment.cluster.storage_class.clone(),
        }
    }

    /// What was proven, as an aim to return to. Its services are those that still exist.
    ///
    /// # Errors
    /// Those of [`Run::exposure`].
    pub(super) fn again(&self, candidate: &Candidate, proven: &Proven) -> Result<Aim> {
        let had = |part: &&Part| proven.versions.contains_key(&part.service.name);
        let parts: Vec<Part> = candidate.parts.iter().filter(had).cloned().collect();
        let image = |(service, version): (&ServiceName, &String)| {
            let reference = proven.values["services"][service.as_str()]["image"].as_str().unwrap_or_default();
            (service.clone(), ImageRef { reference: reference.to_owned(), version: version.clone() })
        };
        let images = proven.versions.iter().map(image).collect();
        let wanted = Wanted { parts, images, exposure: self.exposure()?, ..self.blank(&candidate.system.name) };
        Ok(Aim {
            wanted,
            values: proven.values.clone(),
            stamp: Stamp(proven.stamp.clone()),
            versions: proven.versions.clone(),
        })
    }
}
