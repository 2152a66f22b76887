//! A run that is killed at a step's boundary, and the next one that goes on.

use super::deployment::Deployment;
use super::repeated::{kill_at, sample};
use serde_json::Value;

/// Where a run can be killed: when a step begins, and when it has ended.
fn boundaries<'s>(ids: impl Iterator<Item = &'s str>) -> Vec<(&'static str, String)> {
    ids.flat_map(|id| [("started", id.to_owned()), ("ended", id.to_owned())]).collect()
}

fn ids(document: &Value) -> Vec<&str> {
    document["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect()
}

/// Half of the boundaries are a deploy's, the others a teardown's.
#[test]
fn a_deploy_and_a_teardown_that_are_killed_anywhere_are_resumed() {
    let Some(deployment) = Deployment::new("killed") else { return };
    let of = |line: &[&'static str]| {
        let verb = line[0];
        let plan = deployment.sandbox.xtask([line, &["--dry-run", "--json"]].concat()).success().json();
        boundaries(ids(&plan).into_iter()).into_iter().map(move |(event, step)| (verb, event, step))
    };
    for (verb, event, step) in sample(of(&["deploy", "epoch"]).chain(of(&["teardown"])).collect(), 2) {
        let boundary = (event, step);
        if verb == "deploy" {
            deployment.teardown();
            kill_at(&deployment.sandbox, &["deploy", "epoch", "--yes", "--json"], &boundary);
            let resumed = deployment.deploy(&["epoch"]);
            assert_ne!(resumed["result"], "failed", "{boundary:?}: {resumed:#}");
            assert_eq!(deployment.get("epoch", "/").unwrap().0, 200, "{boundary:?}");
        } else {
            deployment.deploy(&["epoch"]);
            kill_at(&deployment.sandbox, &["teardown", "--yes"], &boundary);
            deployment.ends_clean();
        }
    }
}
