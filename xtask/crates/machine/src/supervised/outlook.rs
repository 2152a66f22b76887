//! Where services will listen as long as nothing has been started: what the choice of ports goes by, and what it is
//! likely to come to.

use super::addresses::{self, Addresses, Kept};
use super::holder::{Holder, Ours};
use super::preference::{self, Wish};
use super::{Supervised, facts};
use anyhow::Result;
use base::ports;
use model::environment::Ports;
use model::name::ServiceName;
use model::system::Service;
use std::collections::BTreeMap;
use std::net::SocketAddr;

impl Supervised {
    /// All services that take a port or have one, those `first` that are to be served first.
    ///
    /// # Errors
    /// When the supervisor does not answer.
    pub(super) fn wishes(&self, first: &dyn Fn(&ServiceName) -> bool, kept: &Kept) -> Result<Vec<Wish>> {
        let held = self.runtime.held(self)?.serving;
        let mut services: BTreeMap<ServiceName, (Service, bool)> = BTreeMap::new();
        for (system, service) in self.past.all() {
            let ends = self.deployment.declares(system, &service.name) == Some(false);
            services.extend(addresses::each_port(service).into_iter().map(|one| (one.name.clone(), (one, ends))));
        }
        // Of two with one name it is the declared one that counts.
        for service in self.deployment.spec.systems.iter().flat_map(|system| &system.services) {
            let ends = !service.targets.contains(&self.deployment.environment.target);
            services.extend(addresses::each_port(service).into_iter().map(|one| (one.name.clone(), (one, ends))));
        }
        let counts = |service: &Service, ends: bool| {
            let has_port = held.contains_key(&service.name);
            self.runtime.takes_port(service)
                && (has_port || !ends && (service.host_port.is_some() || first(&service.name)))
        };
        let services = services.into_values().filter(|(service, ends)| counts(service, *ends));
        let wish = |(service, ends): (Service, bool)| self.wish(&service, ends, held.get(&service.name).copied(), kept);
        let mut wishes: Vec<Wish> = services.map(wish).collect();
        wishes.sort_by_key(|wish| !first(&wish.service));
        Ok(wishes)
    }

    fn wish(&self, service: &Service, ends: bool, serving: Option<SocketAddr>, kept: &Kept) -> Wish {
        // What cannot be read is no reason to move.
        let before = || facts::kept(self.home(), &service.name.owner()).ok().flatten().map(|(_, before)| before);
        let before = || before().iter().flat_map(addresses::each_port).find(|one| one.name == service.name)?.host_port;
        let is_other = |before: u16| Some(before) != service.host_port;
        Wish {
            service: service.name.clone(),
            ip: addresses::ip(&self.deployment.environment, service),
            declared: service.host_port.unwrap_or_default(),
            of_datagrams: model::port::is_of_datagrams(service),
            recorded: kept.port(&service.name),
            redeclared: serving.is_some() && before().is_some_and(is_other),
            serving,
            ends,
        }
    }

    /// What a deploy would choose where declared ports are preferred, found out without binding any.
    pub(super) fn forecast(&self, kept: &Kept) -> Result<Addresses> {
        let ours = Ours::now(self)?;
        let wishes = self.wishes(&|service| self.is_in_scope(service), kept)?;
        Ok(preference::prefer(&wishes, &|wish, address| ours.is_seen_nearby(address, wish.of_datagrams)))
    }

    fn is_in_scope(&self, service: &ServiceName) -> bool {
        let owner = service.owner();
        self.deployment.systems().any(|system| system.services.iter().any(|known| known.name == owner))
    }

    /// Adds where the further ports are of those that are served: where they were put last.
    ///
    /// # Errors
    /// When what was kept of them cannot be read.
    pub(crate) fn add_further(&self, serving: &mut Addresses) -> Result<()> {
        let kept = Kept::read(&self.home().ports())?;
        for name in serving.keys().cloned().collect::<Vec<_>>() {
            let Some((_, service)) = facts::kept(self.home(), &name)? else { continue };
            let further = addresses::each_port(&service).into_iter().filter(|one| one.name != name);
            let further: Vec<Service> = further.filter(|one| self.runtime.takes_port(one)).collect();
            serving.extend(addresses::known(&self.deployment.environment, further.iter(), &kept));
        }
        Ok(())
    }

    /// What keeps a service from its declared port: "port 80 is held by …". `None` where it has it, or any will do.
    pub fn displacement(&self, service: &Service) -> Option<String> {
        if self.deployment.environment.ports != Ports::Prefer {
            return None;
        }
        let all = self.addresses().ok()?;
        let address = *all.get(&service.name)?;
        let wanted = SocketAddr::new(address.ip(), service.host_port?);
        // Why one that runs is where it is was found out when it started.
        let runs = || self.supervised_of(std::slice::from_ref(&service.name)).is_ok_and(|status| !status.is_empty());
        if address == wanted || runs() {
            return None;
        }
        let why = Ours::now(self).ok()?.displaced(service, wanted, &all, &Ours::seen_nearby)?;
        Some(format!("port {} is {why}", wanted.port()))
    }

    /// "it gets port 81, since port 80 is held by …"
    pub(super) fn told_place(&self, service: &ServiceName, why: &str) -> String {
        let all = self.addresses().ok();
        let port = all.and_then(|all| all.get(service).map(SocketAddr::port));
        format!("it gets {}, since {why}", port.map_or("another port".to_owned(), |port| format!("port {port}")))
    }

    /// Why a service that runs is open on another port than the declared one.
    pub(super) fn port_note(&self, service: &Service, opened: SocketAddr) -> Option<String> {
        let declared = service.host_port.filter(|declared| opened.port() != *declared)?;
        let kept = || Kept::read(&self.home().ports()).unwrap_or_default();
        Some(match self.deployment.environment.ports {
            Ports::Free => "any free port is taken (`ports = \"free\"`)".to_owned(),
            Ports::Declared => format!("the next deploy moves it to port {declared}"),
            Ports::Prefer => match kept().why(&service.name) {
                Some(why) => format!("port {declared} was {why} when it started"),
                None => format!("it keeps the port that it has; {declared} is declared"),
            },
        })
    }
}

/// Who else is come to by `localhost` and the port that a service is open on.
pub(super) fn stranger(opened: SocketAddr) -> Option<SocketAddr> {
    let reachable = addresses::reachable(opened);
    let is_other = |at: &SocketAddr| !supervisor::overlap(opened, *at) && ports::answers(*at);
    reachable.ip().is_loopback().then(|| ports::entries(reachable).skip(1).find(is_other)).flatten()
}

impl Ours<'_> {
    /// Who has the port that a service declares: "that of `web`", "held by …".
    pub(super) fn displaced(
        &self,
        service: &Service,
        wanted: SocketAddr,
        chosen: &Addresses,
        holder: &dyn Fn(&Self, SocketAddr, bool) -> Option<Holder>,
    ) -> Option<String> {
        let other = chosen.iter().find(|(name, at)| at.port() == wanted.port() && **name != service.name);
        match other {
            Some((other, _)) => Some(format!("that of `{other}`")),
            None => holder(self, wanted, model::port::is_of_datagrams(service)).map(|holder| holder.to_string()),
        }
    }
}
