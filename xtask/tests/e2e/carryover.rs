//! What an earlier version of the tool has deployed is carried on by today's: it is left alone while nothing has changed,
//! gives way to what takes its place, and nothing of it is left in the end.

use super::contract::Deployed;
use super::contract::document::{code, edit};
use super::earlier::{Earlier, bring_up_to_date};
use super::sandbox::eventually;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One without data and one with data and a generated password.
const SYSTEMS: [&str; 2] = ["epoch", "shortener"];
const SERVICES: [&str; 3] = ["epoch", "shortener", "redis"];

/// What is generated once stays.
pub(crate) trait Carried: Deployed {
    /// The generated password of `redis`, as `redis` itself is given it.
    fn password(&self) -> Value;
}

/// What is not to change.
fn kept(deployed: &impl Carried, services: &[&str]) -> (Vec<BTreeSet<String>>, Value) {
    (services.iter().map(|service| deployed.running(service)).collect(), deployed.password())
}

fn deploy(systems: &[&str]) -> Vec<&'static str> {
    let systems = SYSTEMS.into_iter().filter(|system| systems.contains(system));
    ["deploy", "--yes", "--json"].into_iter().chain(systems).collect()
}

/// Deployed by the earlier tool, then left alone and torn down by today's.
pub(crate) fn goes_on(earlier: &Earlier, deployed: &impl Carried) {
    let sandbox = deployed.sandbox();
    let first = earlier.run(sandbox, &deploy(&SYSTEMS)).success().json();
    assert_eq!(first["result"], "deployed", "{first:#}");
    let body = json!({"url": "https://example.com/kept"});
    let (status, made) = deployed.post("shortener", "/api/urls", &body).unwrap();
    assert_eq!(status, 201, "{made}");
    let link = format!("/api/urls/{}", code(&made));
    let is_kept = || assert_eq!(deployed.get("shortener", &link).unwrap().0, 200, "the data is there");
    let before = kept(deployed, &SERVICES);
    assert!(before.0.iter().all(|running| !running.is_empty()) && before.1.is_string(), "{before:#?}");

    let again = sandbox.xtask(deploy(&SYSTEMS)).success().json();
    assert_eq!(again["result"], "unchanged", "{again:#}");
    assert_eq!(kept(deployed, &SERVICES), before, "nothing is started again");
    // A chart that has become another one is released once, and what it says of these services is the same.
    bring_up_to_date(&sandbox.root);
    sandbox.xtask(deploy(&SYSTEMS)).success();
    assert_eq!(kept(deployed, &SERVICES), before, "nor by today's chart");
    is_kept();
    a_new_name_takes_the_place_of_the_old(deployed);
    is_kept();
    deployed.ends_clean();
    SERVICES.iter().for_each(|service| assert_eq!(deployed.running(service), BTreeSet::new(), "{service}"));
}

/// `epoch` is called `clock` from now on; what others run stays.
fn a_new_name_takes_the_place_of_the_old(deployed: &impl Carried) {
    let (sandbox, others) = (deployed.sandbox(), ["shortener", "redis"]);
    let before = kept(deployed, &others);
    let file = sandbox.root.join("deploy/systems/epoch.toml");
    edit(&file, "[services.epoch", "[services.clock");
    let renamed = sandbox.xtask(deploy(&SYSTEMS)).success().json();
    assert_eq!(renamed["result"], "deployed", "{renamed:#}");
    assert_eq!(sandbox.status("clock")["state"], "running");
    assert!(!deployed.running("clock").is_empty());
    eventually("the old one has gone", || {
        let running = deployed.running("epoch");
        if running.is_empty() { Ok(()) } else { Err(format!("{running:?} of `epoch` still runs")) }
    });
    let status = sandbox.xtask(["status", "--json"]).success().json();
    let systems = status["systems"].as_array().unwrap().iter();
    let services = systems.flat_map(|system| system["services"].as_array().unwrap());
    assert!(!services.clone().any(|service| service["name"] == "epoch"), "{status:#}");
    assert_eq!(kept(deployed, &others), before, "what is not renamed is not started again");
    let again = sandbox.xtask(deploy(&SYSTEMS)).success().json();
    assert_eq!(again["result"], "unchanged", "{again:#}");
}
