//! Containers as the supervisor runs them: each behind a shim, a process that stands for it and is a crate of its own.
//! Here is what the two tell each other.

mod explain;
mod place;
mod spec;

pub use explain::{EXPLAIN, Explained, explain};
pub use place::{Place, Reach};
pub use spec::{INSTANCE, NAME, ShimSpec};

/// How the container is.
pub const READY: &str = "/ready";
pub const LIVE: &str = "/live";
/// Has a proxy look for its routes, where the file system does not tell it of changes.
pub const RELOAD: &str = "/reload";
