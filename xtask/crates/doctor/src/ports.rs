//! The ports that services will take on this machine: free, or ours already.

use super::fix::Fix;
use super::state::SUPERVISOR;
use super::{Check, Finding, Group, Scene};
use base::http;
use base::http::Request;
use base::os;
use base::ports;
use model::environment::{Environment, Ports};
use model::port;
use model::system::{HostProgram, Presence, Service, Source, TargetKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How long somebody on this machine may take to answer.
const WITHIN: Duration = Duration::from_millis(300);

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let (Some(spec), Some(environment)) = (&scene.subject.spec, &scene.subject.environment) else {
        return Vec::new();
    };
    if !matches!(environment.target, TargetKind::Host | TargetKind::Containers) {
        return Vec::new();
    }
    let services = spec.systems.iter().flat_map(|system| &system.services);
    let here = services.filter(|service| service.targets.contains(&environment.target));
    // Of containers only those that are public take a port of this machine.
    let taken = |one: &Service| one.holds_public_name() || environment.target == TargetKind::Host;
    let here = here.flat_map(port::each).filter(taken);
    here.filter_map(|service| Some(check(scene, &service, service.host_port?, environment))).collect()
}

fn check(scene: &Scene, service: &Service, host_port: u16, environment: &Environment) -> Check {
    let id = format!("port.{}", service.name);
    let title = format!("port {host_port} of {}", service.name);
    let idle = match environment.ports {
        Ports::Free => Some("ports are chosen by the deploy".to_owned()),
        Ports::Prefer | Ports::Declared => idle(scene, service, environment.target),
    };
    if let Some(reason) = idle {
        return Check::known(Group::Machine, id, title, Finding::skip(reason));
    }
    let ip = if service.public { environment.bind } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let address = SocketAddr::new(ip, host_port);
    let stand_in = match &service.source {
        Source::Image { host: Some(host), .. } | Source::Dockerfile { host: Some(host), .. } => host.running.clone(),
        _ => None,
    };
    let flag = super::render::env_flag(environment.name.as_str());
    let other_ports = Fix::by_hand(format!("cargo xtask deploy{flag} --set ports=prefer"));
    let wish = Wish {
        address,
        of_datagrams: port::is_of_datagrams(service),
        is_public: service.public,
        is_preferred: environment.ports == Ports::Prefer,
        stand_in,
        other_ports,
    };
    let ask = move |scene: &Scene| judge(scene, &wish);
    Check::new(Group::Machine, id, title, ask).after(SUPERVISOR)
}

/// Why a service will not listen here, if so.
fn idle(scene: &Scene, service: &Service, target: TargetKind) -> Option<String> {
    if service.presence == Presence::WhenReplicated {
        return Some("only runs beside more than one replica".to_owned());
    }
    if let Some(run) = service.run.as_ref().filter(|_| target == TargetKind::Host) {
        let missing = !run.program.contains('/') && scene.find(&run.program).is_none();
        return missing.then(|| format!("does not run without `{}`", run.program));
    }
    match &service.source {
        Source::Image { host, .. } | Source::Dockerfile { host, .. } if target == TargetKind::Host => match host {
            None => Some("an image, which only runs in containers".to_owned()),
            Some(HostProgram { programs, python: None, .. }) => {
                let names: Vec<_> = programs.iter().map(|program| format!("`{program}`")).collect();
                let missing = programs.iter().all(|program| scene.find(program).is_none());
                missing.then(|| format!("does not run without {}", names.join(" or ")))
            }
            Some(_) => None,
        },
        _ => None,
    }
}

/// What a service wants of a port.
struct Wish {
    address: SocketAddr,
    of_datagrams: bool,
    is_public: bool,
    /// Another port will do.
    is_preferred: bool,
    /// The URL under which an equivalent service may run already, which is then used as it is.
    stand_in: Option<String>,
    other_ports: Fix,
}

fn judge(scene: &Scene, wish: &Wish) -> Finding {
    let (want, address) = ("free", wish.address);
    if !ports::has_address(address.ip()) {
        let fix = Fix::by_hand("set `bind` to an address of this machine, such as 127.0.0.1");
        let detail = "nothing can listen on the address that `bind` names";
        return Finding::fail(detail).found(format!("no address `{}`", address.ip())).want(want).fix([fix]);
    }
    if scene.own_ports().contains(&address.port()) {
        return Finding::pass("held by this deployment").want(want);
    }
    if wish.of_datagrams {
        return judge_datagrams(wish).want(want);
    }
    let holder = match holder(address) {
        None => return judge_nearby(wish).want(want),
        Some((Some(pid), _)) if scene.is_own_process(pid) => {
            return Finding::pass("held by this deployment").want(want);
        }
        Some((_, holder)) => holder,
    };
    let found = format!("held by {holder}");
    if wish.stand_in.as_deref().is_some_and(serves) {
        return Finding::pass(format!("{found}, which works as well")).want(want);
    }
    taken(wish, found).want(want)
}

/// Somebody else has it.
fn taken(wish: &Wish, found: String) -> Finding {
    if wish.is_preferred {
        return elsewhere(wish, found);
    }
    Finding::fail("stop it, or let the deploy choose other ports").found(found).fix([wish.other_ports.clone()])
}

/// Nobody answers for taking datagrams, so that this can be told only by trying, for an instant.
fn judge_datagrams(wish: &Wish) -> Finding {
    match ports::refusal_of_datagrams(wish.address) {
        None => Finding::pass("free"),
        Some(error) => taken(wish, format!("cannot be had for datagrams: {error}")),
    }
}

/// What a service that people come to gets instead is worth a word.
fn elsewhere(wish: &Wish, found: String) -> Finding {
    let detail = "the deploy takes another port and says which";
    let finding = if wish.is_public { Finding::warn(detail) } else { Finding::pass("").detail(detail) };
    finding.found(found)
}

/// A free port may still be somebody else's where people come to it by `localhost`.
fn judge_nearby(wish: &Wish) -> Finding {
    let Some(at) = ports::entries(wish.address).skip(1).find(|at| wish.is_public && ports::answers(*at)) else {
        return Finding::pass("free");
    };
    let holder = os::port_holder(at).map_or("somebody else".to_owned(), |holder| holder.to_string());
    let found = format!("`{at}` is held by {holder}");
    if wish.is_preferred {
        return elsewhere(wish, found);
    }
    Finding::warn(format!("`localhost:{}` may lead there", at.port())).found(found).fix([wish.other_ports.clone()])
}

fn serves(url: &str) -> bool {
    let Ok(url) = url.parse() else { return false };
    let answer = http::send(&Request::get(url, WITHIN), &|| false);
    answer.is_ok_and(|answer| answer.status == 200)
}

/// Who keeps an address from being bound, and its process as far as that is known. It is not bound to find out: a service that is just starting must never find
/// its port taken by us.
fn holder(address: SocketAddr) -> Option<(Option<u32>, String)> {
    let everywhere = address.ip().is_unspecified();
    let ip = if everywhere { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    let answers = ports::answers(SocketAddr::new(ip, address.port()));
    // Listeners of one interface keep others only from taking all of them. To ask for those costs more.
    if !answers && !everywhere {
        return None;
    }
    let holder = os::port_holder(address).map(|holder| (holder.pid, holder.to_string()));
    // Other users' listeners are not always shown.
    holder.or_else(|| answers.then(|| (None, "a process that this user may not see".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_is_held_as_long_as_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = format!("process {}", std::process::id());
        let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
        for address in [address, everywhere] {
            assert!(holder(address).is_some_and(|(_, holder)| holder.contains(&own)));
        }
        drop(listener);
        assert_eq!((holder(address), holder(everywhere)), (None, None));
    }
}
