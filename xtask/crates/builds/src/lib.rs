//! Building crates of this repository: what a build sees, as the inputs of a content key, and the one run of cargo
//! that turns crates into binaries or errors. Of the images that are made of them only the end is here, since an
//! environment of any target may have some.

pub mod beyond;
pub mod cleanup;
mod compile;
mod sources;

pub use compile::{Compiled, compile};
pub use sources::{Compiler, Manner, Sources};
