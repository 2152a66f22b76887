//! A deployment whose folder was lost, and one of another checkout that has the same name.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::Deployment;
use super::sandbox::{RUN_WITHIN, Run};
use serde_json::{Value, json};
use std::time::Instant;

/// The program, told which deployment is meant.
fn named(deployment: &Deployment, args: &[&str]) -> Run {
    let id = format!("deployment_id={}", deployment.id());
    deployment.sandbox.xtask([args, &["--set", &id]].concat())
}

#[test]
fn a_deployment_whose_folder_was_lost_is_found_by_its_labels_and_removed() {
    let deployment = skip::unless!(Deployment::alone_with_own_copy("lost"));
    let sandbox = &deployment.sandbox;
    // A system that no file declares any more, which stores something.
    let declared = sandbox.root.join("deploy/systems/shortener.toml");
    deployment.deploy(&["epoch", "shortener"]);
    std::fs::remove_file(&declared).unwrap();
    std::fs::remove_dir_all(sandbox.home()).unwrap();
    // Without its folder the supervisor ends, and what it ran with it; the rest stays.
    let deadline = Instant::now() + RUN_WITHIN;
    while !sandbox.processes().is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let before = deployment.engine.inventory();
    let of_us = |names: &std::collections::BTreeSet<String>| {
        names.iter().filter(|name| name.contains(deployment.id())).cloned().collect::<Vec<_>>()
    };
    assert!(!of_us(&before.volumes).is_empty() && !of_us(&before.networks).is_empty(), "{before:#?}");

    // What is stored is asked for, also where no file and no record tells of it.
    let refused = named(&deployment, &["teardown"]).exits(2);
    assert!(refused.stderr.contains("redis"), "{}", refused.stderr);
    let receipt = named(&deployment, &["teardown", "--yes", "--json"]).success().json();
    assert_eq!((&receipt["result"], &receipt["survivors"]), (&"clean".into(), &json!([])), "{receipt:#}");
    let after = deployment.engine.inventory();
    for names in [&after.containers, &after.networks, &after.volumes] {
        assert_eq!(of_us(names), Vec::<String>::new());
    }
    assert_eq!(deployment.containers(), Vec::<Value>::new());
}

/// As where a variable leads to another one, or somebody else deploys.
#[test]
fn another_engine_is_not_taken_for_the_one_that_has_the_deployment() {
    let deployment = skip::unless!(Deployment::new("engine"));
    deployment.deploy(&["epoch"]);
    let id = deployment.container("epoch")["Id"].clone();
    let other = deployment.sandbox.home().with_extension("other");
    std::fs::create_dir_all(&other).unwrap();
    let (root, run) = (other.join("root"), other.join("run"));
    let storage = format!("[storage]\ndriver = \"vfs\"\ngraphroot = {root:?}\nrunroot = {run:?}\n");
    std::fs::write(other.join("storage.conf"), storage).unwrap();
    for args in [vec!["deploy", "epoch", "--set", "env.ZONE=a"], vec!["teardown", "--yes"]] {
        let mut command = deployment.sandbox.command(args);
        let refused = Run::of(command.env("CONTAINERS_STORAGE_CONF", other.join("storage.conf")));
        assert_ne!(refused.code(), 0, "{}", refused.stdout);
        assert!(refused.stderr.contains(root.to_str().unwrap()), "{}", refused.stderr);
        assert!(refused.stderr.contains("CONTAINER_HOST"), "{}", refused.stderr);
    }
    assert_eq!(deployment.container("epoch")["Id"], id, "what runs is as it was");
    std::fs::remove_dir_all(&other).unwrap();
}

#[test]
fn a_second_checkout_does_not_touch_the_first_and_says_what_is_in_its_way() {
    let first = skip::unless!(Deployment::with_own_copy("first"));
    first.deploy(&["epoch"]);
    let id = first.container("epoch")["Id"].clone();
    let copy = first.sandbox.root.with_extension("second");
    remote_tools::scratch::copy_repository(&first.sandbox.root, &copy).unwrap();
    let _ = std::fs::remove_dir_all(copy.join(".slipway"));
    let second = first.sandbox.beside(copy);
    let home = first.sandbox.home();
    let home = home.to_str().unwrap();

    // Its folder is not lost, so that nothing goes by its name alone.
    let id_flag = format!("deployment_id={}", first.id());
    let refused = second.xtask(["teardown", "--yes", "--set", &id_flag]).exits(3);
    assert!(refused.stderr.contains(home), "{}", refused.stderr);
    let refused = second.xtask(["deploy", "epoch", "--json"]).exits(1).json();
    assert_eq!(refused["failure"]["code"], "name-taken", "{refused:#}");
    assert!(refused["failure"]["cause"].as_str().unwrap().contains(home), "{refused:#}");
    // On the port of the first it says who has that.
    let port = first.sandbox.via("epoch").rsplit_once(':').unwrap().1.to_owned();
    let environment = second.root.join(format!("deploy/environments/{}.toml", second.env));
    edit(&environment, "ports = \"free\"\n", "ports = \"declared\"\n");
    edit(&second.root.join("deploy/systems/epoch.toml"), "port = 1337", &format!("port = {port}"));
    let refused = second.xtask(["deploy", "epoch", "--json"]).exits(1).json();
    assert_eq!(refused["failure"]["code"], "port-in-use", "{refused:#}");
    let checkout = first.sandbox.root.to_str().unwrap();
    assert!(refused["failure"]["cause"].as_str().unwrap().contains(checkout), "{refused:#}");
    assert_eq!(first.container("epoch")["Id"], id);
}
