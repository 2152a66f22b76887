//! Before anything starts: is every port that a service will take free, or ours already?

use super::Supervised;
use super::addresses::{self, Addresses};
use super::runtime::Held;
use crate::error::Fault;
use crate::os;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::spec::environment::Ports;
use crate::spec::name::ServiceName;
use crate::supervisor;
use crate::ui::counted;
use anyhow::Result;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

pub(super) struct PortsWork {
    pub(super) core: Arc<Supervised>,
    /// Those that will be started and take a port of this machine.
    pub(super) services: Vec<ServiceName>,
}

impl Work for PortsWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let addresses = self.core.addresses()?;
        let ours = Ours::now(&self.core)?;
        let held = |service: &ServiceName| addresses.get(service).is_some_and(|address| ours.serves(service, *address));
        Ok(self.services.iter().all(held).then(|| "the running services hold them".to_owned()))
    }

    fn act(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let ours = Ours::now(&self.core)?;
        let mut addresses = self.core.addresses()?;
        let deployment = &self.core.deployment;
        if deployment.environment.ports == Ports::Free {
            let services = self.services.iter().filter_map(|name| deployment.find_service(name));
            let taken =
                |service: &ServiceName, address| !ours.serves(service, address) && conflict(address, &ours).is_some();
            addresses::choose(&deployment.environment, services, &mut addresses, &taken, &self.core.home().ports())?;
        }
        self.refuse_conflicts(&addresses, &ours)?;
        self.core.settle(addresses);
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
        let deployment = &self.core.deployment;
        Err(Fault::failed("port-in-use", conflicts.join("\n"))
            .hint(format!(
                "stop it, or let the system choose: `{}`",
                deployment.environment.command("deploy --set ports=free")
            ))
            .into())
    }
}

/// What this deployment itself holds.
struct Ours(Held);

impl Ours {
    fn now(core: &Supervised) -> Result<Self> {
        let mut held = core.runtime.held(core)?;
        // Processes that a killed supervisor left; they are ended before anything starts.
        held.pids.extend(supervisor::orphans(core.home().dir()).iter().map(|orphan| orphan.process.pid));
        Ok(Self(held))
    }

    fn serves(&self, service: &ServiceName, address: SocketAddr) -> bool {
        self.0.serving.iter().any(|(name, listen)| name == service && *listen == address)
    }
}

/// Who keeps this address from being bound, if anyone but ourselves does.
fn conflict(address: SocketAddr, ours: &Ours) -> Option<String> {
    let error = TcpListener::bind(address).err()?;
    match os::port_holder(address.port()) {
        Some(holder) if holder.pid.is_some_and(|pid| ours.0.pids.contains(&pid)) => None,
        // One of our own services that moves to another port gives this one up by being replaced.
        _ if ours.0.serving.iter().any(|(_, listen)| *listen == address) => None,
        Some(holder) => Some(holder.to_string()),
        None => Some(format!("something this user may not see ({error})")),
    }
}
