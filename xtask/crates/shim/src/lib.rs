//! How a container is run, and the process that stands for it. The engine's own daemon or monitor keeps a container running
//! whatever becomes of the client that started it, and knows nothing of probes that restart it. The shim is the process
//! that a supervisor can start, watch and end like any other: it lives as long as its container, ends as it ended, says
//! why, and passes on how it is. What both have to know of it is in [`supervisor::container`].

mod client;
pub mod edge;
mod ending;
pub mod ports;
mod run_spec;
mod serve;
mod shim;

pub use run_spec::{Mount, PROXIES, Publish, Run, RunSpec};
pub use shim::{End, run};
