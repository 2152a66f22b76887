//! One version after another, without a lost request, and the way back.

use super::client::{Hammer, Seen};
use super::deployment::{Deployment, step};
use super::kubectl::text;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Requests a second.
const RATE: u32 = 200;

fn failures(seen: &[Seen]) -> Vec<String> {
    seen.iter().flat_map(|seen| seen.failures.clone()).collect()
}

/// What a service's variable is in its workload.
fn variable(deployment: &Deployment, service: &str, name: &str) -> Option<String> {
    let workload = deployment.kubectl(service, ["get", "deployment", service, "--output=json"]).success().json();
    let variables = workload.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array).unwrap();
    let found = variables.iter().find(|variable| variable["name"] == name);
    found.map(|variable| text(variable, "/value").to_owned())
}

/// The system's file with one more variable for the service of the same name.
fn with_variable(original: &str, system: &str, level: &str) -> String {
    let section = format!("[services.{system}.env]\n");
    let line = format!("LOG = \"{level}\"\n");
    if original.contains(&section) {
        return original.replace(&section, &format!("{section}{line}"));
    }
    format!("{original}\n{section}{line}")
}

/// Replaces a service twice under load; what it says is in `answer`. The variable that differs is that service's alone.
fn replaced_under_load(deployment: &Deployment, system: &str, path: &'static str, answer: &str) {
    let file = deployment.sandbox.root.join(format!("deploy/systems/{system}.toml"));
    let original = std::fs::read_to_string(&file).unwrap();
    deployment.deploy(&[system]);
    let (hammer, started) = (Hammer::asking(&deployment.place(system), path, Some(RATE)), Instant::now());
    for level in ["debug", "warn"] {
        std::fs::write(&file, with_variable(&original, system, level)).unwrap();
        let document = deployment.deploy(&[system]);
        let release = step(&document, &format!("release:{system}"));
        assert_eq!(release["result"], "done", "{document:#}");
        assert_eq!(variable(deployment, system, "LOG").as_deref(), Some(level));
        // The deploy has measured it as well, from outside.
        let measured = &release["traffic"][0];
        assert!(measured["requests"].as_u64() > Some(10) && measured["failed"] == 0, "{release:#}");
    }
    let took = started.elapsed();
    let seen = hammer.until_answered(answer);
    assert_eq!(failures(&seen), Vec::<String>::new());
    let answered: usize = seen.iter().map(|seen| seen.bodies.len()).sum();
    // Whoever falls behind catches up; a busy machine may not let it.
    let wanted = took.saturating_sub(Duration::from_secs(1)).as_secs_f64() * f64::from(RATE) / 2.0;
    assert!(answered as f64 > wanted, "only {answered} requests in {took:?}");
}

#[test]
fn epoch_is_replaced_under_load_without_a_lost_request() {
    let Some(deployment) = Deployment::alone_with_own_copy("replaced") else { return };
    replaced_under_load(&deployment, "epoch", "/hammer", "epoch");
}

#[test]
fn shortener_is_replaced_under_load_without_a_lost_request() {
    let Some(deployment) = Deployment::alone_with_own_copy("shorten") else { return };
    replaced_under_load(&deployment, "shortener", "/pw", "redis crud");
}

#[test]
fn a_rollback_goes_to_and_fro_and_loses_no_request() {
    let Some(deployment) = Deployment::alone("rollback") else { return };
    deployment.deploy(&["epoch"]);
    let run = deployment.sandbox.xtask(["rollback", "epoch"]).exits(1);
    assert!(run.stderr.contains("`epoch` has no earlier revision that was proven healthy"), "{}", run.stderr);
    deployment.deploy(&["epoch", "--set", "env.LOG=debug"]);
    let hammer = Hammer::start(&deployment.place("epoch"), None);
    for level in [None, Some("debug"), None] {
        let back = deployment.sandbox.xtask(["rollback", "epoch", "--json"]).success().json();
        assert_eq!(step(&back, "prove:epoch")["result"], "done", "it is proven: {back:#}");
        assert_eq!(variable(&deployment, "epoch", "LOG").as_deref(), level);
    }
    assert_eq!(failures(&hammer.until_answered("epoch")), Vec::<String>::new());
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}
