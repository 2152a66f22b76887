//! Drives the real supervisor: the `xtask` binary with its hidden commands, started as `deploy` starts it.

#![allow(clippy::unwrap_used, reason = "a test that panics fails, which is what is meant")]

mod fixture;
mod handover;
mod launching;
mod lifecycle;
mod liveness;
mod orphans;
mod program;
mod relay;
mod scratch;
