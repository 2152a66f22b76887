//! Before anything starts: which port does every service get, and is it free, or ours already?

use super::Supervised;
use super::addresses::{self, Addresses, Kept};
use super::holder::Ours;
use super::preference;
use anyhow::Result;
use base::error::Fault;
use base::ports;
use base::text::counted;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use model::environment::Ports;
use model::name::SystemName;
use model::system::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

pub(super) struct PortsWork {
    pub(super) core: Arc<Supervised>,
    /// Those that will be started and take a port of this machine, by system.
    pub(super) services: BTreeMap<SystemName, Vec<Service>>,
}

impl Work for PortsWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let addresses = self.core.addresses_now()?;
        let ours = Ours::now(&self.core)?;
        let held = |service: &Service| {
            addresses.get(&service.name).is_some_and(|address| ours.serves(&service.name, *address))
        };
        Ok(self.all().all(held).then(|| "the running services hold them".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        self.check_bind()?;
        let ours = Ours::now(&self.core)?;
        let (free, all) = match self.core.deployment.environment.ports {
            Ports::Prefer => self.prefer(&ours, cx)?,
            Ports::Free => self.choose(&ours)?,
            Ports::Declared => self.check(&ours)?,
        };
        Ok(Outcome::DoneWith(match free == all {
            true => format!("{} free", counted(all, "port is", "ports are")),
            false => format!("{free} of {} free", counted(all, "declared port is", "declared ports are")),
        }))
    }
}

impl PortsWork {
    fn all(&self) -> impl Iterator<Item = &Service> {
        self.services.values().flatten()
    }

    /// Nothing can be started on an address that the machine does not have.
    fn check_bind(&self) -> Result<()> {
        let environment = &self.core.deployment.environment;
        if !self.all().any(|service| service.public) || ports::has_address(environment.bind) {
            return Ok(());
        }
        let cause = format!("this machine has no address `{}`, which `bind` names", environment.bind);
        let hint = format!("set `bind = \"127.0.0.1\"` in `deploy/environments/{}.local.toml`", environment.name);
        Err(Fault::failed("bind-unavailable", cause).hint(hint).into())
    }

    /// The declared ports as far as they are free, and others. How many got theirs, of how many.
    fn prefer(&self, ours: &Ours<'_>, cx: &StepCx<'_>) -> Result<(usize, usize)> {
        let (core, file) = (&self.core, self.core.home().ports());
        let mut kept = Kept::read(&file)?;
        let before = kept.clone();
        let wishes = core.wishes(&|name| self.all().any(|service| service.name == *name), &kept)?;
        let mut chosen =
            preference::prefer(&wishes, &|wish, address| ours.conflict_nearby(address, wish.of_datagrams).is_some());
        addresses::choose(&core.deployment.environment, self.all(), &mut chosen, &|_, _| false)?;
        let mut elsewhere = 0;
        for service in self.all() {
            let (wish, address) = (wishes.iter().find(|wish| wish.service == service.name), chosen[&service.name]);
            let stays = wish.is_some_and(|wish| wish.serving == Some(address) && !wish.redeclared);
            let declared = service.host_port.unwrap_or_default();
            elsewhere += usize::from(address.port() != declared);
            if stays {
                continue;
            }
            let wanted = SocketAddr::new(address.ip(), declared);
            let displaced = || ours.displaced(service, wanted, &chosen, &Ours::conflict_nearby);
            let why = if address == wanted { None } else { displaced() };
            if let Some(why) = &why {
                let (name, port) = (&service.name, address.port());
                cx.news(format!("`{name}` gets port {port}, since port {declared} is {why}"));
            }
            kept.keep(&service.name, address.port(), why);
        }
        if kept != before {
            kept.write(&file)?;
        }
        self.settle(chosen);
        Ok((self.all().count() - elsewhere, self.all().count()))
    }

    /// Any ports that are free.
    fn choose(&self, ours: &Ours<'_>) -> Result<(usize, usize)> {
        let (core, file) = (&self.core, self.core.home().ports());
        let mut addresses = (*core.addresses()?).clone();
        let taken = |service: &Service, address| {
            let of_datagrams = model::port::is_of_datagrams(service);
            !ours.serves(&service.name, address) && ours.conflict(address, of_datagrams).is_some()
        };
        addresses::choose(&core.deployment.environment, self.all(), &mut addresses, &taken)?;
        let mut kept = Kept::read(&file)?;
        let before = kept.clone();
        addresses.iter().for_each(|(service, address)| kept.keep(service, address.port(), None));
        if kept != before {
            kept.write(&file)?;
        }
        self.settle(addresses);
        Ok((self.all().count(), self.all().count()))
    }

    fn settle(&self, mut addresses: Addresses) {
        addresses.retain(|name, _| self.all().any(|service| service.name == *name));
        self.core.settle(addresses);
    }

    /// The declared ports. A system one of whose ports somebody else has is not started.
    fn check(&self, ours: &Ours<'_>) -> Result<(usize, usize)> {
        let addresses = self.core.addresses()?;
        let mut taken = 0;
        for (system, services) in &self.services {
            let conflicts: Vec<_> = services.iter().filter_map(|service| conflict(service, &addresses, ours)).collect();
            taken += conflicts.len();
            if !conflicts.is_empty() {
                self.core.note_conflict(system, self.fault(conflicts));
            }
        }
        Ok((self.all().count() - taken, self.all().count()))
    }

    fn fault(&self, conflicts: Vec<Conflict>) -> Fault {
        let deployment = &self.core.deployment;
        let (causes, others): (Vec<String>, Vec<Option<String>>) =
            conflicts.into_iter().map(|conflict| (conflict.cause, conflict.teardown)).unzip();
        let others: BTreeSet<String> = others.into_iter().flatten().collect();
        let free = if others.is_empty() { "stop it".to_owned() } else { Vec::from_iter(others).join("; ") };
        Fault::failed("port-in-use", causes.join("\n")).hint(format!(
            "{free}, or let the system choose: `{}`; to keep it, `ports = \"free\"` in \
             `deploy/environments/{}.local.toml`",
            deployment.command("deploy", &["--set ports=free"]),
            deployment.environment.name
        ))
    }
}

/// A port that somebody else has, and what gives it back.
struct Conflict {
    cause: String,
    teardown: Option<String>,
}

fn conflict(service: &Service, addresses: &Addresses, ours: &Ours<'_>) -> Option<Conflict> {
    let address = *addresses.get(&service.name)?;
    if ours.serves(&service.name, address) {
        return None;
    }
    let holder = ours.conflict(address, model::port::is_of_datagrams(service))?;
    let cause = format!("port {} of `{}` is {holder}", address.port(), service.name);
    Some(Conflict { cause, teardown: holder.teardown(ours.root()) })
}

impl Supervised {
    fn note_conflict(&self, system: &SystemName, fault: Fault) {
        self.conflicts.lock().unwrap_or_else(PoisonError::into_inner).insert(system.clone(), fault);
    }

    /// Why a system cannot be started: somebody else has one of its ports.
    pub(crate) fn conflict(&self, system: &SystemName) -> Option<Fault> {
        self.conflicts.lock().unwrap_or_else(PoisonError::into_inner).get(system).cloned()
    }
}

/// Fails a system whose ports somebody else has, before anything of it is touched; the others go on.
pub(super) struct SystemPortsWork {
    pub(super) core: Arc<Supervised>,
    pub(super) system: SystemName,
}

impl Work for SystemPortsWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.core.conflict(&self.system).is_none().then(|| "they are free or ours".to_owned()))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        self.core.conflict(&self.system).map_or(Ok(Outcome::Done), |fault| Err(fault.into()))
    }
}
