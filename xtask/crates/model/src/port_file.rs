//! Reads the ports of a service: `port`, or the table `ports` where there are more. A service with neither is a worker.

use super::decode::{At, Table, Value};
use super::port::{FurtherPort, FurtherPorts, Speaks};
use super::system::{Piece, Reference, Template};
use std::collections::BTreeMap;

/// The one that others mean by the service.
const MAIN: &str = "main";
/// As long as clusters let names of ports be.
const LONGEST_NAME: usize = 15;

pub(super) struct Ports<'d> {
    pub(super) port: Option<u16>,
    pub(super) host_port: Option<u16>,
    pub(super) further: FurtherPorts,
    /// Where it is said which ports of a machine it takes, those further ones with their name.
    pub(super) places: Vec<(Option<String>, At<'d>)>,
}

/// `None` when what a service listens on cannot be read.
pub(super) fn read<'d>(table: &Table<'d>) -> Option<Ports<'d>> {
    let (port, host_port, ports) = (table.optional("port"), table.optional("host_port"), table.optional("ports"));
    match (port, ports) {
        (Some(port), Some(ports)) => {
            ports.report("a service has `port`, which is short for the `main` of `ports`, or `ports`, not both");
            port.port();
            None
        }
        (Some(port), None) => read_main(&port, host_port),
        (None, Some(ports)) => {
            if let Some(host_port) = host_port {
                host_port.report("belongs to `ports.main`, as the port does");
            }
            read_table(&ports)
        }
        (None, None) => {
            if let Some(host_port) = host_port {
                host_port.report("a service without `port` takes none of a machine");
            }
            Some(Ports { port: None, host_port: None, further: FurtherPorts::new(), places: Vec::new() })
        }
    }
}

fn read_main<'d>(port: &Value<'d>, host_port: Option<Value<'d>>) -> Option<Ports<'d>> {
    let own = host_port.as_ref().unwrap_or(port);
    let (place, number, host_port) = (own.at.clone(), port.port(), host_port.map(|value| value.port()));
    let places = vec![(None, place)];
    Some(Ports { port: Some(number?), host_port: host_port.unwrap_or(number), further: FurtherPorts::new(), places })
        .filter(|ports| ports.host_port.is_some())
}

fn read_table<'d>(value: &Value<'d>) -> Option<Ports<'d>> {
    let entries = value.entries()?;
    let Some((_, main)) = entries.iter().find(|(name, _)| *name == MAIN) else {
        let one = entries.first().map(|(name, _)| format!(": call one of them that in place of `{name}`"));
        let what = "missing `main`, the port that `ready`, `public` of the service and checks mean";
        value.report(format!("{what}{}", one.unwrap_or_default()));
        return None;
    };
    let main = main.table(|table| {
        for key in ["speaks", "public"] {
            if let Some(value) = table.misplaced(key) {
                value
                    .report("not for `main`: what it speaks shows in `ready`, and `public` of the service is about it");
            }
        }
        let host_port = table.optional("host_port");
        table.required("port").and_then(|port| read_main(&port, host_port))
    });
    let mut ports = main.flatten()?;
    for (name, value) in entries.iter().filter(|(name, _)| *name != MAIN) {
        if let Err(message) = check_name(name) {
            value.report(message);
        }
        let further = value.table(read_further)??;
        check_distinct(&ports, &further, value);
        ports.places.push((Some((*name).to_owned()), value.at.clone()));
        ports.further.insert((*name).to_owned(), further);
    }
    Some(ports)
}

fn read_further(table: &Table<'_>) -> Option<FurtherPort> {
    let port = table.required("port").and_then(|value| value.port());
    let host_port = table.optional("host_port").map(|value| value.port());
    let speaks = table.optional("speaks").and_then(|value| value.choice(&Speaks::ALL));
    let public = table.optional("public").and_then(|value| value.boolean());
    Some(FurtherPort {
        port: port?,
        host_port: host_port.unwrap_or(port)?,
        speaks: speaks.unwrap_or(Speaks::Tcp),
        public: public.unwrap_or(false),
    })
}

/// One number may be had twice, by what comes as streams and by what comes as datagrams.
fn check_distinct(ports: &Ports<'_>, further: &FurtherPort, value: &Value<'_>) {
    let main = ports.port.filter(|_| !further.speaks.is_udp()).map(|port| (MAIN, port));
    let alike = ports.further.iter().filter(|(_, other)| other.speaks.is_udp() == further.speaks.is_udp());
    let others = main.into_iter().chain(alike.map(|(name, other)| (name.as_str(), other.port)));
    for (name, _) in others.filter(|(_, port)| *port == further.port) {
        value.report(format!("port {} is that of `{name}` already", further.port));
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edges = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-') && !name.contains("--");
    if edges && name.chars().all(inner) && name.len() <= LONGEST_NAME {
        return Ok(());
    }
    Err(format!(
        "not the name of a port: 1 to {LONGEST_NAME} lower-case letters, digits and single inner hyphens, the first a letter"
    ))
}

/// What others may refer to of further ports: `${SERVICE.port.NAME}`, and `${SERVICE.address.NAME}` with the host before it.
pub(super) fn provides(further: &FurtherPorts) -> BTreeMap<String, Template> {
    let port = |name: &String| Piece::Reference(Reference::FurtherPort(name.clone()));
    let both = |name: &String| {
        let host = [Piece::Reference(Reference::Host), Piece::Text(":".to_owned()), port(name)];
        [(format!("port.{name}"), Template(vec![port(name)])), (format!("address.{name}"), Template(host.into()))]
    };
    further.keys().flat_map(both).collect()
}
