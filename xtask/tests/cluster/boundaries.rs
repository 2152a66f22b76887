//! Runs that are killed at the boundaries of steps, and the next one that goes on.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::repeated::{boundaries, killed_in_turn};

#[test]
fn a_deploy_that_is_killed_anywhere_is_resumed() {
    let deployment = skip::unless!(Deployment::new("killed"));
    let boundaries = boundaries(&deployment.sandbox, &["deploy", "invoices"], 2);
    let run = killed_in_turn(&deployment.sandbox, &["deploy", "invoices", "--json"], boundaries).success();
    assert_ne!(run.json()["result"], "failed", "{}", run.stdout);
    deployment.sandbox.xtask(["smoke", "invoices"]).success();
}

#[test]
fn a_teardown_that_is_killed_anywhere_is_resumed() {
    let deployment = skip::unless!(Deployment::new("undone"));
    deployment.deploy(&["shortener"]);
    let boundaries = boundaries(&deployment.sandbox, &["teardown"], 2);
    let run = killed_in_turn(&deployment.sandbox, &["teardown", "--yes", "--json"], boundaries).success();
    assert_eq!(run.json()["result"], "clean", "{}", run.stdout);
    assert_eq!(deployment.everything(), Vec::<String>::new());
}
