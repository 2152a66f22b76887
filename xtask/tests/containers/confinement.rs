//! What containers may not do: be reached, write, be root, gain privileges, use up the machine.

use super::contract::Deployed;
use super::deployment::{Deployment, addresses};
use super::sandbox::get;
use serde_json::Value;
use std::collections::BTreeSet;

const PUBLIC: [&str; 4] = ["epoch", "shortener", "invoice-app", "web"];

/// As `HOME` and `PATH`, which an engine's client goes by as well.
#[test]
fn a_variable_of_a_service_is_none_of_the_engine_s() {
    let deployment = skip::unless!(Deployment::new("own-home"));
    let names = ["HOME", "PATH", "XDG_RUNTIME_DIR", "CONTAINERS_CONF"];
    let set = names.iter().flat_map(|name| ["--set".to_owned(), format!("env.{name}=/elsewhere")]);
    let args: Vec<String> = std::iter::once("epoch".to_owned()).chain(set).collect();
    deployment.deploy(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let container = deployment.container("epoch");
    let env = container["Config"]["Env"].as_array().unwrap();
    for name in names {
        assert!(env.iter().any(|variable| *variable == format!("{name}=/elsewhere")), "{name}: {env:?}");
    }
}

#[test]
fn containers_are_confined_and_only_public_ports_are_published() {
    let deployment = skip::unless!(Deployment::alone("confined"));
    deployment.deploy(&[]);
    let containers = deployment.containers();
    assert!(containers.len() >= 9, "six services of this repository, two of others and the edge: {containers:#?}");
    for container in containers.iter().filter(|container| container["State"]["Running"] == true) {
        is_limited(container);
        if cfg!(target_os = "linux") {
            is_nobody_who_could_do_anything(container);
        }
    }
    only_public_ports_are_published(&deployment, &containers);
    each_system_has_a_network_of_its_own(&deployment);
}

/// What the engine was told.
#[track_caller]
fn is_limited(container: &Value) {
    let (name, host) = (&container["Name"], &container["HostConfig"]);
    assert_eq!(host["Privileged"], false, "{name}");
    assert_eq!(host["ReadonlyRootfs"], true, "{name}");
    assert_eq!(host["PidsLimit"], 256, "{name}");
    assert!(host["Memory"].as_u64().unwrap() >= 32 << 20, "{name}: {}", host["Memory"]);
    assert!(host["NanoCpus"].as_u64().unwrap() > 0, "{name}");
    assert!(host["SecurityOpt"].to_string().contains("no-new-privileges"), "{name}: {}", host["SecurityOpt"]);
    assert_ne!(host["CapDrop"], Value::Array(Vec::new()), "{name}");
    assert_eq!(host["CapAdd"].as_array().map_or(0, Vec::len), 0, "{name}");
}

/// What the kernel makes of it, where containers are processes of this machine.
#[track_caller]
fn is_nobody_who_could_do_anything(container: &Value) {
    let (name, pid) = (&container["Name"], &container["State"]["Pid"]);
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
        panic!("{name} has no process {pid} here");
    };
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap();
    assert!(field("Uid").split('\t').all(|uid| uid != "0"), "{name} runs as root: {}", field("Uid"));
    assert!(field("Gid").split('\t').all(|gid| gid != "0"), "{name} is of root's group: {}", field("Gid"));
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{name}: {set}");
    }
    assert_eq!(field("NoNewPrivs"), "1", "{name}");
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    // `ID PARENT DEVICE ROOT WHERE OPTIONS …`
    let root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields[4] == "/").unwrap();
    assert!(root[5].split(',').any(|option| option == "ro"), "{name}: {root:?}");
}

#[track_caller]
fn only_public_ports_are_published(deployment: &Deployment, containers: &[Value]) {
    let ports = containers.iter().filter_map(|container| container["NetworkSettings"]["Ports"].as_object());
    let bindings = ports.flat_map(|ports| ports.values()).filter_map(Value::as_array).flatten();
    let published: BTreeSet<String> = bindings
        .map(|binding| format!("{}:{}", binding["HostIp"].as_str().unwrap(), binding["HostPort"].as_str().unwrap()))
        .collect();
    let public = PUBLIC.map(|service| deployment.sandbox.via(service)).into_iter().collect();
    assert_eq!(published, public);
    for via in published {
        assert!(via.starts_with("127.0.0.1:"), "{via}");
        get(&via, "/").unwrap();
    }
}

#[track_caller]
fn each_system_has_a_network_of_its_own(deployment: &Deployment) {
    let networks = |service: &str| -> BTreeSet<String> {
        addresses(&deployment.container(service)).into_iter().map(|(network, _)| network).collect()
    };
    assert_eq!(networks("shortener"), networks("redis"));
    assert_eq!(networks("invoice-app"), networks("payment-provider"));
    assert_eq!(networks("producer"), networks("emulator"));
    let systems = ["epoch", "shortener", "invoice-app", "producer", "web"];
    assert_eq!(systems.map(networks).into_iter().collect::<BTreeSet<_>>().len(), systems.len());
}

#[test]
fn an_internal_service_is_reached_from_its_own_network_alone() {
    let deployment = skip::unless!(Deployment::alone("internal"));
    deployment.deploy(&["epoch", "invoices", "shortener"]);
    for (internal, port, neighbour) in [("payment-provider", 8082, "invoice-app"), ("redis", 6379, "shortener")] {
        let (_, address) = addresses(&deployment.container(internal)).remove(0);
        let by_name = format!("{internal}:{port}");
        let by_address = format!("{address}:{port}");
        for destination in [&by_name, &by_address] {
            let (code, said) = reach(&deployment, neighbour, destination);
            assert!(code == 0 && said.starts_with("connected to "), "from {neighbour}: {said}");
            let (code, said) = reach(&deployment, "epoch", destination);
            assert_eq!(code, 1, "{destination} is within reach of another system: {said}");
            assert!(said.starts_with("cannot "), "{said}");
        }
    }
}

/// Whether a short-lived container beside a service can connect, and what it says.
fn reach(deployment: &Deployment, beside: &str, destination: &str) -> (i32, String) {
    let container = deployment.container(beside);
    let (network, _) = addresses(&container).remove(0);
    let image = container["Image"].as_str().unwrap();
    let confined = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"];
    let args = [&["run", "--rm", "--network", &network], &confined[..], &[image, "reach", destination]].concat();
    let run = deployment.engine.run(args);
    (run.code(), run.stdout)
}

/// What is tried with where nothing of this repository runs.
const STORE: &str = r#"
[services.store]
image = "redis"
port = 6379
host_port = 6390
ready = { tcp = { send = "PING\r\n", expect = "+PONG" } }
args = ["--protected-mode", "no", "--save", ""]

[services.store.container]
memory = "128Mi"
user = "999:999"
command = ["redis-server"]
health = ["redis-cli", "ping"]

[[denied]]
to = "store"
from = "outside"

[[denied]]
to = "store"
from = "other-services"
"#;

#[test]
fn public_images_alone_are_proven_to_be_out_of_reach() {
    let deployment = skip::unless!(Deployment::alone_with_own_copy("images"));
    let file = deployment.sandbox.root.join("deploy/systems/web.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}{STORE}")).unwrap();
    deployment.deploy(&["web"]);
    let smoke = deployment.sandbox.xtask(["smoke", "web", "--json"]).success().json();
    let checks = smoke["systems"][0]["checks"].as_array().unwrap();
    let denied: Vec<&Value> =
        checks.iter().filter(|check| check["service"] == "store").map(|check| &check["outcome"]).collect();
    assert_eq!(denied, ["passed", "passed"], "{smoke:#}");
}
