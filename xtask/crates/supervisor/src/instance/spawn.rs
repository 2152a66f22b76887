//! Starts the process of an instance in the way that it comes to its port.

use super::Instance;
use crate::container;
use crate::launch::LaunchSpec;
use crate::launch_strategy::{LaunchStrategy, PORT};
use anyhow::{Result, anyhow};
use base::http::Via;
use base::proc::{ServiceChild, ServiceCommand};
use base::{os, ports};
use model::system::Probe;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

impl Instance {
    /// The process, and where its probes go if it has a place of its own for them.
    pub(super) fn spawn(&mut self, exec: &Path) -> Result<(ServiceChild, Option<Via>)> {
        let mut env = self.spec.env.clone();
        env.insert(container::INSTANCE.to_owned(), self.number.to_string());
        let LaunchSpec { program, args, dir, log, .. } = &self.spec;
        let command = ServiceCommand { program, args, dir, env: &env, log };
        match &self.spec.style {
            LaunchStrategy::Plain => {
                // Somebody else's program on this port would answer the probes in its place.
                drop(bind(self.spec.listen)?);
                Ok((command.spawn()?, None))
            }
            LaunchStrategy::Worker => Ok((command.spawn()?, None)),
            LaunchStrategy::Handover => {
                let socket = match &self.socket {
                    Some(socket) => Arc::clone(socket),
                    None => Arc::new(bind(self.spec.listen)?),
                };
                let (child, admin) = command.spawn_with_sockets(exec, &socket)?;
                self.socket = Some(socket);
                Ok((child, Some(Via::Address(admin))))
            }
            LaunchStrategy::Relay => {
                if self.relay.is_none() {
                    drop(bind(self.spec.listen)?);
                }
                let own = ports::free(Ipv4Addr::LOCALHOST.into()).and_then(|port| port.local_addr())?;
                let args: Vec<String> = args.iter().map(|text| fill(text, own.port())).collect();
                let env = env.iter().map(|(name, value)| (name.clone(), fill(value, own.port()))).collect();
                let command = ServiceCommand { args: &args, env: &env, ..command };
                Ok((command.spawn()?, Some(Via::Address(own))))
            }
            LaunchStrategy::Container { place, .. } => {
                let shim = self.spec.shim(place.clone()).to_json().to_string();
                let (child, socket) = command.spawn_shim(exec, &shim)?;
                Ok((child, Some(Via::Socket(socket))))
            }
        }
    }
}

impl Instance {
    /// What a command that is asked in its place has in its environment; nothing where none is.
    pub(super) fn filled(&self, port: u16) -> BTreeMap<String, String> {
        let LaunchSpec { env, ready, live, .. } = &self.spec;
        let asks = [ready, live].iter().any(|probe| matches!(probe, Probe::Command(_)));
        env.iter().filter(|_| asks).map(|(name, value)| (name.clone(), fill(value, port))).collect()
    }
}

/// A text with the port of a program behind a relay.
fn fill(text: &str, port: u16) -> String {
    text.replace(PORT, &port.to_string())
}

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| match os::port_holder(address) {
        Some(holder) if error.kind() == ErrorKind::AddrInUse => anyhow!("port {} is held by {holder}", address.port()),
        _ => anyhow!(error).context(format!("cannot listen on {address}")),
    })
}
