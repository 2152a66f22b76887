//! Which services the edge of a system is in front of, as the files have them.

use model::port::FurtherPort;
use model::system::{Service, System, TargetKind};
use shim::edge::{Edge, Fronted, Further};

fn speaks_http(service: &Service) -> bool {
    service.ready.is_http()
}

fn is_needed_by_others(services: &[Service], service: &Service) -> bool {
    services.iter().any(|other| other.needs.contains(&service.name))
}

/// Whether services or jobs of its system call a service by its name.
fn is_called(system: &System, service: &Service) -> bool {
    is_needed_by_others(&system.services, service) || is_called_by_jobs(system, service)
}

/// Whether jobs do: what they need, and what they are made of.
pub(super) fn is_called_by_jobs(system: &System, service: &Service) -> bool {
    system.jobs.iter().any(|job| job.of == service.name || job.needs.contains(&service.name))
}

/// Whether others of its system reach a service through the edge, which then has its name. Nobody else would know which
/// of several services on one port is meant where no request names its host.
pub(super) fn is_fronted(system: &System, service: &Service) -> bool {
    // The edge tells services on one port apart by their names, which only HTTP says.
    speaks_http(service) && service.ports.is_empty() && fronts(&system.services, service)
}

/// Whether an edge is in front of a service, be it for those outside alone.
fn fronts(services: &[Service], service: &Service) -> bool {
    let is_for_names = speaks_http(service) && service.is_own() && service.ports.is_empty();
    service.is_exposed() || is_for_names && is_needed_by_others(services, service)
}

/// Whether two versions of a service may run side by side: one that keeps data of its own and is not made for that may
/// not, and what is reached directly by its name is found twice for a while.
pub(super) fn overlaps(system: &System, service: &Service) -> bool {
    let stores = service.uses_data() || !service.container.volumes.is_empty();
    if service.port.is_none() {
        return !stores;
    }
    let is_reached_directly = !is_fronted(system, service) && is_needed_by_others(&system.services, service);
    service.is_own() && service.ports.is_empty() || (service.is_exposed() && !is_reached_directly && !stores)
}

/// Whether any of these services needs an edge.
pub(super) fn is_needed(services: &[Service]) -> bool {
    services.iter().any(|service| fronts(services, service))
}

/// What the edge of a system is told of them.
pub(super) fn edge_of(system: &System) -> Edge {
    let services: Vec<&Service> =
        system.services.iter().filter(|service| service.targets.contains(&TargetKind::Containers)).collect();
    let fronted = services.iter().filter(|service| fronts(&system.services, service)).filter_map(|service| {
        let is_named = is_fronted(system, service) && is_called(system, service);
        Some(Fronted {
            service: service.name.clone(),
            port: service.port?,
            public: service.public.then(|| service.public_name.clone()),
            http: speaks_http(service),
            aliases: service.names().filter(|_| is_named).map(ToString::to_string).collect(),
            further: further(service),
        })
    });
    Edge { fronted: fronted.collect() }
}

fn further(service: &Service) -> Vec<Further> {
    let public = service.ports.iter().filter(|(_, further)| further.public);
    let one = |(name, further): (&String, &FurtherPort)| Further {
        name: service.name.port(name),
        port: further.port,
        udp: further.speaks.is_udp(),
    };
    public.map(one).collect()
}
