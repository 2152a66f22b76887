//! The promises of the environment `containers`, kept by the real binary on a real engine: each test has a deployment of
//! its own, on free ports, and leaves nothing behind. Without an engine they are skipped, which is said.

#![expect(clippy::disallowed_methods, reason = "tests start the program that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../e2e/client.rs"]
mod client;
#[path = "../e2e/sandbox.rs"]
#[allow(dead_code, reason = "tests on the host use more of it")]
mod sandbox;

mod deployment;
mod engine;

mod confinement;
mod failure;
mod life;
mod replacement;
