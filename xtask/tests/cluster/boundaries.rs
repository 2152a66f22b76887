//! A run that is killed at a step's boundary, and the next one that goes on.

use super::deployment::Deployment;
use nix::sys::signal::Signal;
use serde_json::Value;

/// Where a run can be killed: when a step begins, and when it has ended.
fn boundaries(document: &Value) -> Vec<(&'static str, String)> {
    let steps = document["steps"].as_array().unwrap().iter();
    let done = steps.filter(|step| step["result"] == "done").map(|step| step["id"].as_str().unwrap().to_owned());
    done.flat_map(|id| [("started", id.clone()), ("ended", id)]).collect()
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

/// Runs the program and kills it at a boundary. `false` when it ended before.
fn kill_at(deployment: &Deployment, args: &[&str], boundary: &(&str, String)) -> bool {
    let mut running = deployment.sandbox.start(args);
    let (event, step) = boundary;
    let reached = running.wait_for(|record| record["event"] == *event && record["step"] == step.as_str());
    running.signal(Signal::SIGKILL);
    running.finish();
    reached
}

#[test]
fn a_deploy_that_is_killed_anywhere_is_resumed() {
    let Some(deployment) = Deployment::new("killed") else { return };
    let first = deployment.deploy(&["invoices"]);
    for boundary in sample(boundaries(&first), 3) {
        deployment.sandbox.xtask(["teardown", "--yes"]).success();
        kill_at(&deployment, &["deploy", "invoices", "--json"], &boundary);
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
        kill_at(&deployment, &["teardown", "--yes"], &boundary);
        let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
        assert_eq!(receipt["result"], "clean", "{boundary:?}: {receipt:#}");
        assert_eq!(deployment.everything(), Vec::<String>::new(), "{boundary:?}");
    }
}
