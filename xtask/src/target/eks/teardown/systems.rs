//! To which system something on AWS belongs.

use super::thing::{Thing, text};
use crate::ledger::Entry;
use crate::spec::name::SystemName;
use crate::target::Scope;
use crate::target::eks::Eks;

/// What goes with its system; all else is the platform's and goes with that.
const WITH_SYSTEMS: [&str; 4] = ["load-balancer", "target-group", "security-group", "record"];

/// `None` for what the deployment has as a whole, such as the load balancer that all share.
pub(super) fn owner(eks: &Eks, thing: &Thing) -> Option<SystemName> {
    // `NAMESPACE/INGRESS`, or of a target group of a load balancer that several share `NAMESPACE/INGRESS-SERVICE:PORT`.
    let ingress = [thing.stack(), text(&thing.facts, "resource")].into_iter().find_map(|name| name.split_once('/'));
    let namespace = ingress.map_or_else(|| text(&thing.facts, "namespace"), |(namespace, _)| namespace);
    let services = |system: &crate::spec::system::System| {
        let last = thing.id.rsplit('/').next().unwrap_or_default();
        let first = thing.name.split('.').next().unwrap_or_default();
        let named = if thing.kind == "repository" { last } else { first };
        ["repository", "record"].contains(&thing.kind) && system.services.iter().any(|s| s.name.as_str() == named)
    };
    let systems = &eks.deployment().spec.systems;
    let found = systems.iter().find(|system| eks.core.names.namespace(&system.name) == namespace || services(system));
    found.map(|system| system.name.clone())
}

/// Whether something goes when the systems of a scope do, though the platform stays.
pub(super) fn goes_with(eks: &Eks, thing: &Thing, scope: &Scope) -> bool {
    WITH_SYSTEMS.contains(&thing.kind) && owner(eks, thing).is_some_and(|system| scope.has(&system))
}

/// The same for what the ledger knows.
pub(super) fn entry_goes_with(eks: &Eks, entry: &Entry, scope: &Scope) -> bool {
    let Some(kind) = WITH_SYSTEMS.into_iter().find(|kind| *kind == entry.kind) else { return false };
    if let Some(system) = &entry.system {
        return scope.systems.iter().any(|named| named.as_str() == system);
    }
    let thing = Thing::new(kind, &entry.id, &[]).named(text(&entry.identity, "name"));
    goes_with(eks, &thing.with(entry.identity["facts"].clone()), scope)
}
