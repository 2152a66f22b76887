//! Finds what carries the deployment's label, kind by kind, with nothing of it but its metadata.

use super::{Place, namespace};
use crate::Kubernetes;
use crate::names::SERVICE;
use crate::namespaces;
use anyhow::Result;
use kube::Refusal;
use kube::object;
use kube::path::{CLAIM, JOB, Kind, NAMESPACE, POD, RELEASED, REPLICA_SET, VOLUME};
use serde_json::Value;

/// Something in the cluster. A list of metadata does not say of which kind it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) object: Value,
}

impl Found {
    pub(super) fn name(&self) -> &str {
        object::name(&self.object)
    }

    pub(super) fn namespace(&self) -> &str {
        object::namespace(&self.object)
    }

    /// "Pod epoch-1"
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind.name, self.name())
    }

    pub(super) fn path(&self) -> String {
        if self.kind.namespaced { self.kind.at(self.namespace(), self.name()) } else { self.kind.named(self.name()) }
    }

    /// A controller has made it, and takes it away with what it was made for.
    pub(super) fn is_owned(&self) -> bool {
        !object::list(&self.object, "/metadata/ownerReferences").is_empty()
    }

    /// The release that it is Helm's record of.
    pub(super) fn recorded(&self) -> Option<&str> {
        let is_record = object::label(&self.object, "owner") == "helm" && self.name().starts_with("sh.helm.release.");
        is_record.then(|| object::label(&self.object, "name"))
    }

    /// The release that it belongs to.
    pub(super) fn released(&self) -> &str {
        object::annotation(&self.object, "meta.helm.sh/release-name")
    }
}

/// The kinds that a deployment has in its namespaces.
pub(super) fn kinds() -> impl Iterator<Item = Kind> {
    RELEASED.into_iter().chain([POD, REPLICA_SET, JOB])
}

/// What carries the deployment's label in a namespace, or in all.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn labelled(core: &Kubernetes, namespace: Option<&str>) -> Result<Vec<Found>> {
    let api = core.access.api()?;
    let selector = core.names.selector();
    let list = |kind: Kind| {
        let path = namespace.map_or_else(|| kind.everywhere(), |namespace| kind.within(namespace));
        let found = match api.list_metadata(&path, &selector) {
            Err(refusal) if kind.is_of_jobs() && refusal.status == 403 => Vec::new(),
            found => found?,
        };
        Ok(found.into_iter().map(|object| Found { kind, object }).collect())
    };
    let lists: Vec<Result<Vec<Found>, Refusal>> = std::thread::scope(|scope| {
        let asking: Vec<_> = kinds().map(|kind| (kind, scope.spawn(move || list(kind)))).collect();
        asking.into_iter().map(|(kind, thread)| thread.join().unwrap_or_else(|_| list(kind))).collect()
    });
    let lists: Result<Vec<Vec<Found>>, Refusal> = lists.into_iter().collect();
    let lists = lists.map_err(|refusal| kube::fault("look for what the deployment has made", &refusal))?;
    Ok(lists.into_iter().flatten().collect())
}

/// The deployment's claims of volumes in a namespace, as a whole.
pub(super) fn claims(core: &Kubernetes, namespace: &str) -> Result<Vec<Found>> {
    claims_at(core, &CLAIM.within(namespace))
}

/// All of them.
pub(super) fn all_claims(core: &Kubernetes) -> Result<Vec<Found>> {
    claims_at(core, &CLAIM.everywhere())
}

fn claims_at(core: &Kubernetes, path: &str) -> Result<Vec<Found>> {
    let found = core.access.api()?.list(path, &core.names.selector());
    let found = found.map_err(|refusal| kube::fault("look for what is stored", &refusal))?;
    Ok(found.into_iter().map(|object| Found { kind: CLAIM, object }).collect())
}

/// The namespaces that were made here: those with the deployment's label, and those that have lost it but are known to the
/// ledger.
pub(super) fn namespaces(core: &Kubernetes) -> Result<Vec<Found>> {
    let found = core.access.api()?.list(&NAMESPACE.everywhere(), &core.names.selector());
    let found = found.map_err(|refusal| kube::fault("look for the deployment's namespaces", &refusal))?;
    let mut found: Vec<Found> = found.into_iter().map(|object| Found { kind: NAMESPACE, object }).collect();
    for entry in core.records.entries()?.iter().filter(|entry| entry.kind == namespaces::NAMESPACE) {
        if found.iter().any(|known| known.name() == entry.id) {
            continue;
        }
        if let Some(noted) = namespace::get(core, &entry.id)?
            && namespace::is_ours(core, &noted)?
        {
            found.push(noted);
        }
    }
    Ok(found)
}

/// All volumes of the cluster.
pub(super) fn volumes(core: &Kubernetes) -> Result<Vec<Found>> {
    let found = core.access.api()?.list(&VOLUME.everywhere(), "");
    let found = found.map_err(|refusal| kube::fault("look for volumes", &refusal))?;
    Ok(found.into_iter().map(|object| Found { kind: VOLUME, object }).collect())
}

/// Whether a volume was made for a claim of this place. A volume carries no label; its claim does, and when that is gone
/// there are still the ledger and the names that StatefulSets give: `data-SERVICE-0`.
pub(super) fn is_volume_of(volume: &Found, place: &Place, claims: &[Found], noted: &[String]) -> bool {
    let claim = |field: &str| object::text(&volume.object, &format!("/spec/claimRef/{field}"));
    if claim("namespace") != place.namespace {
        return false;
    }
    let uid = |found: &Found| object::text(&found.object, "/metadata/uid").to_owned();
    let claimed = claims.iter().any(|found| uid(found) == claim("uid"));
    let was_claimed = object::text(&volume.object, "/status/phase") != "Bound" && place.is_claim(claim("name"));
    claimed || noted.contains(&uid(volume)) || was_claimed
}

impl Place {
    /// Whether a StatefulSet of one of the services gives this name to its claims.
    fn is_claim(&self, name: &str) -> bool {
        let of = |service: &str| {
            let rest = name.strip_prefix("data-")?.strip_prefix(service)?.strip_prefix('-')?;
            (!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
        };
        self.services.iter().any(|service| of(service.as_str()).is_some())
    }
}

/// The service that something belongs to; empty where its labels do not say.
pub(super) fn service(found: &Found) -> &str {
    object::label(&found.object, SERVICE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes_are_known_by_their_claims() {
        let services = vec!["redis".parse().unwrap()];
        let place = Place { name: "shop".to_owned(), namespace: "x-shop".to_owned(), services };
        let volume = |namespace: &str, name: &str, phase: &str| Found {
            kind: VOLUME,
            object: json!({
                "metadata": {"name": "pv", "uid": "v"}, "status": {"phase": phase},
                "spec": {"claimRef": {"namespace": namespace, "name": name, "uid": "c"}},
            }),
        };
        let claims = [Found { kind: CLAIM, object: json!({"metadata": {"uid": "c"}}) }];
        let is_ours = |volume: &Found, claims: &[Found], noted: &[&str]| {
            let noted: Vec<String> = noted.iter().map(|uid| (*uid).to_owned()).collect();
            is_volume_of(volume, &place, claims, &noted)
        };
        assert!(is_ours(&volume("x-shop", "anything", "Bound"), &claims, &[]));
        assert!(is_ours(&volume("x-shop", "anything", "Released"), &[], &["v"]));
        assert!(is_ours(&volume("x-shop", "data-redis-0", "Released"), &[], &[]));
        assert!(!is_ours(&volume("x-shop", "data-redis-0", "Bound"), &[], &[]), "somebody has it");
        assert!(!is_ours(&volume("x-shop", "data-redis-x", "Released"), &[], &[]));
        assert!(!is_ours(&volume("other", "data-redis-0", "Released"), &claims, &["v"]));
    }
}
