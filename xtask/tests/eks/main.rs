//! The promises of the target `eks`, kept by the real binary with the real Terraform, Helm and kubectl against an AWS that
//! `AWS_ENDPOINT_URL` names: each test has a deployment of its own and leaves nothing behind. Without `XTASK_E2E_AWS=1`
//! they are skipped, which is said: nobody's own account is ever touched by a test.
//!
//! Beside the variables that `aws` and `terraform` read themselves there are `XTASK_E2E_AWS_IN_PODS`, the endpoint as pods
//! reach it, `XTASK_E2E_CHARTS`, where the load balancer controller's chart is, and `XTASK_E2E_AWS_CA`, the file of who
//! signs the load balancers' certificates.

#![expect(clippy::disallowed_methods, reason = "tests start the program that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../e2e/carryover.rs"]
mod carryover;
#[path = "../e2e/client.rs"]
#[allow(dead_code, reason = "tests of other targets use more of it")]
mod client;
#[path = "../contract/mod.rs"]
#[allow(dead_code, unused_imports, reason = "other targets keep more of it by tests of their own")]
mod contract;
#[path = "../e2e/earlier.rs"]
mod earlier;
#[path = "../registry/head.rs"]
#[allow(dead_code, reason = "tests of registries use more of it")]
mod head;
#[path = "../e2e/instants.rs"]
#[allow(dead_code, reason = "the other targets' tests count their kills")]
mod instants;
#[path = "../cluster/repeated.rs"]
mod repeated;
#[path = "../e2e/sandbox.rs"]
#[allow(dead_code, reason = "tests on the host use more of it")]
mod sandbox;
#[path = "../stranger/mod.rs"]
#[allow(dead_code, reason = "tests of other targets use more of it")]
mod stranger;

mod account;
mod deployment;
mod proxy;

mod boundaries;
mod domain;
mod faults;
mod killed;
mod life;
mod undeclared;
mod upgrade;
