//! The promises of the commands, kept by the real binary with real services: each test has an environment of its own,
//! on free ports, and leaves nothing behind.

#![expect(clippy::disallowed_methods, reason = "tests start the program that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod machine;
mod sandbox;
mod stage;

mod cli;
mod client;
mod failure;
mod interrupt;
mod life;
mod state;
mod systems;
