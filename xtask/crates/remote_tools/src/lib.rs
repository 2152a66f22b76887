//! Outside programs that only clusters, AWS and the checks of this repository take, a file each: pure functions from what is
//! wanted to the exact arguments, and from what the program prints to types.

pub mod actionlint;
pub mod aws;
pub mod git;
pub mod helm;
pub mod k3d;
pub mod kind;
pub mod kubectl;
pub mod local_cluster;
pub mod minikube;
pub mod scratch;
pub mod terraform;
