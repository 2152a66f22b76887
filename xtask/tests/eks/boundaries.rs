//! A run that is killed at a step's boundary, and the next one that goes on.

use super::deployment::Deployment;
use serde_json::Value;

/// Where a run can be killed: when a step begins, and when it has ended.
fn boundaries<'s>(ids: impl Iterator<Item = &'s str>) -> Vec<(&'static str, String)> {
    ids.flat_map(|id| [("started", id.to_owned()), ("ended", id.to_owned())]).collect()
}

fn ids(document: &Value) -> Vec<&str> {
    document["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect()
}

/// All of them when everything is asked for, else every so many, which ones differing from day to day.
fn sample(all: Vec<(&'static str, String)>, few: usize) -> Vec<(&'static str, String)> {
    if std::env::var_os("XTASK_FULL").is_some() {
        return all;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = std::env::var("XTASK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now.as_secs() / 86_400);
    eprintln!("seed {seed} of {} boundaries (XTASK_SEED repeats it)", all.len());
    let (count, every) = (all.len(), all.len().div_ceil(few).max(1));
    let first = usize::try_from(seed).unwrap_or_default() % every;
    all.into_iter().skip(first).step_by(every).take(count).collect()
}

#[test]
fn a_deploy_and_a_teardown_that_are_killed_anywhere_are_resumed() {
    let Some(deployment) = Deployment::new("killed") else { return };
    let plan = deployment.sandbox.xtask(["deploy", "epoch", "--dry-run", "--json"]).success().json();
    for boundary in sample(boundaries(ids(&plan).into_iter()), 1) {
        let reached = deployment.kill_at(&["deploy", "epoch", "--yes", "--json"], &boundary);
        let resumed = deployment.deploy(&["epoch"]);
        assert_ne!(resumed["result"], "failed", "{boundary:?}: {resumed:#}");
        assert!(reached || resumed["result"] == "unchanged", "{boundary:?}: {resumed:#}");
        assert_eq!(deployment.get("epoch", "/").unwrap().0, 200, "{boundary:?}");
        deployment.ends_clean();
    }
    deployment.deploy(&["epoch"]);
    let plan = deployment.sandbox.xtask(["teardown", "--dry-run", "--json"]).success().json();
    for boundary in sample(boundaries(ids(&plan).into_iter()), 1) {
        deployment.deploy(&["epoch"]);
        deployment.kill_at(&["teardown", "--yes"], &boundary);
        deployment.ends_clean();
    }
}
