//! From nothing to proven and back: all systems at once, and what the engine holds before and after.

use super::contract::{self, Deployed};
use super::deployment::{Deployment, engine, reference, unique};
use super::engine::{Engine, Inventory};
use serde_json::Value;
use std::time::{Duration, Instant};

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
        let spec = model::load(super::sandbox::checkout()).unwrap();
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
    let engine = skip::unless!(engine());
    let foreign = Foreign::new(engine);
    let before = engine.inventory();
    let deployment = Deployment::alone("all").unwrap();
    contract::comes_up(&deployment, &[]);
    again_takes_a_moment(&deployment);
    let log = deployment.sandbox.xtask(["logs", "redis"]).success().stdout;
    assert!(log.contains("Ready to accept connections"), "{log}");
    deployment.ends_clean();
    nothing_is_left(&deployment, &before);
    foreign.is_untouched();
}

fn again_takes_a_moment(deployment: &Deployment) {
    let started = Instant::now();
    deployment.deploy(&[]);
    let took = started.elapsed();
    // A second is what it may take; the machine may have more to do.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// Not even what the engine has given a name of its own.
#[track_caller]
fn nothing_is_left(deployment: &Deployment, before: &Inventory) {
    assert_eq!(deployment.containers(), Vec::<Value>::new());
    let new = deployment.engine.inventory().beyond(before);
    let is_anonymous = |name: &str| name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit());
    let own = |line: &&String| line.strip_prefix("volume ").is_some_and(is_anonymous);
    assert_eq!(new.iter().filter(own).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn a_change_is_made_and_taken_back() {
    let deployment = skip::unless!(Deployment::alone("rollback"));
    contract::a_teardown_of_nothing_is_clean(&deployment);
    contract::a_change_is_made_and_taken_back(&deployment);
}

#[test]
fn a_teardown_of_one_system_keeps_the_other() {
    let deployment = skip::unless!(Deployment::new("one"));
    contract::a_teardown_of_one_system_keeps_the_other(&deployment, [("epoch", "epoch"), ("web", "web")]);
}

#[test]
fn kept_data_is_found_again_by_a_later_deploy() {
    let deployment = skip::unless!(Deployment::alone("data"));
    let receipt = contract::kept_data_is_found_again(&deployment, &[]);
    // With its size, where its files can be read here.
    let is_volume = |kept: &&Value| kept["kind"] == "volume";
    let volume = receipt["kept"].as_array().unwrap().iter().find(is_volume).unwrap_or_else(|| panic!("{receipt:#}"));
    let id = volume["id"].as_str().unwrap();
    let has_size = id.ends_with("B)") || id.ends_with(" bytes)");
    assert!(has_size || deployment.engine.program != "podman", "{receipt:#}");
    deployment.ends_clean();
}

#[test]
fn a_renamed_service_takes_the_place_of_the_old_one() {
    let deployment = skip::unless!(Deployment::with_own_copy("rename"));
    contract::a_renamed_service_takes_the_place_of_the_old_one(&deployment, |_| {});
    contract::a_system_without_a_file_goes_by_its_name(&deployment);
}

#[test]
fn a_container_that_somebody_has_removed_is_started_again() {
    let deployment = skip::unless!(Deployment::new("removed"));
    deployment.deploy(&["epoch"]);
    let container = deployment.container("epoch")["Id"].as_str().unwrap().to_owned();
    deployment.engine.run(["rm", "--force", &container]).success();
    deployment.restarted("epoch");
    assert_ne!(deployment.container("epoch")["Id"], container.as_str());
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}
