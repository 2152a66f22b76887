//! To which system something on AWS belongs.

use super::aws_resource::{AwsResource, text};
use crate::Eks;
use engine::deployment::Scope;
use engine::ledger::Entry;
use model::name::SystemName;
use model::system::System;

/// What goes with its system; all else is the platform's and goes with that.
const WITH_SYSTEMS: [&str; 4] = ["load-balancer", "target-group", "security-group", "record"];

/// `None` for what the deployment has as a whole, such as the load balancer that all share. Whatever the files say, it is
/// told by the namespace: a system that no file declares any more has what was made for it.
pub(super) fn owner(eks: &Eks, resource: &AwsResource) -> Option<SystemName> {
    if let Ok(system) = text(&resource.facts, "system").parse() {
        return Some(system);
    }
    // `NAMESPACE/INGRESS`, or of a target group of a load balancer that several share `NAMESPACE/INGRESS-SERVICE:PORT`.
    let ingress =
        [resource.stack(), text(&resource.facts, "resource")].into_iter().find_map(|name| name.split_once('/'));
    let namespace = ingress.map_or_else(|| text(&resource.facts, "namespace"), |(namespace, _)| namespace);
    let service = resource.id.rsplit('/').next().filter(|_| resource.kind == "repository");
    let has = |system: &&System| system.services.iter().any(|other| Some(other.name.as_str()) == service);
    let of_repository = || eks.deployment().spec.systems.iter().find(has).map(|system| system.name.clone());
    eks.core.names.system(namespace).or_else(of_repository)
}

/// Whether something goes when the systems of a scope do, though the platform stays.
pub(super) fn goes_with(eks: &Eks, resource: &AwsResource, scope: &Scope) -> bool {
    WITH_SYSTEMS.contains(&resource.kind) && owner(eks, resource).is_some_and(|system| scope.has(&system))
}

/// The same for what the ledger knows.
pub(super) fn entry_goes_with(eks: &Eks, entry: &Entry, scope: &Scope) -> bool {
    let Some(kind) = WITH_SYSTEMS.into_iter().find(|kind| *kind == entry.kind) else { return false };
    if let Some(system) = &entry.system {
        return scope.systems.iter().any(|named| named.as_str() == system);
    }
    let resource = AwsResource::new(kind, &entry.id, &[]).named(text(&entry.identity, "name"));
    goes_with(eks, &resource.with(entry.identity["facts"].clone()), scope)
}
