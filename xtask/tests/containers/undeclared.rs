//! What the files say no longer, in containers; and a checkout that was moved.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::Deployment;
use super::sandbox::get;

#[test]
fn a_system_gets_its_port_back_when_the_one_in_its_place_fails() {
    let deployment = skip::unless!(Deployment::with_own_copy("back"));
    let sandbox = &deployment.sandbox;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let environment = sandbox.root.join(format!("deploy/environments/{}.toml", sandbox.env));
    edit(&environment, "ports = \"free\"\n", "ports = \"declared\"\n");
    let systems = sandbox.root.join("deploy/systems");
    edit(&systems.join("epoch.toml"), "port = 1337", &format!("port = {port}\nready_within = \"10s\""));
    deployment.deploy(&["epoch"]);
    let at = sandbox.via("epoch");
    std::fs::rename(systems.join("epoch.toml"), systems.join("clock.toml")).unwrap();
    edit(&systems.join("clock.toml"), "[services.epoch", "[services.clock");

    let failed = sandbox.xtask(["deploy", "clock", "--json", "--set", "env.FAULT=never-ready"]).exits(1).json();
    assert_eq!(failed["failure"]["step"], "start:clock", "{failed:#}");
    assert_eq!(get(&at, "/").unwrap().0, 200);
    assert_eq!((deployment.running("epoch").len(), deployment.running("clock").len()), (1, 0));
    let document = deployment.deploy(&["clock"]);
    assert_eq!(document["result"], "deployed", "{document:#}");
    assert_eq!((sandbox.via("clock"), get(&at, "/").unwrap().0), (at, 200));
    assert_eq!(deployment.running("epoch").len(), 0);
}

#[test]
fn a_moved_checkout_finds_its_containers() {
    let mut deployment = skip::unless!(Deployment::with_own_copy("moved"));
    deployment.deploy(&["epoch"]);
    let (old, new) = (deployment.sandbox.root.clone(), deployment.sandbox.root.with_extension("elsewhere"));
    let _ = std::fs::remove_dir_all(&new);
    std::fs::rename(&old, &new).unwrap();
    deployment.sandbox.root = new;
    deployment.deploy(&["epoch"]);
    assert_eq!(get(&deployment.sandbox.via("epoch"), "/").unwrap().0, 200);
    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.containers(), Vec::<serde_json::Value>::new());
}
