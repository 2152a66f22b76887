//! What carries the deployment's label and belongs to none of the systems of today: a system whose file is gone, a pod
//! that a killed run has left somewhere.

use super::claims;
use super::find::{self, Found};
use super::{Place, namespace, places, release};
use crate::Kubernetes;
use anyhow::Result;
use engine::deployment::Scope;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) struct OthersWork {
    pub(super) core: Arc<Kubernetes>,
    pub(super) keep_data: bool,
    /// Namespaces that are still needed.
    pub(super) spared: Vec<String>,
}

impl Work for OthersWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.namespaces()?.is_empty().then(|| "nothing else is there".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        for name in self.namespaces()? {
            let place = Place { name: name.clone(), namespace: name.clone(), services: Vec::new() };
            release::remove(&self.core, &place, cx)?;
            let keeps = self.keep_data && namespace::holds_data(&self.core, &name)?;
            if !keeps {
                claims::remove(&self.core, &place, cx)?;
            }
            let made_here = find::namespaces(&self.core)?.iter().any(|found| found.name() == name);
            if made_here && !keeps {
                namespace::remove(&self.core, &name, cx)?;
            }
        }
        Ok(Outcome::Done)
    }
}

impl OthersWork {
    /// The namespaces in which something is, or that were made here.
    fn namespaces(&self) -> Result<BTreeSet<String>> {
        let core = &self.core;
        let all = Scope { systems: Vec::new(), everything: true };
        let known: Vec<String> = places(core, &all).into_values().map(|place| place.namespace).collect();
        let inside = find::labelled(core, None)?;
        let kept = |found: &&Found| self.keep_data && found.kind == kube::path::CLAIM;
        let inside = inside.iter().filter(|found| !kept(found)).map(|found| found.namespace().to_owned());
        let made = find::namespaces(core)?;
        let kept = |name: &str| Ok::<_, anyhow::Error>(self.keep_data && namespace::holds_data(core, name)?);
        let mut names: BTreeSet<String> = inside.collect();
        for found in made {
            if !kept(found.name())? {
                names.insert(found.name().to_owned());
            }
        }
        names.retain(|name| *name != core.names.home && !known.contains(name) && !self.spared.contains(name));
        Ok(names)
    }
}
