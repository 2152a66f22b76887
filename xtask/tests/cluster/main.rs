//! The promises of the target `kubernetes`, kept by the real binary in a real cluster: each test has a deployment of its
//! own, with namespaces of its own, and leaves nothing behind. Without a cluster they are skipped, which is said.
//!
//! The cluster is the context that `XTASK_E2E_CONTEXT` names (with `KUBECONFIG`), its registry `XTASK_E2E_REGISTRY`.

#![expect(clippy::disallowed_methods, reason = "tests start the program that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../e2e/carryover.rs"]
mod carryover;
#[path = "../e2e/client.rs"]
mod client;
#[path = "../contract/mod.rs"]
mod contract;
#[path = "../e2e/earlier.rs"]
mod earlier;
#[path = "../e2e/instants.rs"]
mod instants;
#[path = "../registry/place.rs"]
#[allow(dead_code, reason = "tests of registries use more of it")]
mod registry;
#[path = "../e2e/sandbox.rs"]
#[allow(dead_code, reason = "tests on the host use more of it")]
mod sandbox;
#[path = "../stranger/mod.rs"]
#[allow(dead_code, reason = "tests of other targets use more of it")]
mod stranger;
#[path = "../contract/turn.rs"]
mod turn;

mod deployment;
mod kubectl;
mod repeated;

mod access;
mod board;
mod boundaries;
mod drift;
mod failure;
mod jobs;
mod killed;
mod life;
mod names;
mod network;
mod pulling;
mod render;
mod replacement;
mod scale;
mod undeclared;
mod upgrade;
mod worker;
