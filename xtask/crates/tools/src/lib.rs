//! One file per outside program: pure functions from what is wanted to the exact arguments, and from what the program
//! prints to types.

pub mod actionlint;
pub mod aws;
pub mod cargo;
pub mod git;
pub mod helm;
pub mod k3d;
pub mod kind;
pub mod kubectl;
pub mod local_cluster;
pub mod minikube;
pub mod object;
pub mod oci;
pub mod python;
pub mod rustc;
pub mod terraform;
