//! Where public services are published: each edge has its note of that, which tells what it was started to publish and
//! not what the settings would have it publish now.

use super::edge;
use anyhow::Result;
use base::files;
use machine::supervised::Supervised;
use machine::supervised::addresses::{self, Addresses};
use machine::supervised::runtime::Held;
use model::name::{ServiceName, SystemName};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Writes down what the edge of a system is started to publish.
pub(super) fn note(core: &Supervised, system: &SystemName, published: &Addresses) -> Result<()> {
    files::write_json(&core.home().published(system), &addresses::to_json(published))
}

/// Where a public service is published, or else where it should be.
pub(super) fn of(core: &Supervised, service: &ServiceName) -> Option<SocketAddr> {
    let service = &core.service(service).filter(|service| service.public)?.public_name.holder;
    let noted = core.system_of(service).and_then(|system| noted(core, &system.name).ok()?.get(service).copied());
    noted.or_else(|| core.addresses().ok()?.get(service).copied())
}

/// What the edge of a system was started to publish.
pub(super) fn noted(core: &Supervised, system: &SystemName) -> Result<Addresses> {
    let noted = files::read_json(&core.home().published(system))?;
    Ok(noted.as_ref().and_then(addresses::from_json).unwrap_or_default())
}

/// The ports that edges hold, those of a supervisor that was killed among them.
pub(super) fn held(core: &Supervised) -> Result<Held> {
    let orphans = supervisor::orphans(core.home().dir()).into_iter().map(|orphan| orphan.service);
    let running: BTreeSet<ServiceName> = core
        .supervised()?
        .into_iter()
        // An edge that a killed run was just starting has the ports, too.
        .map(|status| status.service)
        .chain(orphans)
        .collect();
    let mut held = Held::default();
    for system in core.known_systems() {
        if !edge::name(&system.name).is_ok_and(|edge| running.contains(&edge)) {
            continue;
        }
        held.serving.extend(noted(core, &system.name)?);
    }
    Ok(held)
}
