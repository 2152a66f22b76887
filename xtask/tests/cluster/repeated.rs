//! What tests of deployments that outlive a killed test have in common: a mark by which they are found again, and runs that
//! are killed at a step's boundary.

use super::sandbox::{Sandbox, checkout};
use nix::sys::signal::Signal;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Four digits that no other checkout of this machine has, and that stay the same, so that what a killed test has left
/// is found again.
pub(crate) fn mark() -> String {
    let mut hasher = DefaultHasher::new();
    checkout().hash(&mut hasher);
    format!("{:04x}", hasher.finish() & 0xffff)
}

/// All of them when everything is asked for, else every so many, which ones differing from day to day.
pub(crate) fn sample<T>(all: Vec<T>, few: usize) -> Vec<T> {
    if std::env::var_os("XTASK_FULL").is_some() {
        return all;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = std::env::var("XTASK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now.as_secs() / 86_400);
    eprintln!("seed {seed} of {} boundaries (XTASK_SEED repeats it)", all.len());
    let (count, every) = (all.len(), all.len().div_ceil(few).max(1));
    let first = usize::try_from(seed).unwrap_or_default() % every;
    all.into_iter().skip(first).step_by(every).take(count).collect()
}

/// Runs the program and kills it when a step begins or ends. `false` when it ended before.
pub(crate) fn kill_at(sandbox: &Sandbox, args: &[&str], boundary: &(&str, String)) -> bool {
    let mut running = sandbox.start(args);
    let (event, step) = boundary;
    let reached = running.wait_for(|record| record["event"] == *event && record["step"] == step.as_str());
    running.signal(Signal::SIGKILL);
    running.finish();
    reached
}
