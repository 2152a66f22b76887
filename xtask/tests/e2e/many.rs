//! Far more services than a person has, in one deployment.

use super::sandbox::{Sandbox, checkout, get, scratch};
use remote_tools::scratch::copy_repository;
use serde_json::Value;

const SYSTEMS: usize = 20;
const SERVICES: usize = 4;

/// The file of a system of some services, all of one crate.
fn system(number: usize) -> String {
    let name = |service: usize| format!("epoch-{number}-{service}");
    let service = |service: usize| {
        let port = 11_000 + number * SERVICES + service;
        format!("[services.{}]\ncrate = \"epoch\"\nport = {port}\npublic = true\n\n", name(service))
    };
    let services: String = (0..SERVICES).map(service).collect();
    let check = "name = \"it tells the time\"\nrequest = \"GET /\"\nstatus = 200\n";
    format!("description = \"One of many\"\n\n{services}[[smoke]]\nservice = \"{}\"\n{check}", name(0))
}

#[test]
fn more_services_than_anybody_has_are_deployed_changed_and_torn_down() {
    let copy = scratch().join("many");
    copy_repository(checkout(), &copy).unwrap();
    let systems = copy.join("deploy/systems");
    std::fs::remove_dir_all(&systems).unwrap();
    std::fs::create_dir(&systems).unwrap();
    for number in 0..SYSTEMS {
        std::fs::write(systems.join(format!("many-{number}.toml")), system(number)).unwrap();
    }
    let settings = "target = \"host\"\nports = \"free\"\n".to_owned();
    let sandbox = Sandbox::with_settings(copy, "many", true, settings);
    let first = sandbox.xtask(["deploy", "--json"]).success().json();
    all_are(&first, "deployed");
    let status = sandbox.xtask(["status", "--json"]).success().json();
    let systems = status["systems"].as_array().unwrap();
    let services: Vec<&Value> = systems.iter().flat_map(|system| system["services"].as_array().unwrap()).collect();
    assert_eq!(services.len(), SYSTEMS * SERVICES);
    for service in services {
        assert_eq!(service["state"], "running", "{service:#}");
    }
    assert_eq!(get(&sandbox.via("epoch-19-3"), "/").unwrap().0, 200);
    assert_eq!(sandbox.xtask(["deploy", "--json"]).success().json()["result"], "unchanged");
    // All of them are replaced, each beside the one that it follows.
    all_are(&sandbox.xtask(["deploy", "--json", "--set", "env.CHANGED=1"]).success().json(), "deployed");
    // What a supervisor leaves when it is killed is known and ended, all of it.
    let supervisor = sandbox.processes().into_iter().find(|process| process.command.contains("__supervise")).unwrap();
    base::os::signal(&supervisor.id, nix::sys::signal::Signal::SIGKILL);
    all_are(&sandbox.xtask(["deploy", "--json"]).success().json(), "deployed");
    assert_eq!(sandbox.xtask(["teardown", "--json", "--yes"]).success().json()["result"], "clean");
    assert!(sandbox.processes().is_empty());
}

#[track_caller]
fn all_are(document: &Value, result: &str) {
    let systems = document["systems"].as_array().unwrap();
    assert_eq!(systems.len(), SYSTEMS);
    for system in systems {
        assert_eq!(system["result"], result, "{document:#}");
    }
}
