//! What `doctor` asks of the engine that builds and runs images, of AWS and of a cluster.

mod aws;
mod cluster;
mod engine;

use doctor::{Check, Extra, Scene};

/// For the binary that has these backends.
pub(crate) const EXTRA: Extra = Extra { all, required };

fn all(scene: &Scene) -> Vec<Check> {
    let mut checks = engine::checks(scene);
    checks.extend(aws::checks(scene));
    checks.extend(cluster::checks(scene));
    checks
}

fn required(scene: &Scene) -> Vec<Check> {
    let mut checks = engine::required(scene);
    checks.extend(cluster::required(scene));
    checks
}
