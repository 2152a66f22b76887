//! The address each service listens on. Public services take the environment's `bind`, internal ones loopback; ports
//! are the declared ones, or any free ones that are then kept for the deployment's life.

use anyhow::{Context, Result};
use base::files;
use model::environment::{Environment, Ports};
use model::name::ServiceName;
use model::system::Service;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

/// Where free ports are looked for, and how often before the system is left to choose.
const FIRST_PORT: u16 = 10_000;
const LAST_PORT: u16 = 32_767;
const ATTEMPTS: u32 = 100;

pub(crate) type Addresses = BTreeMap<ServiceName, SocketAddr>;

/// As they are written down: `{"epoch": "127.0.0.1:1337"}`.
pub(crate) fn to_json(addresses: &Addresses) -> Value {
    let text = |(name, address): (&ServiceName, &SocketAddr)| (name.to_string(), Value::from(address.to_string()));
    addresses.iter().map(text).collect::<Map<_, _>>().into()
}

/// What was written down; `None` where that was nothing. An entry that cannot be understood is left out.
pub(crate) fn from_json(value: &Value) -> Option<Addresses> {
    let read = |(name, address): (&String, &Value)| Some((name.parse().ok()?, address.as_str()?.parse().ok()?));
    Some(value.as_object()?.iter().filter_map(read).collect())
}

/// The addresses that are known without choosing any: all of them where ports are declared, the kept ones otherwise.
///
/// # Errors
/// When the kept ones cannot be read.
pub(crate) fn known<'a>(
    environment: &Environment,
    services: impl Iterator<Item = &'a Service>,
    kept: &Path,
) -> Result<Addresses> {
    let kept = match environment.ports {
        Ports::Declared => Map::new(),
        Ports::Free => match files::read_json(kept)? {
            Some(Value::Object(ports)) => ports,
            _ => Map::new(),
        },
    };
    let port = |service: &Service| match environment.ports {
        Ports::Declared => Some(service.host_port),
        Ports::Free => kept.get(service.name.as_str()).and_then(Value::as_u64).and_then(|port| port.try_into().ok()),
    };
    let address = |service: &Service| {
        port(service).map(|port| (service.name.clone(), SocketAddr::new(ip(environment, service), port)))
    };
    Ok(services.filter_map(address).collect())
}

/// Chooses a free port for every service that has no address yet, and for those whose kept one is `taken`.
///
/// # Errors
/// When the system has no port to give or the choice cannot be kept.
pub(crate) fn choose<'a>(
    environment: &Environment,
    services: impl Iterator<Item = &'a Service>,
    addresses: &mut Addresses,
    taken: &dyn Fn(&ServiceName, SocketAddr) -> bool,
    keep: &Path,
) -> Result<()> {
    // Every socket is held until all are chosen, so that no two services are given the same port.
    let mut held = Vec::new();
    for service in services {
        let usable = addresses.get(&service.name).is_some_and(|address| !taken(&service.name, *address));
        if !usable {
            let listener = free_port(ip(environment, service)).context("ask the system for a free port")?;
            addresses.insert(service.name.clone(), listener.local_addr()?);
            held.push(listener);
        }
    }
    if held.is_empty() {
        return Ok(());
    }
    let mut all = match files::read_json(keep)? {
        Some(Value::Object(ports)) => ports,
        _ => Map::new(),
    };
    all.extend(addresses.iter().map(|(name, address)| (name.to_string(), Value::from(address.port()))));
    files::write_json(keep, &Value::Object(all))
}

/// A port that nothing listens on, below those that systems hand out by themselves (Linux from 32768 on): between the
/// choice and the start of the service, any connection could be given one of these.
fn free_port(ip: IpAddr) -> std::io::Result<TcpListener> {
    for _ in 0..ATTEMPTS {
        let mut bytes = [0; 2];
        if getrandom::fill(&mut bytes).is_err() {
            break;
        }
        let port = FIRST_PORT + u16::from_ne_bytes(bytes) % (LAST_PORT - FIRST_PORT);
        if let Ok(listener) = TcpListener::bind((ip, port)) {
            return Ok(listener);
        }
    }
    TcpListener::bind((ip, 0))
}

fn ip(environment: &Environment, service: &Service) -> IpAddr {
    if service.public { environment.bind } else { IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

/// The address that reaches a listener from this machine.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}
