//! Runs that are killed at the boundaries of steps, and the next one that goes on. Without `--full` those that are killed at
//! random instants, on the load balancer that systems share, stand for them.

use super::contract::Deployed;
use super::deployment::{Deployment, asked_for};
use super::repeated::{boundaries, killed_in_turn};

#[test]
fn a_deploy_and_a_teardown_that_are_killed_anywhere_are_resumed() {
    skip::unless!(asked_for());
    let deployment = skip::unless!(Deployment::new("killed"));
    let sandbox = &deployment.sandbox;
    let of_deploy = boundaries(sandbox, &["deploy", "epoch"], 1);
    let deployed = killed_in_turn(sandbox, &["deploy", "epoch", "--yes", "--json"], of_deploy).success().json();
    assert_ne!(deployed["result"], "failed", "{deployed:#}");
    assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
    let of_teardown = boundaries(sandbox, &["teardown"], 1);
    let receipt = killed_in_turn(sandbox, &["teardown", "--yes", "--json"], of_teardown).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.left(), Vec::<String>::new());
}
