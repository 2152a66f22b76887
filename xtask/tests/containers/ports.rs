//! Ports that others have, and images that cannot be had: what is told, and that everybody else goes on.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::Deployment;
use super::sandbox::get;
use std::net::TcpListener;

/// A port that nobody has, below those that the system gives away by itself.
fn unused() -> u16 {
    let free =
        |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("::1", *port)).is_ok();
    let first = 12_000 + u16::try_from(std::process::id() % 5_000).unwrap();
    (first..).find(free).unwrap()
}

#[test]
fn a_taken_port_is_left_to_whoever_has_it_and_a_container_is_told_by_its_name() {
    let deployment = skip::unless!(Deployment::with_own_copy("taken"));
    let sandbox = &deployment.sandbox;
    let port = unused();
    let holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let environments = sandbox.root.join("deploy/environments");
    edit(&environments.join(format!("{}.toml", sandbox.env)), "ports = \"free\"\n", "");
    edit(&sandbox.root.join("deploy/systems/epoch.toml"), "port = 1337", &format!("port = {port}"));
    let shown = sandbox.xtask(["deploy", "epoch", "--dry-run"]).success().stdout;
    let next = format!("127.0.0.1:{}", port + 1);
    assert!(shown.contains(&format!("`epoch` on {next} (port {port} is held by `")), "{shown}");
    deployment.deploy(&["epoch"]);
    assert_eq!((sandbox.via("epoch"), get(&next, "/").unwrap().0), (next, 200));
    let note = sandbox.status("epoch")["port_note"].as_str().unwrap().to_owned();
    assert!(note.starts_with(&format!("port {port} was held by `")), "{note}");
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
    drop(holder);
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");

    // The same for a deployment of processes, in whose way the container is.
    edit(&sandbox.root.join("deploy/systems/epoch.toml"), &format!("port = {port}"), &format!("port = {}", port + 1));
    std::fs::write(environments.join("processes.toml"), "target = \"host\"\n").unwrap();
    let shown = super::sandbox::program(&sandbox.root)
        .args(["deploy", "epoch", "--dry-run", "--env", "processes", "--set"])
        .arg(format!("engine={}", deployment.engine.program))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let (id, root) = (deployment.id(), sandbox.root.display());
    assert!(shown.contains(&format!("(port {} is held by the container `", port + 1)), "{shown}");
    assert!(shown.contains(&format!("` of the deployment `{id}` of `{root}`)")), "{shown}");
}

#[test]
fn an_image_that_cannot_be_had_fails_its_system_alone() {
    let deployment = skip::unless!(Deployment::with_own_copy("pull"));
    let sandbox = &deployment.sandbox;
    let images = sandbox.root.join("deploy/images.toml");
    let text = std::fs::read_to_string(&images).unwrap();
    let line = text.lines().find(|line| line.starts_with("tech-interview")).unwrap();
    edit(&images, line, "tech-interview = \"localhost:1/nowhere/nothing:1\"");
    let document = sandbox.xtask(["deploy", "epoch", "web", "--json"]).exits(1).json();
    let result = |name: &str| {
        let systems = document["systems"].as_array().unwrap();
        systems.iter().find(|system| system["name"] == name).unwrap()["result"].clone()
    };
    assert_eq!((result("epoch"), result("web")), ("deployed".into(), "failed".into()), "{document:#}");
    assert_eq!(get(&sandbox.via("epoch"), "/").unwrap().0, 200);
}
