//! The promises of the environment `containers`, kept by the real binary on a real engine: each test has a deployment of
//! its own, on free ports, and leaves nothing behind. Without an engine they are skipped, which is said.

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
#[path = "../e2e/killed.rs"]
mod killed;
#[path = "../e2e/sandbox.rs"]
#[allow(dead_code, reason = "tests on the host use more of it")]
mod sandbox;
#[path = "../stranger/mod.rs"]
#[allow(dead_code, reason = "tests of other targets use more of it")]
mod stranger;
#[path = "../contract/turn.rs"]
mod turn;

mod deployment;
mod engine;

mod add;
mod board;
mod confinement;
mod container;
mod failure;
mod files;
mod interrupt;
mod jobs;
mod life;
mod lost;
mod names;
mod network;
mod ports;
mod replacement;
mod secrets;
mod strangers;
mod undeclared;
mod upgrade;
mod worker;
