//! Services without a port, and with several.

use super::Root;
use super::loading::{own_spec, service};
use crate::load;
use crate::port::{FurtherPort, Speaks};
use crate::system::{Probe, Reference, Service, TargetKind};
use std::convert::Infallible;
use std::time::Duration;

/// A root with one more system.
fn root(system: &str) -> Root {
    let root = Root::of_repository();
    root.write("deploy/systems/more.toml", format!("description = 'more'\n{system}"));
    root
}

fn provided(service: &Service, name: &str) -> String {
    let text = |reference: &Reference| Ok::<_, Infallible>(format!("<{reference}>"));
    let Ok(text) = service.provides[name].render(text);
    text
}

#[test]
fn a_service_without_a_port_is_ready_once_it_has_run_for_a_while() {
    let spec = load(
        root(
            "[services.plain]\ncrate = 'epoch'\n[services.long]\nimage = 'redis'\nready = { runs = '1m' }\n\
             [services.asked]\nimage = 'redis'\nready = { command = ['pgrep', 'x'] }\n",
        )
        .path(),
    )
    .unwrap();
    let plain = service(&spec, "plain");
    assert_eq!((plain.port, plain.host_port, plain.provides.len()), (None, None, 0));
    let (five, minute) = (Duration::from_secs(5), Duration::from_secs(60));
    assert_eq!((&plain.ready, &plain.live), (&Probe::Runs(five), &Probe::Runs(five)));
    let long = service(&spec, "long");
    assert_eq!((&long.ready, long.ready_within), (&Probe::Runs(minute), minute + Duration::from_secs(30)));
    let asked = service(&spec, "asked");
    let command = Probe::Command(["pgrep", "x"].map(str::to_owned).into());
    assert_eq!((&asked.ready, &asked.live), (&command, &command));
    for probe in [Probe::Runs(five), command] {
        assert_eq!(Probe::from_json(&probe.to_json()), Some(probe));
    }
}

#[test]
fn a_service_with_several_ports_is_reached_on_each() {
    let system = "[services.backend]\ncrate = 'epoch'\npublic = true\n[services.backend.env]\nGRPC_PORT = '${port.grpc}'\n\
                  [services.backend.ports]\nmain = { port = 9898, host_port = 80 }\ngrpc = { port = 9999, speaks = 'grpc' }\n\
                  game = { port = 25565, speaks = 'udp', host_port = 25566, public = true }\n\
                  [services.caller]\ncrate = 'epoch'\nport = 1\nneeds = ['backend']\n\
                  env = { A = '${backend.url} ${backend.port.grpc} ${backend.address.game}' }\n";
    let spec = load(root(system).path()).unwrap();
    let backend = service(&spec, "backend");
    assert_eq!((backend.port, backend.host_port), (Some(9898), Some(80)));
    let further = |port, host_port, speaks, public| FurtherPort { port, host_port, speaks, public };
    assert_eq!(backend.ports["grpc"], further(9999, 9999, Speaks::Grpc, false));
    assert_eq!(backend.ports["game"], further(25565, 25566, Speaks::Udp, true));
    assert_eq!(provided(backend, "port.grpc"), "<port.grpc>");
    assert_eq!(provided(backend, "address.game"), "<host>:<port.game>");
    let text = service(&spec, "caller").env["A"].to_string();
    assert_eq!(text, "${backend.url} ${backend.port.grpc} ${backend.address.game}");
    // What was short for one port means what it meant.
    assert_eq!(own_spec(), load(Root::of_repository().path()).unwrap());
}

#[test]
fn further_ports_of_a_machine_are_taken_as_others_are() {
    let system = "[services.backend]\ncrate = 'epoch'\n[services.backend.ports]\nmain = { port = 9898 }\n\
                  grpc = { port = 8000 }\n";
    let spec = load(root(system).path()).unwrap();
    let said = spec.check_ports(TargetKind::Host, &[]).unwrap_err().to_string();
    assert!(
        said.contains("port 8000 is that of `shortener` too") || said.contains("port 8000 is that of `backend` too"),
        "{said}"
    );
    spec.check_ports(TargetKind::Containers, &[]).unwrap();
}
