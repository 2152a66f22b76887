//! What was changed by hand is noticed by `plan` and put right by `deploy --verify`.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::kubectl::text;
use super::sandbox::{eventually, get};
use serde_json::Value;

/// Why `plan` would change a service.
fn planned(deployment: &Deployment, system: &str) -> String {
    let plan = deployment.sandbox.xtask(["plan", system, "--json"]).success().json();
    plan["systems"].to_string()
}

#[test]
fn what_was_changed_by_hand_is_noticed_and_put_right() {
    let deployment = skip::unless!(Deployment::new("drift"));
    deployment.deploy(&["shortener"]);
    let place = deployment.place("shortener");
    let release = deployment.helm_release("shortener");
    deployment
        .kubectl("shortener", ["set", "image", "statefulset/redis", "redis=docker.io/library/busybox:1.37"])
        .success();
    deployment.kubectl("shortener", ["delete", "service", "shortener"]).success();
    deployment.kubectl("shortener", ["set", "env", "deployment/shortener", "ADDED=by-hand"]).success();
    let seen = planned(&deployment, "shortener");
    for word in ["busybox", "is gone", "ADDED"] {
        assert!(seen.contains(word), "{word}: {seen}");
    }
    let document = deployment.deploy(&["shortener", "--verify"]);
    assert_eq!(document["result"], "deployed", "{document:#}");
    assert_eq!(get(&place, "/pw").unwrap().0, 200);
    let workload =
        deployment.kubectl("shortener", ["get", "deployment", "shortener", "--output=json"]).success().json();
    assert!(!workload.to_string().contains("by-hand"), "{workload:#}");
    assert_eq!(deployment.helm_release("shortener"), release, "it took no new release");
    assert!(!planned(&deployment, "shortener").contains("by hand"));
    a_removed_secret_is_made_again(&deployment);
    assert_eq!(
        deployment.deploy(&["shortener", "--set", "env.LOG=debug", "--set", "max_failed=1000000"])["result"],
        "deployed",
        "Helm goes on"
    );
}

/// It is no part of the release, and nothing would start again without it.
fn a_removed_secret_is_made_again(deployment: &Deployment) {
    let secrets = || -> Vec<String> {
        let all = deployment.cluster.list("secrets", &deployment.namespace("shortener"));
        let names = all.iter().map(|secret| text(secret, "/metadata/name").to_owned());
        names.filter(|name| name.starts_with("redis-")).collect()
    };
    let before = secrets();
    let [secret] = before.as_slice() else { panic!("{before:?}") };
    deployment.kubectl("shortener", ["delete", "secret", secret]).success();
    let seen = planned(deployment, "shortener");
    assert!(seen.contains("its Secret is gone from the cluster"), "{seen}");
    assert_eq!(deployment.deploy(&["shortener"])["result"], "deployed");
    assert_eq!(secrets(), before);
}

#[test]
fn replicas_that_an_autoscaler_owns_are_no_drift() {
    let deployment = skip::unless!(Deployment::new("replicas"));
    deployment.deploy(&["epoch"]);
    deployment.kubectl("epoch", ["scale", "deployment/epoch", "--replicas=3"]).success();
    eventually("nothing to change, once they are ready", || {
        let plan = planned(&deployment, "epoch");
        if plan.contains("\"services\":[]") { Ok(()) } else { Err(plan) }
    });
    let autoscaler = deployment.kubectl("epoch", ["get", "hpa", "epoch", "--output=json"]).success().json();
    assert_eq!(text(&autoscaler, "/spec/scaleTargetRef/name"), "epoch");
    let workload: Value = deployment.kubectl("epoch", ["get", "deployment", "epoch", "--output=json"]).success().json();
    assert!(workload["spec"]["replicas"].as_u64() >= Some(2), "{workload:#}");
}
