//! One file per outside program: pure functions from what is wanted to the exact arguments, and from what the program
//! prints to types.

pub mod cargo;
pub mod oci;
pub mod python;
pub mod rustc;
