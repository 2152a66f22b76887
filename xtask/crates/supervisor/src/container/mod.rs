//! Containers as the supervisor runs them: each behind a shim, a process of this program that stands for it.
//!
//! The engine's own daemon or monitor keeps a container running whatever becomes of the client that started it, and
//! knows nothing of probes that restart it. The shim is the process that a supervisor can start, watch and end like any
//! other: it lives as long as its container, ends as it ended, says why, and passes on how it is.

mod client;
pub mod edge;
mod ending;
mod explain;
mod place;
pub mod ports;
mod serve;
mod shim;
mod spec;

pub use serve::{LIVE, READY, RELOAD};

pub use explain::{Explained, explain};
pub use place::{Place, Reach};
pub use shim::{End, run};
pub use spec::{INSTANCE, NAME, ShimSpec};
