//! The page that `report` writes, looked at in a real browser. Without one the looking is skipped, which is said.

#![expect(clippy::disallowed_methods, reason = "tests start the program that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../e2e/sandbox.rs"]
#[allow(dead_code, reason = "tests of deployments use more of it")]
mod sandbox;
#[path = "../e2e/stage.rs"]
#[allow(dead_code, reason = "tests of deployments use more of it")]
mod stage;

mod browser;

mod choice;
mod made_up;
mod real;
