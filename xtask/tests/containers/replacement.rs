//! One version after another, without a gap, and the way back.

use super::client::{Hammer, Seen};
use super::deployment::{Deployment, step};
use super::sandbox::get;
use std::time::{Duration, Instant};

/// Requests a second.
const RATE: u32 = 200;

/// What a service's variable is in its container.
fn variable(deployment: &Deployment, service: &str, name: &str) -> Option<String> {
    let container = deployment.container(service);
    let variables = container["Config"]["Env"].as_array().unwrap().iter().filter_map(|variable| variable.as_str());
    variables
        .filter_map(|variable| variable.split_once('='))
        .find(|(set, _)| *set == name)
        .map(|(_, value)| value.into())
}

#[test]
fn a_public_service_is_replaced_under_load_without_a_lost_request() {
    let Some(deployment) = Deployment::new("replaced") else { return };
    deployment.deploy(&["epoch"]);
    let via = deployment.sandbox.via("epoch");
    let (hammer, started) = (Hammer::start(&via, Some(RATE)), Instant::now());
    for level in ["debug", "warn", "info"] {
        let old = deployment.container("epoch")["Id"].clone();
        let document = deployment.deploy(&["epoch", "--set", &format!("env.LOG={level}")]);
        assert_eq!(step(&document, "start:epoch")["result"], "done");
        assert_ne!(deployment.container("epoch")["Id"], old);
        assert_eq!(variable(&deployment, "epoch", "LOG").as_deref(), Some(level));
    }
    let seen = hammer.until_answered("epoch");
    let took = started.elapsed();
    assert_eq!(failures(&seen), Vec::<String>::new());
    let answered: usize = seen.iter().map(|seen| seen.bodies.len()).sum();
    // Whoever falls behind catches up; a busy machine may not let it.
    let wanted = took.saturating_sub(Duration::from_secs(1)).as_secs_f64() * f64::from(RATE) / 2.0;
    assert!(answered as f64 > wanted, "only {answered} requests in {took:?}");
    assert_eq!(deployment.sandbox.via("epoch"), via, "its port stays the same");
}

fn failures(seen: &[Seen]) -> Vec<String> {
    seen.iter().flat_map(|seen| seen.failures.clone()).collect()
}

#[test]
fn a_rollback_goes_to_and_fro_and_loses_no_request() {
    let Some(deployment) = Deployment::new("rollback") else { return };
    deployment.deploy(&["epoch"]);
    let run = deployment.sandbox.xtask(["rollback", "epoch"]).exits(1);
    assert!(run.stderr.contains("`epoch` has no earlier revision that was proven healthy"), "{}", run.stderr);
    deployment.deploy(&["epoch", "--set", "env.LOG=debug"]);
    let hammer = Hammer::start(&deployment.sandbox.via("epoch"), None);
    for level in [None, Some("debug"), None] {
        let back = deployment.sandbox.xtask(["rollback", "epoch", "--json"]).success().json();
        assert_eq!(step(&back, "smoke:epoch")["result"], "done", "it is proven");
        assert_eq!(variable(&deployment, "epoch", "LOG").as_deref(), level);
    }
    assert_eq!(failures(&hammer.until_answered("epoch")), Vec::<String>::new());
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}

#[test]
fn an_internal_service_is_replaced_and_its_neighbour_finds_it() {
    let Some(deployment) = Deployment::new("internal-new") else { return };
    deployment.deploy(&["invoices"]);
    let app = deployment.sandbox.via("invoice-app");
    deployment.deploy(&["invoices", "--set", "env.LOG=debug"]);
    let (status, body) = get(&app, "/health/provider").unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(deployment.running("payment-provider").len(), 1);
}
