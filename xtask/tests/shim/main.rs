//! Drives the real supervisor and the real shim with containers: those of a script that stands in for an engine, and,
//! where there is one, those of a real engine.

#![allow(clippy::unwrap_used, reason = "a test that panics fails, which is what is meant")]

mod edge;
mod engine;
mod fake;
#[path = "../supervisor/fixture.rs"]
mod fixture;
mod life;
mod load;
mod program;
mod routes;
#[allow(dead_code, reason = "the tests of processes need more of it")]
#[path = "../supervisor/scratch.rs"]
mod scratch;
