//! Looks everything up again: by the deployment's label whatever the ledger says, and by the ledger what carries none.

use super::find::{self, Found};
use super::{claims, images, is_in, namespace, places};
use crate::Kubernetes;
use crate::names::SYSTEM;
use crate::namespaces;
use crate::recorded;
use anyhow::Result;
use base::proc::CommandLine;
use engine::backend::{Remains, Survivor};
use engine::deployment::Scope;
use kube::object;
use kube::path::CLAIM;
use remote_tools::helm;
use remote_tools::helm::Release;
use std::collections::BTreeSet;

/// Everything of the scope that can still be found. What is stored counts as kept when it was asked to be, and so do the
/// namespaces that have it and what it is worth nothing without.
///
/// # Errors
/// When the cluster cannot be asked: nothing is ever clean then.
pub(crate) fn remains(core: &Kubernetes, scope: &Scope, keep_data: bool) -> Result<Remains> {
    let search = Search { core, scope, keep_data, claims: find::all_claims(core)? };
    let labelled = find::labelled(core, None)?;
    let spaces = find::namespaces(core)?;
    let mut remains = Remains::default();
    remains.survivors.extend(search.releases(&labelled));
    let parts = [
        search.objects(&labelled, &spaces),
        search.volumes()?,
        search.namespaces(&labelled, &spaces),
        search.left_to_others()?,
    ];
    for (keeps, survivor) in parts.into_iter().flatten() {
        remains.add(keeps, survivor);
    }
    remains.survivors.extend(images::remaining(core, scope)?);
    Ok(remains)
}

struct Search<'a> {
    core: &'a Kubernetes,
    scope: &'a Scope,
    keep_data: bool,
    /// As a whole: their metadata does not say how much room they have.
    claims: Vec<Found>,
}

/// Whether it is to be kept, and what it is.
type Judged = (bool, Survivor);

impl Search<'_> {
    /// Helm's records, one for each release, whether the objects of it are there or not.
    fn releases(&self, labelled: &[Found]) -> Vec<Survivor> {
        let recorded = labelled.iter().filter(|found| self.is_in_scope(found));
        let releases: BTreeSet<(&str, &str)> =
            recorded.filter_map(|found| Some((found.namespace(), found.recorded()?))).collect();
        let survivor = |(namespace, name)| {
            let remove = helm::uninstall(helm_as_typed(self.core), Release { name, namespace });
            Survivor::new("release", format!("{namespace}/{name}"), name.to_owned(), remove.to_string())
        };
        releases.into_iter().map(survivor).collect()
    }

    /// What no release has.
    fn objects(&self, labelled: &[Found], spaces: &[Found]) -> Vec<Judged> {
        let recorded: BTreeSet<(&str, &str)> =
            labelled.iter().filter_map(|found| Some((found.namespace(), found.recorded()?))).collect();
        // What the deployment's own namespace has is of the deployment's own making.
        let home = spaces.iter().find(|found| found.name() == self.core.names.home).map(Found::name);
        let covered = |found: &Found| {
            recorded.contains(&(found.namespace(), found.released()))
                || found.recorded().is_some()
                || found.is_owned()
                || home == Some(found.namespace())
        };
        let in_scope = labelled.iter().filter(|found| self.is_in_scope(found));
        let counting = in_scope.filter(|found| found.kind == CLAIM || !covered(found));
        counting.map(|found| (self.keep_data && found.kind == CLAIM, self.survivor(found))).collect()
    }

    fn volumes(&self) -> Result<Vec<Judged>> {
        let places = places(self.core, self.scope);
        let mut found = Vec::new();
        for place in places.values() {
            for volume in claims::volumes(self.core, place)? {
                let survivor = Survivor { owner: place.name.clone(), ..self.survivor(&volume) };
                found.push((self.keep_data, survivor));
            }
        }
        // Those of systems of which nothing else is known.
        for (system, volume) in claims::noted_volumes(self.core)? {
            let is_known = places.values().any(|place| place.name == system);
            if self.scope.everything && !is_known {
                found.push((self.keep_data, Survivor { owner: system, ..self.survivor(&volume) }));
            }
        }
        Ok(found)
    }

    fn namespaces(&self, labelled: &[Found], spaces: &[Found]) -> Vec<Judged> {
        let stored = labelled.iter().filter(|found| self.keep_data && found.kind == CLAIM);
        let kept: BTreeSet<&str> = stored.map(Found::namespace).collect();
        let keeps = |name: &str| kept.contains(name) || (name == self.core.names.home && !kept.is_empty());
        let system = |found: &Found| object::label(&found.object, SYSTEM).to_owned();
        let in_scope = spaces.iter().filter(|found| is_in(self.core, self.scope, found.name(), &system(found)));
        in_scope.map(|found| (keeps(found.name()), self.survivor(found))).collect()
    }

    /// Namespaces that were made here and that somebody else uses.
    fn left_to_others(&self) -> Result<Vec<Judged>> {
        let left = namespace::left(self.core)?;
        let system = |found: &Found| object::label(&found.object, SYSTEM).to_owned();
        let in_scope = left.iter().filter(|found| is_in(self.core, self.scope, found.name(), &system(found)));
        Ok(in_scope.map(|found| (true, self.survivor(found))).collect())
    }

    fn is_in_scope(&self, found: &Found) -> bool {
        is_in(self.core, self.scope, found.namespace(), object::label(&found.object, SYSTEM))
    }

    fn survivor(&self, found: &Found) -> Survivor {
        let id = match found.kind.namespaced {
            true => format!("{}/{}", found.namespace(), found.name()),
            false => found.name().to_owned(),
        };
        let space = if found.kind.namespaced { found.namespace() } else { found.name() };
        let made = Survivor::new(&kind(found), id, self.owner(found, space), kubectl(self.core, found).to_string());
        Survivor { bytes: self.bytes(found), ..made }
    }

    /// How much room what stores something has.
    fn bytes(&self, found: &Found) -> Option<u64> {
        let path = found.path();
        match found.kind {
            kind if kind == CLAIM => {
                self.claims.iter().find(|claim| claim.path() == path).and_then(|claim| recorded::size(&claim.object))
            }
            kind if kind == kube::path::VOLUME => recorded::size(&found.object),
            _ => None,
        }
    }

    /// The system, as the labels or else the namespace say; what all systems share is the deployment's.
    fn owner(&self, found: &Found, space: &str) -> String {
        let label = object::label(&found.object, SYSTEM);
        if !label.is_empty() {
            return label.to_owned();
        }
        let system = self.core.names.system(space);
        system.map_or_else(|| self.core.names.id.clone(), |system| system.to_string())
    }
}

/// The command that removes it, with the context named: the current one may be any.
fn kubectl(core: &Kubernetes, found: &Found) -> CommandLine {
    let context = core.deployment.environment.cluster.context.as_deref().unwrap_or("<context>");
    let line = CommandLine::new("kubectl").args(["--context", context]);
    let line = if found.kind.namespaced { line.args(["--namespace", found.namespace()]) } else { line };
    line.args(["delete", &found.kind.name.to_lowercase(), found.name()])
}

fn helm_as_typed(core: &Kubernetes) -> CommandLine {
    let context = core.deployment.environment.cluster.context.as_deref().unwrap_or("<context>");
    CommandLine::new("helm").args(["--kube-context", context])
}

/// What the receipt calls it.
fn kind(found: &Found) -> String {
    match found.kind.name {
        "Namespace" => namespaces::NAMESPACE.to_owned(),
        "PersistentVolume" => claims::VOLUME.to_owned(),
        name => name.to_owned(),
    }
}
