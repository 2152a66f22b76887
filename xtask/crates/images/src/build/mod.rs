//! Building crates of this repository: what a build sees, as the inputs of a content key, and the one run of cargo
//! that turns crates into binaries or errors.

pub mod beyond;
mod compile;
mod sources;

pub use compile::{Compiled, compile};
pub use sources::{Compiler, Manner, Sources};
