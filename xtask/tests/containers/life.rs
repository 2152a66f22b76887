//! From nothing to proven and back: all systems at once, and what the engine holds before and after.

use super::deployment::{Deployment, engine, reference, unique};
use super::engine::{Engine, Inventory};
use super::sandbox::{get, post};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SYSTEMS: [&str; 5] = ["epoch", "invoices", "messages", "shortener", "web"];

/// What somebody else has on the same engine, and wants to find as it was.
struct Foreign {
    engine: &'static Engine,
    name: String,
}

impl Foreign {
    fn new(engine: &'static Engine) -> Self {
        let foreign = Self { engine, name: unique("foreign") };
        foreign.remove();
        let name = foreign.name.as_str();
        let spec = xtask::spec::load(super::sandbox::checkout()).unwrap();
        let image = reference(&spec.images["redis"].to_string());
        engine.run(["network", "create", name]).success();
        engine.run(["volume", "create", name]).success();
        engine.run(["tag", &image, &format!("localhost/{name}:kept")]).success();
        engine
            .run(["create", "--name", name, "--network", name, "--volume", &format!("{name}:/data"), &image])
            .success();
        foreign
    }

    #[track_caller]
    fn is_untouched(&self) {
        let there = self.engine.inventory();
        let image = format!("localhost/{}:kept", self.name);
        assert!(there.images.contains(&image), "{there:#?}");
        for kind in [&there.containers, &there.networks, &there.volumes] {
            assert!(kind.contains(&self.name), "{there:#?}");
        }
    }

    fn remove(&self) {
        let name = self.name.as_str();
        // Whichever of them is not there any more needs no removing.
        self.engine.run(["rm", "--force", "--volumes", name]);
        self.engine.run(["network", "rm", name]);
        self.engine.run(["volume", "rm", name]);
        self.engine.run(["rmi", &format!("localhost/{name}:kept")]);
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.remove();
    }
}

#[test]
fn all_systems_go_from_nothing_to_proven_and_leave_the_engine_as_it_was() {
    let Some(engine) = engine() else { return };
    let foreign = Foreign::new(engine);
    let before = engine.inventory();
    let deployment = Deployment::new("all").unwrap();
    let first = deployment.deploy(&[]);
    assert_eq!(first["result"], "deployed");
    for system in first["systems"].as_array().unwrap() {
        assert_eq!(system["result"], "deployed", "{first:#}");
    }
    all_run(&deployment);
    all_is_proven(&deployment);
    again_is_nothing_to_do(&deployment);
    public_services_do_what_they_are_for(&deployment);
    for (service, word) in [("epoch", "\"starting\""), ("redis", "Ready to accept connections")] {
        let log = deployment.sandbox.xtask(["logs", service]).success().stdout;
        assert!(log.contains(word), "{service}: {log}");
    }

    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!((&receipt["result"], &receipt["survivors"]), (&"clean".into(), &json!([])), "{receipt:#}");
    assert!(!receipt["removed"].as_array().unwrap().is_empty());
    assert!(!deployment.sandbox.home().exists());
    nothing_is_left(&deployment, &before);
    foreign.is_untouched();
}

fn all_run(deployment: &Deployment) {
    let status = deployment.sandbox.xtask(["status", "--json"]).success().json();
    assert_eq!(status["target"], "containers");
    let systems = status["systems"].as_array().unwrap();
    let names: Vec<_> = systems.iter().map(|system| system["name"].as_str().unwrap()).collect();
    assert_eq!(names, SYSTEMS);
    for service in systems.iter().flat_map(|system| system["services"].as_array().unwrap()) {
        // Without replicas there is nothing for it to do.
        let wanted = if service["name"] == "ledger" { "absent" } else { "running" };
        assert_eq!(service["state"], wanted, "{service:#}");
        if wanted == "running" {
            assert_eq!(service["replicas"], json!({"ready": 1, "want": 1}), "{service:#}");
        }
    }
}

fn all_is_proven(deployment: &Deployment) {
    let smoke = deployment.sandbox.xtask(["smoke", "--json"]).success().json();
    for system in smoke["systems"].as_array().unwrap() {
        assert_eq!(system["ok"], true, "{system:#}");
        // What is not there cannot be asked.
        let checks = system["checks"].as_array().unwrap().iter().filter(|check| check["service"] != "ledger");
        checks.for_each(|check| assert_eq!(check["outcome"], "passed", "{check:#}"));
    }
}

fn again_is_nothing_to_do(deployment: &Deployment) {
    let started = Instant::now();
    let again = deployment.deploy(&[]);
    let took = started.elapsed();
    assert_eq!(again["result"], "unchanged", "{again:#}");
    // A second is what it may take; the machine may have more to do.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

fn public_services_do_what_they_are_for(deployment: &Deployment) {
    let ask = |service: &str, path: &str| get(&deployment.sandbox.via(service), path).unwrap();
    assert!(ask("epoch", "/any").1.contains("The current epoch time"));
    assert_eq!(ask("web", "/").0, 200);
    let app = deployment.sandbox.via("invoice-app");
    assert_eq!(post(&app, "/invoices/pay", &json!({})).unwrap(), (200, json!({})));
    let invoices: Value = serde_json::from_str(&ask("invoice-app", "/invoices").1).unwrap();
    assert!(invoices.as_array().unwrap().iter().all(|invoice| invoice["IsPaid"] == true), "{invoices:#}");
}

/// Others may use the engine meanwhile, so that only what can be this deployment's counts.
#[track_caller]
fn nothing_is_left(deployment: &Deployment, before: &Inventory) {
    assert_eq!(deployment.containers(), Vec::<Value>::new());
    let new = deployment.engine.inventory().beyond(before);
    let is_anonymous = |name: &str| name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit());
    let own = |line: &&String| {
        let name = line.split_once(' ').unwrap().1;
        name.contains(deployment.id()) || (line.starts_with("volume") && is_anonymous(name))
    };
    assert_eq!(new.iter().filter(own).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn kept_data_is_found_again_by_a_later_deploy() {
    let Some(deployment) = Deployment::new("data") else { return };
    let sandbox = &deployment.sandbox;
    deployment.deploy(&["shortener"]);
    let (status, link) =
        post(&sandbox.via("shortener"), "/api/urls", &json!({"url": "https://example.com/kept"})).unwrap();
    assert_eq!(status, 201);
    let receipt = sandbox.xtask(["teardown", "--keep-data", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean");
    assert!(!receipt["kept"].as_array().unwrap().is_empty(), "{receipt:#}");
    assert_eq!(deployment.containers(), Vec::<Value>::new());

    deployment.deploy(&["shortener"]);
    let path = format!("/api/urls/{}", link["code"].as_str().unwrap());
    let (status, body) = get(&sandbox.via("shortener"), &path).unwrap();
    assert!(status == 200 && body.contains("https://example.com/kept"), "{status} {body}");
    sandbox.xtask(["teardown", "--yes"]).success();
    let volumes = deployment.engine.inventory().volumes;
    assert!(!volumes.iter().any(|volume| volume.contains(deployment.id())), "{volumes:?}");
}

#[test]
fn a_teardown_of_one_system_keeps_the_others() {
    let Some(deployment) = Deployment::new("one") else { return };
    deployment.deploy(&["epoch", "web"]);
    let web = deployment.container("web")["Id"].clone();
    deployment.sandbox.xtask(["teardown", "epoch", "--yes"]).success();
    assert_eq!(deployment.sandbox.status("epoch")["state"], "absent");
    assert!(deployment.running("epoch").is_empty());
    assert_eq!(deployment.container("web")["Id"], web);
    deployment.sandbox.xtask(["smoke", "web"]).success();
}

#[test]
fn a_container_that_somebody_has_removed_is_started_again() {
    let Some(deployment) = Deployment::new("removed") else { return };
    deployment.deploy(&["epoch"]);
    let container = deployment.container("epoch")["Id"].as_str().unwrap().to_owned();
    deployment.engine.run(["rm", "--force", &container]).success();
    deployment.restarted("epoch");
    assert_ne!(deployment.container("epoch")["Id"], container.as_str());
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}
