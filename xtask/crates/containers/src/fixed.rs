//! Addresses that do not change, for what others need by name, and what else is known of the network that they are in.
//!
//! podman's name server fails for a moment whenever any container comes or goes (aardvark with podman 4.3). So what
//! others need has an address of its own there, counted down from the end of its network, where none is given out for a
//! long time, and those that need it are told. docker's names need no help.

use super::fronted;
use super::names::Names;
use super::prerequisites::is_closed;
use anyhow::Result;
use machine::supervised::Supervised;
use model::name::{ServiceName, SystemName};
use model::system::{Presence, Service, System};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};

/// The fixed addresses of networks that are there, each looked up once.
#[derive(Debug, Default)]
pub(super) struct FixedAddresses(Mutex<BTreeMap<SystemName, Fixed>>);

impl FixedAddresses {
    /// None before the network is there, or where names need no help.
    ///
    /// # Errors
    /// When no engine answers.
    pub(super) fn of(&self, core: &Supervised, names: &Names, system: &System) -> Result<Fixed> {
        let engine = core.found_engine()?.engine;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fixed) = known.get(&system.name) {
            return Ok(fixed.clone());
        }
        let network = engine.network(&core.proc, &names.network(&system.name))?;
        let Some(network) = network else { return Ok(Fixed::default()) };
        let addresses = network.subnet.map(|subnet| Fixed::new(system, subnet)).unwrap_or_default();
        let fixed = Fixed { is_closed: is_closed(&core.found_engine()?, Some(&network)), ..addresses };
        known.insert(system.name.clone(), fixed.clone());
        Ok(fixed)
    }
}

/// The fixed addresses of a system's network.
#[derive(Debug, Clone, Default)]
pub(super) struct Fixed {
    /// Of its edge.
    pub(super) edge: Option<IpAddr>,
    /// Whether there is no way out of the network.
    pub(super) is_closed: bool,
    /// Of services that are reached directly.
    services: BTreeMap<ServiceName, IpAddr>,
}

impl Fixed {
    /// Those of a network of which no more is known.
    pub(super) fn unknown(is_closed: bool) -> Self {
        Self { is_closed, ..Self::default() }
    }

    /// Those of a network with these first and last addresses. The last one is for all of its containers.
    pub(super) fn new(system: &System, (first, last): (Ipv4Addr, Ipv4Addr)) -> Self {
        let (first, last) = (first.to_bits(), last.to_bits());
        // The lower half is left to those that take what they are given.
        let least = first + (last - first) / 2;
        let mut free = (least..last).rev().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
        let edge = free.next();
        let direct = system.services.iter().filter(|service| is_needed_directly(system, service));
        Self { edge, is_closed: false, services: direct.map(|service| service.name.clone()).zip(free).collect() }
    }

    pub(super) fn of(&self, service: &ServiceName) -> Option<IpAddr> {
        self.services.get(service).copied()
    }

    /// What a service is told: the addresses of what it needs, by name.
    pub(super) fn hosts(&self, system: &System, service: &Service) -> BTreeMap<String, IpAddr> {
        let address = |needed: &Service| {
            if fronted::is_fronted(system, needed) { self.edge } else { self.of(&needed.name) }
        };
        let needed = system.services.iter().filter(|other| service.needs.contains(&other.name));
        let told = needed.filter_map(|needed| Some((needed, address(needed)?)));
        told.flat_map(|(needed, at)| needed.names().map(move |name| (name.to_string(), at))).collect()
    }
}

fn is_needed_directly(system: &System, service: &Service) -> bool {
    let needed = system.services.iter().any(|other| other.needs.contains(&service.name));
    // Two versions at once cannot have one address, and what only several replicas need is not here.
    (needed || fronted::is_called_by_jobs(system, service))
        && service.presence != Presence::WhenReplicated
        && !fronted::is_fronted(system, service)
        && !fronted::overlaps(system, service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_has_an_address_that_those_who_need_it_are_told() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let spec = model::load(root).unwrap();
        let told = |system: &str, service: &str| {
            let system = spec.systems.iter().find(|known| known.name.as_str() == system).unwrap();
            let service = system.services.iter().find(|known| known.name.as_str() == service).unwrap();
            let network = ("10.89.4.0".parse().unwrap(), "10.89.4.255".parse().unwrap());
            let hosts = Fixed::new(system, network).hosts(system, service);
            hosts.into_iter().map(|(name, address)| format!("{name} {address}")).collect::<Vec<_>>()
        };
        // Two versions of the provider may run at once, so it is the edge that has its name.
        assert_eq!(told("invoices", "invoice-app"), ["payment-provider 10.89.4.254"]);
        assert_eq!(told("shortener", "shortener"), ["redis 10.89.4.253"]);
        assert_eq!(told("epoch", "epoch"), [""; 0]);
    }

    #[test]
    fn further_names_have_the_address_of_the_first() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let mut system =
            model::load(root).unwrap().systems.into_iter().find(|known| known.name.as_str() == "shortener").unwrap();
        let redis = system.services.iter_mut().find(|known| known.name.as_str() == "redis").unwrap();
        redis.aliases.insert("cache".parse().unwrap());
        let shortener = system.services.iter().find(|known| known.name.as_str() == "shortener").unwrap();
        let network = ("10.89.4.0".parse().unwrap(), "10.89.4.255".parse().unwrap());
        let hosts = Fixed::new(&system, network).hosts(&system, shortener);
        assert_eq!(hosts.keys().collect::<Vec<_>>(), ["cache", "redis"]);
        assert_eq!(hosts["cache"], hosts["redis"]);
    }
}
