//! The promises of the target `eks`, kept by the real binary with the real Terraform, Helm and kubectl against an AWS that
//! `AWS_ENDPOINT_URL` names: each test has a deployment of its own and leaves nothing behind. Without `XTASK_E2E_AWS=1`
//! they are skipped, which is said: nobody's own account is ever touched by a test.
//!
//! Beside the variables that `aws` and `terraform` read themselves there are `XTASK_E2E_AWS_IN_PODS`, the endpoint as pods
//! reach it, and `XTASK_E2E_CHARTS`, where the load balancer controller's chart is.

#![expect(clippy::disallowed_methods, reason = "tests start the program that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../cluster/repeated.rs"]
mod repeated;
#[path = "../e2e/sandbox.rs"]
#[allow(dead_code, reason = "tests on the host use more of it")]
mod sandbox;

mod account;
mod deployment;
mod proxy;

mod boundaries;
mod faults;
mod life;
