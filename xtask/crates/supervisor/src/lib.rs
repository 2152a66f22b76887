//! The supervisor: one process per environment that outlives the command which started it, runs the services and
//! looks after them as Kubernetes would.
//!
//! A service has a current instance and at times a candidate beside it. With handover both accept on one socket that
//! the supervisor owns, so no connection is refused while one follows the other; without it the candidate gets its
//! turn when the current instance has ended, and that one is started again should the candidate fail. What takes no socket
//! and listens where it is told has a relay before it, which owns the port in its place. A container is a
//! process, too: its shim (see the crate of that name); which one of a service's containers is to serve is written where
//! an edge proxy reads it, before the one that served until then ends. A current instance is started again when it ends or fails three liveness probes, with growing pauses. A candidate is not:
//! its fate is the caller's to judge.
//!
//! The supervisor keeps no promise to its state files: specifications (and the secrets in them) live in its memory
//! alone. When it is killed its services run on, and the next one ends them by the identities it has recorded.
//!
//! What a service writes once the disk is full is lost. Services have to survive that failing write, and the
//! supervisor does.

mod backoff;
mod client;
pub mod container;
mod control;
mod ensure;
mod instance;
mod job;
mod launch;
mod launch_strategy;
mod logs;
pub mod probe;
mod protocol;
mod question;
mod records;
mod relay;
mod route;
mod schedule;
mod service;
mod service_manager;
mod status;
mod watch;

pub use client::{Client, Connection, Foreign};
pub use ensure::{Ensured, ensure};
pub use job::{JobEnd, JobFailure, JobRun, JobSpec, JobStatus};
pub use launch::{LaunchSpec, NOWHERE, overlap};
pub use launch_strategy::{Confirm, LaunchStrategy, PORT, Route};
pub use records::{Orphan, end_orphans, orphans, processes};
pub use status::{Ending, InstanceStatus, ServiceStatus, State};
pub use watch::run;

use std::io::Write;
use std::time::SystemTime;

/// The variable that marks every process of a deployment, the supervisor's among them; its value is the state folder.
pub const MARK: &str = "SLIPWAY_STATE";

/// Writes a line to the supervisor's log. Unlike `eprintln!` it does not panic when the disk is full.
fn note(line: &str) {
    let now = humantime::format_rfc3339_millis(SystemTime::now());
    let _ = writeln!(std::io::stderr(), "{now} {line}");
}
