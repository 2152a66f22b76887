//! The chart `helm/app`, as Helm renders it for every system: what it refuses, what it makes, and what a cluster says to
//! that. Each Helm that is there is asked: `helm` on PATH, and one of version 3 by the variable `XTASK_HELM3`. The cluster
//! is the context that `XTASK_E2E_CONTEXT` names (with `KUBECONFIG`). Without them tests are skipped, which is said.

#![expect(clippy::disallowed_methods, reason = "tests start the programs that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod helm;
mod systems;

mod cluster;
mod network;
mod objects;
mod ports;
mod refusals;
