//! Containers as the supervisor runs them: each behind a shim, a process of this program that stands for it.
//!
//! The engine's own daemon or monitor keeps a container running whatever becomes of the client that started it, and
//! knows nothing of probes that restart it. The shim is the process that a supervisor can start, watch and end like any
//! other: it lives as long as its container, ends as it ended, says why, and passes on how it is.

pub mod edge;
mod explain;
mod place;
mod spec;

pub use explain::{Explained, explain};
pub use place::{Place, Reach};
pub use spec::{INSTANCE, NAME, ShimSpec};
