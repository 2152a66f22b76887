//! Who keeps a port of this machine from a service: another deployment, a container, any other program.

use super::Supervised;
use super::runtime::{Held, Publisher};
use anyhow::Result;
use base::proc::SUPERVISE;
use base::{os, ports};
use model::name::ServiceName;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What this deployment itself holds.
pub(super) struct Ours<'a> {
    core: &'a Supervised,
    held: Held,
    serving: BTreeSet<SocketAddr>,
    state_dir: PathBuf,
    /// The processes of the deployment, found once a port is taken.
    processes: OnceCell<BTreeSet<u32>>,
}

impl<'a> Ours<'a> {
    pub(super) fn now(core: &'a Supervised) -> Result<Self> {
        let state_dir = core.home().dir().to_owned();
        let held = core.runtime.held(core)?;
        let mut serving: BTreeSet<SocketAddr> = held.serving.values().copied().collect();
        // Processes that a killed supervisor left; they are ended before anything starts.
        serving.extend(supervisor::orphans(&state_dir).iter().map(|orphan| orphan.listen));
        Ok(Self { core, held, serving, state_dir, processes: OnceCell::new() })
    }

    pub(super) fn serves(&self, service: &ServiceName, address: SocketAddr) -> bool {
        self.held.serving.get(service) == Some(&address)
    }

    /// The checkout that this deployment is in.
    pub(super) fn root(&self) -> &Path {
        &self.core.deployment.root
    }

    /// Whether a process is the deployment's: it may hold the port of a service that a killed run was just starting.
    fn has(&self, pid: u32) -> bool {
        self.processes.get_or_init(|| supervisor::processes(&self.state_dir)).contains(&pid)
    }

    /// Whether one of our services listens there. One that moves to another port gives this one up by being replaced.
    fn listens(&self, address: SocketAddr) -> bool {
        self.serving.iter().any(|serving| supervisor::overlap(*serving, address))
    }

    /// Who keeps this address from being listened on, if anyone but ourselves does.
    pub(super) fn conflict(&self, address: SocketAddr, of_datagrams: bool) -> Option<Holder> {
        let refusal = if of_datagrams { ports::refusal_of_datagrams } else { ports::refusal };
        match refusal(address)?.kind() {
            ErrorKind::PermissionDenied => Some(Holder::Privileged),
            _ if of_datagrams => self.taker_of_datagrams(address),
            _ => self.other(address),
        }
    }

    /// Who takes datagrams there is not asked: nobody answers for that.
    fn taker_of_datagrams(&self, address: SocketAddr) -> Option<Holder> {
        (!self.listens(address)).then(|| Holder::Other("another program".to_owned()))
    }

    /// Who keeps a port from being ours alone, also where only `localhost` is concerned.
    pub(super) fn conflict_nearby(&self, address: SocketAddr, of_datagrams: bool) -> Option<Holder> {
        if of_datagrams {
            return self.conflict(address, true);
        }
        let in_use = |at: &SocketAddr| ports::refusal(*at).is_some_and(|error| error.kind() == ErrorKind::AddrInUse);
        let nearby = || ports::entries(address).skip(1).filter(in_use).find_map(|at| self.other(at));
        self.conflict(address, false).or_else(nearby)
    }

    /// The same, found out without binding anything, as far as it can be. What takes datagrams starts unseen.
    pub(super) fn seen_nearby(&self, address: SocketAddr, of_datagrams: bool) -> Option<Holder> {
        if of_datagrams {
            return self.conflict(address, true);
        }
        self.strangers(address).find_map(|at| self.other(at))
    }

    /// Whether anybody else is seen to listen there, whoever that is.
    pub(super) fn is_seen_nearby(&self, address: SocketAddr, of_datagrams: bool) -> bool {
        if of_datagrams { self.conflict(address, true).is_some() } else { self.strangers(address).next().is_some() }
    }

    fn strangers(&self, address: SocketAddr) -> impl Iterator<Item = SocketAddr> {
        ports::entries(address).filter(|at| !self.listens(*at) && ports::answers(*at))
    }

    /// Who has an address that is taken, unless we do.
    fn other(&self, address: SocketAddr) -> Option<Holder> {
        if self.listens(address) {
            return None;
        }
        let holder = os::port_holder(address);
        if holder.as_ref().and_then(|holder| holder.pid).is_some_and(|pid| self.has(pid)) {
            return None;
        }
        match (self.core.runtime.publisher(self.core, address, holder.as_ref()), holder) {
            (Some(Publisher::Ours), _) => None,
            (Some(Publisher::Other(name)), _) => Some(Holder::Other(name)),
            (None, Some(holder)) => Some(Holder::of(&holder)),
            (None, None) => Some(Holder::Other("a process that this user may not see".to_owned())),
        }
    }
}

/// Who has a port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Another deployment on this machine, by where it keeps its state.
    Deployment { root: PathBuf, environment: String },
    /// Nobody, and yet it is not for everybody.
    Privileged,
    /// Anybody else, in words.
    Other(String),
}

impl Holder {
    /// A deployment holds its ports by its supervisor, whose command line names the folder `ROOT/.slipway/ENV`.
    fn of(process: &os::Holder) -> Self {
        let state_dir = process.command.as_deref().and_then(|command| command.split_once(&format!(" {SUPERVISE} ")));
        match state_dir.and_then(|(_, dir)| deployment_at(dir)) {
            Some((root, environment)) => Self::Deployment { root, environment },
            None => Self::Other(process.to_string()),
        }
    }

    /// What gives the port back, seen from the checkout `here`.
    pub(super) fn teardown(&self, here: &Path) -> Option<String> {
        match self {
            Self::Deployment { root, environment } if root == here => {
                Some(format!("tear it down: `cargo xtask teardown --env {environment}`"))
            }
            Self::Deployment { root, environment } => {
                let root = root.display();
                Some(format!("tear it down: `cargo xtask teardown --env {environment}` in `{root}`"))
            }
            Self::Privileged | Self::Other(_) => None,
        }
    }
}

/// The checkout and the environment of a folder `ROOT/.slipway/ENV`.
fn deployment_at(dir: &str) -> Option<(PathBuf, String)> {
    let (root, environment) = dir.trim_end().rsplit_once("/.slipway/")?;
    Some((PathBuf::from(root), environment.to_owned()))
}

/// The deployment that keeps its state in a folder, for people.
pub(crate) fn deployment_in(dir: &str) -> String {
    match deployment_at(dir) {
        Some((root, environment)) => format!("the deployment `{environment}` of `{}`", root.display()),
        None => format!("the deployment whose state is in `{dir}`"),
    }
}

/// "held by `nc -l 80` (process 7 of alice)"
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment { root, environment } => {
                write!(f, "held by the deployment `{environment}` of `{}`", root.display())
            }
            Self::Privileged => f.write_str("for root alone"),
            Self::Other(words) => write!(f, "held by {words}"),
        }
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
        assert_eq!(other.to_string(), "held by the deployment `local` of `/a/shop`");
        let elsewhere = "tear it down: `cargo xtask teardown --env local` in `/a/shop`";
        assert_eq!(other.teardown(Path::new("/b")).as_deref(), Some(elsewhere));
        let here = "tear it down: `cargo xtask teardown --env local`";
        assert_eq!(other.teardown(Path::new("/a/shop")).as_deref(), Some(here));
        let stranger = held("nc -l 80");
        assert_eq!(stranger.to_string(), "held by `nc -l 80` (process 7 of alice)");
        assert_eq!(stranger.teardown(Path::new("/b")), None);
        assert_eq!(deployment_in("/a/shop/.slipway/local"), "the deployment `local` of `/a/shop`");
    }
}
