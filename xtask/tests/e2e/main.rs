//! The promises of the commands, kept by the real binary with real services: each test has an environment of its own,
//! on free ports, and leaves nothing behind.

#![expect(clippy::disallowed_methods, reason = "tests start the program that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod carryover;
#[path = "../contract/mod.rs"]
mod contract;
mod deployed;
mod earlier;
mod instants;
mod machine;
mod sandbox;
mod stage;
#[path = "../stranger/mod.rs"]
#[allow(dead_code, reason = "tests of other targets use more of it")]
mod stranger;

mod adopted;
mod board;
mod cli;
mod client;
mod documents;
mod failure;
mod files;
mod firsthours;
mod folder;
mod interrupt;
mod jobs;
mod killed;
mod life;
mod logs;
mod many;
mod names;
mod planted;
mod ports;
mod records;
mod render;
mod secrets;
mod sources;
mod state;
mod store;
mod systems;
mod terminal;
mod undeclared;
mod upgrade;
mod worker;
