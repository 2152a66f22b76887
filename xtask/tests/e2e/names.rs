//! Two systems that both have a service of one name: neither takes anything of the other.

use super::client::Hammer;
use super::contract::document::{deploy, step, system};
use super::sandbox::get;
use super::undeclared::{Stage, free_port};
use serde_json::{Value, json};

fn via(stage: &Stage, system: &str) -> String {
    let (_, service) = stage.status(system, "epoch").unwrap();
    assert_eq!((&service["state"], &service["declared"]), (&json!("running"), &json!(true)), "{service:#}");
    service["via"].as_str().unwrap().to_owned()
}

/// How often each was started; who is not started again keeps this.
fn version(stage: &Stage, system: &str) -> Value {
    stage.status(system, "epoch").unwrap().1["version"].clone()
}

#[test]
fn two_systems_both_have_a_service_of_one_name() {
    let stage = Stage::new("names");
    let sandbox = &stage.sandbox;
    deploy(sandbox, &[]);
    stage.store("epoch");
    stage.add("shop", "epoch", free_port());
    let hammer = Hammer::start(&format!("127.0.0.1:{}", stage.port()), 500);
    // What runs stays as it is; the other one has things of its own.
    let both = deploy(sandbox, &[]);
    assert_eq!(system(&both, "epoch")["result"], "unchanged", "{both:#}");
    assert_eq!(step(&both, "start:shop/epoch")["result"], "done", "{both:#}");
    assert_ne!(via(&stage, "epoch"), via(&stage, "shop"));
    assert!(stage.stored("epoch") && sandbox.home().join("logs/shop_epoch.log").exists());
    assert_eq!(deploy(sandbox, &[])["result"], "unchanged");
    sandbox.xtask(["smoke"]).success();

    // A person says which one.
    let asked = sandbox.xtask(["logs", "epoch"]).exits(2);
    assert!(asked.stderr.contains("`epoch/epoch`, `shop/epoch`"), "{}", asked.stderr);
    sandbox.xtask(["logs", "shop/epoch"]).success();
    let unknown = sandbox.xtask(["logs", "shop/clock"]).exits(2);
    assert!(unknown.stderr.contains("unknown service `shop/clock`"), "{}", unknown.stderr);

    // One is changed, and gone back with.
    let before = version(&stage, "epoch");
    stage.edit("shop", "[services.epoch]\n", "[services.epoch]\nenv = { MORE = \"1\" }\n");
    let plan = sandbox.xtask(["plan", "--json"]).success().json();
    assert_eq!(system(&plan, "epoch")["result"], "unchanged", "{plan:#}");
    assert_eq!(system(&plan, "shop")["services"][0]["name"], "epoch", "{plan:#}");
    let changed = deploy(sandbox, &[]);
    assert_eq!(system(&changed, "epoch")["result"], "unchanged", "{changed:#}");
    assert_eq!(step(&changed, "start:shop/epoch")["result"], "done", "{changed:#}");
    let back = sandbox.xtask(["rollback", "shop", "--json"]).success().json();
    assert_eq!(step(&back, "start:shop/epoch")["result"], "done", "{back:#}");
    assert_eq!(version(&stage, "epoch"), before);
    for seen in hammer.until_answered("epoch") {
        assert_eq!(seen.failures, Vec::<String>::new());
    }

    // The first goes: the other keeps its name, and what it serves.
    let place = via(&stage, "shop");
    let receipt = sandbox.xtask(["teardown", "epoch", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    std::fs::remove_file(stage.file("epoch")).unwrap();
    assert!(!stage.stored("epoch") && get(&place, "/").unwrap().0 == 200);
    stage.edit("shop", "env = { MORE = \"1\" }\n", "");
    assert_eq!(deploy(sandbox, &[])["result"], "unchanged");
    sandbox.xtask(["logs", "epoch"]).success();
    sandbox.xtask(["teardown", "shop", "--yes", "--json"]).success();
    assert!(!sandbox.home().exists() && sandbox.processes().is_empty());
}

#[test]
fn one_of_two_moves_to_a_third_system_with_what_it_stored() {
    let stage = Stage::new("names-moved");
    let port = free_port();
    deploy(&stage.sandbox, &[]);
    stage.add("shop", "epoch", port);
    deploy(&stage.sandbox, &[]);
    // What stores nothing loses no request.
    std::fs::rename(stage.file("shop"), stage.file("stall")).unwrap();
    let hammer = Hammer::start(&format!("127.0.0.1:{port}"), 500);
    let document = deploy(&stage.sandbox, &[]);
    assert_eq!(step(&document, "remove:shop/epoch")["result"], "done", "{document:#}");
    for seen in hammer.until_answered("epoch") {
        assert_eq!(seen.failures, Vec::<String>::new());
    }
    // What is stored goes along.
    stage.store("stall_epoch");
    std::fs::rename(stage.file("stall"), stage.file("kiosk")).unwrap();
    let plan = stage.sandbox.xtask(["plan", "--json"]).success().json();
    assert_eq!(plan["removed"][0]["data"]["to"], "kiosk/epoch", "{plan:#}");
    deploy(&stage.sandbox, &[]);
    assert!(stage.stored("kiosk_epoch") && !stage.stored("stall_epoch"));
    assert_eq!(via(&stage, "kiosk"), format!("127.0.0.1:{port}"));
    assert_eq!(stage.status("stall", "epoch"), None);
    assert_eq!(deploy(&stage.sandbox, &[])["result"], "unchanged");
}
