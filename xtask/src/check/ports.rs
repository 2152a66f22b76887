//! The ports that services will take on this machine: free, or ours already.

use super::fix::Fix;
use super::state::SUPERVISOR;
use super::{Check, Finding, Group, Scene};
use crate::os;
use crate::spec::environment::Ports;
use crate::spec::system::{HostProgram, Presence, Service, Source, TargetKind};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Loopback accepts or refuses at once.
const CONNECT_WITHIN: Duration = Duration::from_millis(300);

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let (Some(spec), Some(environment)) = (&scene.subject.spec, &scene.subject.environment) else {
        return Vec::new();
    };
    if !matches!(environment.target, TargetKind::Host | TargetKind::Containers) {
        return Vec::new();
    }
    let services = spec.systems.iter().flat_map(|system| &system.services);
    let here = services.filter(|service| service.targets.contains(&environment.target));
    here.map(|service| {
        let id = format!("port.{}", service.name);
        let title = format!("port {} of {}", service.host_port, service.name);
        let idle = match environment.ports {
            Ports::Free => Some("ports are chosen by the deploy".to_owned()),
            Ports::Declared => idle(scene, service, environment.target),
        };
        if let Some(reason) = idle {
            return Check::known(Group::Machine, id, title, Finding::skip(reason));
        }
        let ip = if service.public { environment.bind } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let address = SocketAddr::new(ip, service.host_port);
        let environment = environment.name.to_string();
        Check::new(Group::Machine, id, title, move |scene| judge(scene, address, &environment)).after(SUPERVISOR)
    })
    .collect()
}

/// Why a service will not listen here, if so.
fn idle(scene: &Scene, service: &Service, target: TargetKind) -> Option<String> {
    if service.presence == Presence::WhenReplicated {
        return Some("only runs beside more than one replica".to_owned());
    }
    match &service.source {
        Source::Image { host: Some(HostProgram { programs, python: None, .. }), .. } if target == TargetKind::Host => {
            let names: Vec<_> = programs.iter().map(|program| format!("`{program}`")).collect();
            let missing = programs.iter().all(|program| scene.find(program).is_none());
            missing.then(|| format!("does not run without {}", names.join(" or ")))
        }
        _ => None,
    }
}

fn judge(scene: &Scene, address: SocketAddr, environment: &str) -> Finding {
    let want = "free";
    if scene.own_ports().contains(&address.port()) {
        return Finding::pass("held by this deployment").want(want);
    }
    let Some(holder) = holder(address) else {
        return Finding::pass("free").want(want);
    };
    let other = format!("cargo xtask deploy{} --set ports=free", super::render::env_flag(environment));
    let detail = "stop it, or let the deploy choose other ports";
    Finding::fail(detail).found(format!("held by {holder}")).want(want).fix([Fix::by_hand(other)])
}

/// Who keeps an address from being bound. It is not bound to find out: a service that is just starting must never find
/// its port taken by us.
fn holder(address: SocketAddr) -> Option<String> {
    let everywhere = address.ip().is_unspecified();
    let ip = if everywhere { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    let answers = answers(SocketAddr::new(ip, address.port()));
    // Listeners of one interface keep others only from taking all of them. To ask for those costs more.
    if !answers && !everywhere {
        return None;
    }
    let holder = os::port_holder(address.port()).map(|holder| holder.to_string());
    // Other users' listeners are not always shown.
    holder.or_else(|| answers.then(|| "something this user may not see".to_owned()))
}

/// Whether anybody listens. A listener that is too busy to accept does.
fn answers(address: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::TimedOut,
    }
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
            assert!(holder(address).is_some_and(|holder| holder.contains(&own)));
        }
        drop(listener);
        assert_eq!((holder(address), holder(everywhere)), (None, None));
    }
}
