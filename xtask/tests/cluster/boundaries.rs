//! A run that is killed at a step's boundary, and the next one that goes on.

use super::deployment::Deployment;
use super::repeated::{kill_at, sample};
use serde_json::Value;

/// Where a run can be killed: when a step begins, and when it has ended.
fn boundaries(document: &Value) -> Vec<(&'static str, String)> {
    let steps = document["steps"].as_array().unwrap().iter();
    let done = steps.filter(|step| step["result"] == "done").map(|step| step["id"].as_str().unwrap().to_owned());
    done.flat_map(|id| [("started", id.clone()), ("ended", id)]).collect()
}

#[test]
fn a_deploy_that_is_killed_anywhere_is_resumed() {
    let Some(deployment) = Deployment::new("killed") else { return };
    let first = deployment.deploy(&["invoices"]);
    for boundary in sample(boundaries(&first), 3) {
        deployment.sandbox.xtask(["teardown", "--yes"]).success();
        kill_at(&deployment.sandbox, &["deploy", "invoices", "--json"], &boundary);
        let resumed = deployment.deploy(&["invoices"]);
        assert_ne!(resumed["result"], "failed", "{boundary:?}: {resumed:#}");
        deployment.sandbox.xtask(["smoke", "invoices"]).success();
    }
}

#[test]
fn a_teardown_that_is_killed_anywhere_is_resumed() {
    let Some(deployment) = Deployment::new("undone") else { return };
    deployment.deploy(&["shortener"]);
    let plan = deployment.sandbox.xtask(["teardown", "--dry-run", "--json"]).success().json();
    let ids = plan["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap().to_owned());
    let all = ids.flat_map(|id| [("started", id.clone()), ("ended", id)]).collect();
    for boundary in sample(all, 2) {
        deployment.deploy(&["shortener"]);
        kill_at(&deployment.sandbox, &["teardown", "--yes"], &boundary);
        let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
        assert_eq!(receipt["result"], "clean", "{boundary:?}: {receipt:#}");
        assert_eq!(deployment.everything(), Vec::<String>::new(), "{boundary:?}");
    }
}
