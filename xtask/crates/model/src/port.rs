//! The ports that a service has besides the one that others mean by it.

use super::public_name::PublicName;
use super::system::{Probe, Service};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// What such a port is called in its service, and what it is.
pub type FurtherPorts = BTreeMap<String, FurtherPort>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FurtherPort {
    /// The port the program listens on in a container.
    pub port: u16,
    /// The port on a machine that all services share.
    pub host_port: u16,
    pub speaks: Speaks,
    /// Reachable from outside the deployment.
    pub public: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http,
    Grpc,
    Tcp,
    Udp,
}

impl Speaks {
    pub(super) const ALL: [(&str, Self); 4] =
        [("http", Self::Http), ("grpc", Self::Grpc), ("tcp", Self::Tcp), ("udp", Self::Udp)];

    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, speaks)| *speaks == self).map_or("tcp", |(word, _)| word)
    }

    pub fn is_udp(self) -> bool {
        self == Self::Udp
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A service as ports are counted: for each that it takes of a machine as if that were the only one.
pub fn each(service: &Service) -> Vec<Service> {
    let one = |name, host_port, public, ports| Service { name, host_port, public, ports, ..service.clone() };
    let further = service.ports.iter().map(|(name, own)| {
        let alone = FurtherPorts::from([(name.clone(), *own)]);
        let further = one(service.name.port(name), Some(own.host_port), own.public, alone);
        // It is published at an address, which no other has by path.
        Service { public_name: PublicName::own(&further.name), ..further }
    });
    // Of one that an earlier version recorded, the port may not be known.
    let has_port = service.port.is_some() || matches!(service.ready, Probe::Http { .. } | Probe::Tcp { .. });
    let main = has_port.then(|| one(service.name.clone(), service.host_port, service.public, FurtherPorts::new()));
    main.into_iter().chain(further).collect()
}

/// Whether one of [`each`] is taken by datagrams, which nobody is asked for by a connection.
pub fn is_of_datagrams(one: &Service) -> bool {
    !one.ports.is_empty() && one.ports.values().all(|own| own.speaks.is_udp())
}

/// For state that outlives a run.
pub fn to_json(ports: &FurtherPorts) -> Value {
    let one = |(name, port): (&String, &FurtherPort)| {
        let FurtherPort { port, host_port, speaks, public } = port;
        let value = json!({"port": port, "host_port": host_port, "speaks": speaks.as_str(), "public": public});
        (name.clone(), value)
    };
    ports.iter().map(one).collect::<Map<_, _>>().into()
}

/// `None` when the value was not made by [`to_json`]; what an earlier version wrote has no such ports.
pub fn from_json(value: &Value) -> Option<FurtherPorts> {
    let number = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    let one = |(name, value): (&String, &Value)| {
        let word = value["speaks"].as_str()?;
        let port = FurtherPort {
            port: number(&value["port"])?,
            host_port: number(&value["host_port"])?,
            speaks: Speaks::ALL.into_iter().find(|(known, _)| *known == word)?.1,
            public: value["public"].as_bool()?,
        };
        Some((name.clone(), port))
    };
    if value.is_null() { Some(FurtherPorts::new()) } else { value.as_object()?.iter().map(one).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_survive_being_kept() {
        for (_, speaks) in Speaks::ALL {
            let port = FurtherPort { port: 9999, host_port: 19_999, speaks, public: true };
            let ports = FurtherPorts::from([("grpc".to_owned(), port)]);
            assert_eq!(from_json(&to_json(&ports)), Some(ports));
        }
        assert_eq!(from_json(&Value::Null), Some(FurtherPorts::new()));
        assert_eq!(from_json(&json!({"grpc": {"port": 1}})), None);
    }
}
