//! Before anything starts: is every port that a service will take free, or ours already?

use super::Supervised;
use super::addresses::{self, Addresses};
use super::runtime::{Held, Publisher};
use base::error::Fault;
use base::os;
use base::proc::SUPERVISE;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use model::environment::Ports;
use model::name::ServiceName;

use anyhow::Result;
use base::text::counted;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) struct PortsWork {
    pub(super) core: Arc<Supervised>,
    /// Those that will be started and take a port of this machine.
    pub(super) services: Vec<ServiceName>,
}

impl Work for PortsWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let addresses = self.core.addresses_now()?;
        let ours = Ours::now(&self.core)?;
        let held = |service: &ServiceName| addresses.get(service).is_some_and(|address| ours.serves(service, *address));
        Ok(self.services.iter().all(held).then(|| "the running services hold them".to_owned()))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let ours = Ours::now(&self.core)?;
        let mut addresses = (*self.core.addresses()?).clone();
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
    fn refuse_conflicts(&self, addresses: &Addresses, ours: &Ours<'_>) -> Result<()> {
        let mut conflicts = Vec::new();
        let mut others = BTreeSet::new();
        for service in &self.services {
            let Some(address) = addresses.get(service) else { continue };
            if ours.serves(service, *address) {
                continue;
            }
            if let Some(holder) = conflict(*address, ours) {
                conflicts.push(format!("port {} of `{service}` is held by {holder}", address.port()));
                others.extend(holder.teardown(&self.core.deployment.root));
            }
        }
        if conflicts.is_empty() {
            return Ok(());
        }
        let deployment = &self.core.deployment;
        let free = if others.is_empty() { "stop it".to_owned() } else { Vec::from_iter(others).join("; ") };
        Err(Fault::failed("port-in-use", conflicts.join("\n"))
            .hint(format!(
                "{free}, or let the system choose: `{}`; to keep it, `ports = \"free\"` in \
                 `deploy/environments/{}.local.toml`",
                deployment.command("deploy", &["--set ports=free"]),
                deployment.environment.name
            ))
            .into())
    }
}

/// What this deployment itself holds.
struct Ours<'a> {
    core: &'a Supervised,
    held: Held,
    serving: BTreeSet<SocketAddr>,
    state_dir: PathBuf,
    /// The processes of the deployment, found once a port is taken.
    processes: OnceCell<BTreeSet<u32>>,
}

impl<'a> Ours<'a> {
    fn now(core: &'a Supervised) -> Result<Self> {
        let state_dir = core.home().dir().to_owned();
        let held = core.runtime.held(core)?;
        let mut serving: BTreeSet<SocketAddr> = held.serving.values().copied().collect();
        // Processes that a killed supervisor left; they are ended before anything starts.
        serving.extend(supervisor::orphans(&state_dir).iter().map(|orphan| orphan.listen));
        Ok(Self { core, held, serving, state_dir, processes: OnceCell::new() })
    }

    fn serves(&self, service: &ServiceName, address: SocketAddr) -> bool {
        self.held.serving.get(service) == Some(&address)
    }

    /// Whether a process is the deployment's: it may hold the port of a service that a killed run was just starting.
    fn has(&self, pid: u32) -> bool {
        self.processes.get_or_init(|| supervisor::processes(&self.state_dir)).contains(&pid)
    }
}

/// Who holds a port.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    /// Another deployment on this machine, by where it keeps its state.
    Deployment { root: PathBuf, environment: String },
    /// Anybody else, in words.
    Other(String),
}

impl Holder {
    /// A deployment holds its ports by its supervisor, whose command line names the folder `ROOT/.slipway/ENV`.
    fn of(process: &os::Holder) -> Self {
        let state_dir = process.command.as_deref().and_then(|command| command.split_once(&format!(" {SUPERVISE} ")));
        let deployment = state_dir.and_then(|(_, dir)| {
            let (root, environment) = dir.trim_end().rsplit_once("/.slipway/")?;
            Some(Self::Deployment { root: PathBuf::from(root), environment: environment.to_owned() })
        });
        deployment.unwrap_or_else(|| Self::Other(process.to_string()))
    }

    /// What gives the port back, seen from the checkout `here`.
    fn teardown(&self, here: &Path) -> Option<String> {
        match self {
            Self::Deployment { root, environment } if root == here => {
                Some(format!("tear it down: `cargo xtask teardown --env {environment}`"))
            }
            Self::Deployment { root, environment } => {
                let root = root.display();
                Some(format!("tear it down: `cargo xtask teardown --env {environment}` in `{root}`"))
            }
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment { root, environment } => {
                write!(f, "the deployment `{environment}` of `{}`", root.display())
            }
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// Who keeps this address from being bound, if anyone but ourselves does.
fn conflict(address: SocketAddr, ours: &Ours<'_>) -> Option<Holder> {
    let error = TcpListener::bind(address).err()?;
    // One of our own services that moves to another port gives this one up by being replaced.
    if ours.serving.contains(&address) {
        return None;
    }
    let holder = os::port_holder(address.port());
    if holder.as_ref().and_then(|holder| holder.pid).is_some_and(|pid| ours.has(pid)) {
        return None;
    }
    match ours.core.runtime.publisher(ours.core, address) {
        Some(Publisher::Ours) => None,
        Some(Publisher::Other(name)) => Some(Holder::Other(name)),
        None => Some(holder.map_or_else(
            || Holder::Other(format!("a process that this user may not see ({error})")),
            |holder| Holder::of(&holder),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_deployment_is_told_by_its_name_and_what_ends_it() {
        let held = |command: &str| {
            Holder::of(&os::Holder { pid: Some(7), command: Some(command.to_owned()), user: Some("alice".to_owned()) })
        };
        let other = held("/a/shop/.slipway/local/bin/xtask __supervise /a/shop/.slipway/local");
        assert_eq!(other.to_string(), "the deployment `local` of `/a/shop`");
        let elsewhere = "tear it down: `cargo xtask teardown --env local` in `/a/shop`";
        assert_eq!(other.teardown(Path::new("/b")).as_deref(), Some(elsewhere));
        let here = "tear it down: `cargo xtask teardown --env local`";
        assert_eq!(other.teardown(Path::new("/a/shop")).as_deref(), Some(here));
        let stranger = held("nc -l 80");
        assert_eq!(stranger.to_string(), "`nc -l 80` (process 7 of alice)");
        assert_eq!(stranger.teardown(Path::new("/b")), None);
    }
}
