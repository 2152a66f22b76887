//! How public services are reached from outside: the class of ingress, where its controller answers, and which names
//! lead there.
//!
//! What the environment sets is taken; what it leaves open is asked of the cluster. Where an ingress answers is told by
//! the Ingresses that its controller has taken in, so a cluster without any is given one for a moment.

mod address;
mod controller;

use self::address::Reported;
use self::controller::Class;
use super::Kubernetes;
use super::release_spec::Exposure;
use anyhow::Result;
use base::error::Fault;
use base::http::{Endpoint, Scheme, Via};
use engine::plan::runner::StepCx;
use kube::Api;
use model::cluster::Cluster;
use model::name::ServiceName;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this run has found out: it does not change while a run lasts.
#[derive(Default)]
pub(super) struct Ways {
    found: Mutex<Option<Way>>,
}

/// The way in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    exposure: Exposure,
    /// What is connected to. Unknown only where a domain says what hosts are called.
    via: Option<SocketAddr>,
    port: u16,
}

impl Ways {
    fn lock(&self) -> MutexGuard<'_, Option<Way>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How public services are exposed, as far as it can be told without making anything; `None` while the address of the
/// ingress is not known.
///
/// # Errors
/// When the cluster has no such class, or several and no default.
pub(super) fn known(core: &Kubernetes) -> Result<Option<Exposure>> {
    if let Some(provider) = core.platform.ingress_provider() {
        return provider.exposure();
    }
    Ok(known_way(core, &mut core.ways.lock())?.map(|way| way.exposure))
}

/// The same, finding out the address by an Ingress of its own when there is no other way, and keeping it.
///
/// # Errors
/// When no address shows up in time; says what was seen.
pub(super) fn find(core: &Kubernetes, cx: &StepCx<'_>) -> Result<Exposure> {
    // One step finds out, the others wait for it here.
    let mut found = core.ways.lock();
    if let Some(way) = known_way(core, &mut found)? {
        address::keep(core, way.via)?;
        return Ok(way.exposure);
    }
    let class = controller::class(core.access.api()?.as_ref(), &core.deployment.environment.cluster)?;
    let reported = address::probe(core, cx, &class)?;
    let way = way(core, class, Some(reported))?;
    address::keep(core, way.via)?;
    *found = Some(way.clone());
    Ok(way.exposure)
}

/// The class that public services are given to and the namespace that its controller is found in, for `doctor`.
///
/// # Errors
/// When either cannot be told.
pub fn entrance(api: &Api, cluster: &Cluster) -> Result<(String, String)> {
    let class = controller::class(api, cluster)?;
    let namespace = controller::namespace(api, cluster, &class)?;
    Ok((class.name, namespace))
}

/// Where a public service is asked from here: its host, by way of the ingress's address.
///
/// # Errors
/// The reason, for people.
pub(super) fn endpoint(core: &Kubernetes, service: &ServiceName) -> Result<Endpoint, String> {
    if let Some(provider) = core.platform.ingress_provider() {
        return provider.endpoint(core, service);
    }
    match known_way(core, &mut core.ways.lock()) {
        Ok(Some(way)) => {
            let name = core.deployment.find_service(service).map_or(service, |known| &known.public_name.name);
            Ok(way.endpoint(&core.deployment.environment.cluster.prefixed(name)))
        }
        Ok(None) => {
            let deploy = core.deployment.environment.command("deploy");
            Err(format!("no Ingress has an address yet; `{deploy}` finds that out"))
        }
        Err(error) => Err(Fault::of(&error).cause),
    }
}

/// What is connected to for every public service, as far as that is known.
///
/// # Errors
/// Those of [`known`].
pub(super) fn via(core: &Kubernetes) -> Result<Option<SocketAddr>> {
    if core.platform.ingress_provider().is_some() {
        return Ok(None);
    }
    Ok(known_way(core, &mut core.ways.lock())?.and_then(|way| way.via))
}

fn known_way(core: &Kubernetes, found: &mut Option<Way>) -> Result<Option<Way>> {
    if found.is_some() {
        return Ok(found.clone());
    }
    let class = controller::class(core.access.api()?.as_ref(), &core.deployment.environment.cluster)?;
    let reported = address::known(core, &class)?;
    if reported.is_none() && core.deployment.environment.cluster.domain.is_none() {
        return Ok(None);
    }
    let way = way(core, class, reported)?;
    if way.via.is_some() {
        *found = Some(way.clone());
    }
    Ok(Some(way))
}

fn way(core: &Kubernetes, class: Class, reported: Option<Reported>) -> Result<Way> {
    let cluster = &core.deployment.environment.cluster;
    let ip = reported.map(|reported| reported.ip);
    let host_suffix = match (&cluster.domain, ip) {
        (Some(domain), _) => format!(".{domain}"),
        (None, Some(ip)) => suffix(ip),
        (None, None) => String::new(),
    };
    let port = cluster.ingress_address.map_or(80, |address| address.port);
    let from_namespace = controller::namespace(core.access.api()?.as_ref(), cluster, &class)?;
    // None of the controllers needs annotations for plain HTTP.
    let exposure =
        Exposure { class: class.name, from_namespace, host_suffix: Some(host_suffix), ..Exposure::default() };
    Ok(Way { exposure, via: ip.map(|ip| SocketAddr::new(ip, port)), port })
}

impl Way {
    fn endpoint(&self, name: &str) -> Endpoint {
        let host = format!("{name}{}", self.exposure.host_suffix.as_deref().unwrap_or_default());
        Endpoint { scheme: Scheme::Http, host, port: self.port, via: self.via.map(Via::Address) }
    }
}

/// Behind a name, so that it leads to the address wherever it is looked up: everything below `localhost` is this machine
/// (RFC 6761), and sslip.io answers with the address that it finds in the name.
pub(super) fn suffix(ip: IpAddr) -> String {
    match ip {
        ip if ip.is_loopback() => ".localhost".to_owned(),
        IpAddr::V4(ip) => format!(".{ip}.sslip.io"),
        IpAddr::V6(ip) => {
            // Written out: the short form could make a label that ends in a hyphen.
            let parts: Vec<_> = ip.segments().iter().map(|part| format!("{part:x}")).collect();
            format!(".{}.sslip.io", parts.join("-"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_address_that_they_carry() {
        let of = |text: &str| suffix(text.parse().unwrap());
        assert_eq!(of("127.0.0.1"), ".localhost");
        assert_eq!(of("::1"), ".localhost");
        assert_eq!(of("172.31.77.1"), ".172.31.77.1.sslip.io");
        assert_eq!(of("2001:db8::2"), ".2001-db8-0-0-0-0-0-2.sslip.io");
    }

    #[test]
    fn a_service_is_asked_by_its_host_at_the_address() {
        let exposure = Exposure {
            class: "traefik".to_owned(),
            from_namespace: "kube-system".to_owned(),
            host_suffix: Some(".shop.example".to_owned()),
            ..Exposure::default()
        };
        let way = Way { exposure, via: Some("10.0.0.1:8080".parse().unwrap()), port: 8080 };
        let endpoint = way.endpoint("try-epoch");
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("try-epoch.shop.example", 8080));
        assert_eq!(endpoint.via, Some(Via::Address("10.0.0.1:8080".parse().unwrap())));
    }
}
