//! What `doctor` asks of AWS and of a cluster.

mod aws;
mod cluster;

use doctor::{Check, Extra, Scene};

/// For the binary that has these backends.
pub(crate) const EXTRA: Extra = Extra { all, required: cluster::required };

fn all(scene: &Scene) -> Vec<Check> {
    let mut checks = aws::checks(scene);
    checks.extend(cluster::checks(scene));
    checks
}
