//! Before anything starts: is every port that a service will take free, or ours already?

use super::Host;
use super::addresses::{self, Addresses};
use crate::error::Fault;
use crate::os;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::spec::environment::Ports;
use crate::spec::name::ServiceName;
use crate::supervisor;
use crate::ui::counted;
use anyhow::Result;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

pub(super) struct PortsWork {
    pub(super) host: Arc<Host>,
    /// Those that will be started.
    pub(super) services: Vec<ServiceName>,
}

impl Work for PortsWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let addresses = self.host.addresses()?;
        let ours = Ours::now(&self.host)?;
        let held = |service: &ServiceName| addresses.get(service).is_some_and(|address| ours.serves(service, *address));
        Ok(self.services.iter().all(held).then(|| "the running services hold them".to_owned()))
    }

    fn act(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let ours = Ours::now(&self.host)?;
        let mut addresses = self.host.addresses()?;
        let deployment = &self.host.deployment;
        if deployment.environment.ports == Ports::Free {
            let services = self.services.iter().filter_map(|name| deployment.find_service(name));
            let taken =
                |service: &ServiceName, address| !ours.serves(service, address) && conflict(address, &ours).is_some();
            addresses::choose(&deployment.environment, services, &mut addresses, &taken, &self.host.home().ports())?;
        }
        self.refuse_conflicts(&addresses, &ours)?;
        self.host.settle(addresses);
        Ok(Outcome::DoneWith(format!("{} free", counted(self.services.len(), "port is", "ports are"))))
    }
}

impl PortsWork {
    fn refuse_conflicts(&self, addresses: &Addresses, ours: &Ours) -> Result<()> {
        let mut conflicts = Vec::new();
        for service in &self.services {
            let Some(address) = addresses.get(service) else { continue };
            if ours.serves(service, *address) {
                continue;
            }
            if let Some(holder) = conflict(*address, ours) {
                conflicts.push(format!("port {} of `{service}` is held by {holder}", address.port()));
            }
        }
        if conflicts.is_empty() {
            return Ok(());
        }
        let deployment = &self.host.deployment;
        Err(Fault::failed("port-in-use", conflicts.join("\n"))
            .hint(format!(
                "stop it, or let the system choose: `{}`",
                deployment.environment.command("deploy --set ports=free")
            ))
            .into())
    }
}

/// What this deployment itself holds.
struct Ours {
    serving: Vec<(ServiceName, SocketAddr)>,
    /// Processes that a killed supervisor left; they are ended before anything starts.
    pids: BTreeSet<u32>,
}

impl Ours {
    fn now(host: &Host) -> Result<Self> {
        let status = host.supervised()?;
        let current = status.iter().filter_map(|service| Some((service.service.clone(), service.current.as_ref()?)));
        let serving: Vec<_> = current.clone().map(|(name, instance)| (name, instance.listen)).collect();
        let mut pids: BTreeSet<u32> = current.filter_map(|(_, instance)| instance.pid).collect();
        pids.extend(supervisor::orphans(host.home().dir()).iter().map(|orphan| orphan.process.pid));
        Ok(Self { serving, pids })
    }

    fn serves(&self, service: &ServiceName, address: SocketAddr) -> bool {
        self.serving.iter().any(|(name, listen)| name == service && *listen == address)
    }
}

/// Who keeps this address from being bound, if anyone but ourselves does.
fn conflict(address: SocketAddr, ours: &Ours) -> Option<String> {
    let error = TcpListener::bind(address).err()?;
    match os::port_holder(address.port()) {
        Some(holder) if holder.pid.is_some_and(|pid| ours.pids.contains(&pid)) => None,
        // One of our own services that moves to another port gives this one up by being replaced.
        _ if ours.serving.iter().any(|(_, listen)| *listen == address) => None,
        Some(holder) => Some(holder.to_string()),
        None => Some(format!("something this user may not see ({error})")),
    }
}
