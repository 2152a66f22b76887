//! The address each service listens on. Public services take the environment's `bind`, internal ones loopback; ports
//! are the declared ones, or others that are then kept.

use anyhow::{Context, Result};
use base::{files, ports};
use model::environment::{Environment, Ports};
use model::name::ServiceName;
pub use model::port::each as each_port;
use model::port::is_of_datagrams;
use model::system::Service;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

pub type Addresses = BTreeMap<ServiceName, SocketAddr>;

/// As they are written down: `{"epoch": "127.0.0.1:1337"}`.
pub fn to_json(addresses: &Addresses) -> Value {
    let text = |(name, address): (&ServiceName, &SocketAddr)| (name.to_string(), Value::from(address.to_string()));
    addresses.iter().map(text).collect::<Map<_, _>>().into()
}

/// What was written down; `None` where that was nothing. An entry that cannot be understood is left out.
pub fn from_json(value: &Value) -> Option<Addresses> {
    let read =
        |(name, address): (&String, &Value)| Some((ServiceName::of_port(name)?, address.as_str()?.parse().ok()?));
    Some(value.as_object()?.iter().filter_map(read).collect())
}

/// The ports that services had last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept(BTreeMap<String, KeptPort>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct KeptPort {
    port: u16,
    /// Why it is not the declared one, in words.
    why: Option<String>,
}

impl Kept {
    /// # Errors
    /// When the file is there and cannot be read. An entry that cannot be understood is left out.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let Some(Value::Object(ports)) = files::read_json(file)? else { return Ok(Self::default()) };
        let number = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
        let read = |(name, value): (String, Value)| {
            let port = number(&value).or_else(|| number(&value["port"]))?;
            Some((name, KeptPort { port, why: value["why"].as_str().map(str::to_owned) }))
        };
        Ok(Self(ports.into_iter().filter_map(read).collect()))
    }

    pub(crate) fn port(&self, service: &ServiceName) -> Option<u16> {
        self.0.get(service.as_str()).map(|kept| kept.port)
    }

    pub(crate) fn why(&self, service: &ServiceName) -> Option<&str> {
        self.0.get(service.as_str())?.why.as_deref()
    }

    pub(crate) fn keep(&mut self, service: &ServiceName, port: u16, why: Option<String>) {
        self.0.insert(service.to_string(), KeptPort { port, why });
    }

    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let entry = |(name, KeptPort { port, why }): (&String, &KeptPort)| {
            let value = why.as_ref().map_or_else(|| json!(port), |why| json!({"port": port, "why": why}));
            (name.clone(), value)
        };
        files::write_json(file, &self.0.iter().map(entry).collect::<Map<_, _>>().into())
    }
}

/// The addresses that are known without asking who has which: all of them where ports are declared, the kept ones where
/// any will do.
pub(crate) fn known<'a>(
    environment: &Environment,
    services: impl Iterator<Item = &'a Service>,
    kept: &Kept,
) -> Addresses {
    let port = |service: &Service| match environment.ports {
        Ports::Declared => service.host_port,
        Ports::Free | Ports::Prefer => kept.port(&service.name),
    };
    let address = |service: &Service| {
        port(service).map(|port| (service.name.clone(), SocketAddr::new(ip(environment, service), port)))
    };
    services.filter_map(address).collect()
}

/// Chooses a free port for every service that has no address yet, and for those whose kept one is `taken`.
///
/// # Errors
/// When the system has no port to give.
pub(crate) fn choose<'a>(
    environment: &Environment,
    services: impl Iterator<Item = &'a Service>,
    addresses: &mut Addresses,
    taken: &dyn Fn(&Service, SocketAddr) -> bool,
) -> Result<()> {
    // Every socket is held until all are chosen, so that no two services are given the same port.
    let (mut held, mut held_for_datagrams) = (Vec::new(), Vec::new());
    for service in services {
        if addresses.get(&service.name).is_some_and(|address| !taken(service, *address)) {
            continue;
        }
        let (ip, asked) = (ip(environment, service), "ask the system for a free port");
        let free = if is_of_datagrams(service) {
            let socket = ports::free_for_datagrams(ip).context(asked)?;
            let address = socket.local_addr()?;
            held_for_datagrams.push(socket);
            address
        } else {
            let listener = ports::free(ip).context(asked)?;
            let address = listener.local_addr()?;
            held.push(listener);
            address
        };
        addresses.insert(service.name.clone(), free);
    }
    Ok(())
}

/// Where a service listens.
pub(crate) fn ip(environment: &Environment, service: &Service) -> IpAddr {
    if service.public { environment.bind } else { IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

/// What a service is told of where it is reached.
pub fn public_url(address: SocketAddr, service: &Service) -> String {
    let path = service.public_name.first_path();
    format!("http://{}{path}", reachable(address)).trim_end_matches('/').to_owned()
}

/// The address that reaches a listener from this machine.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}
