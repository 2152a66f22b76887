//! What tests of deployments that outlive a killed test have in common: a mark by which they are found again, and runs that
//! are killed at the boundaries of steps.

use super::sandbox::{Run, Sandbox, checkout};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Four digits that no other checkout of this machine has, and that stay the same, so that what a killed test has left
/// is found again.
pub(crate) fn mark() -> String {
    let mut hasher = DefaultHasher::new();
    checkout().hash(&mut hasher);
    format!("{:04x}", hasher.finish() & 0xffff)
}

/// All of them when everything is asked for, else every so many, which ones differing from day to day.
fn sample<T>(all: Vec<T>, few: usize) -> Vec<T> {
    if std::env::var_os("XTASK_FULL").is_some() {
        return all;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = std::env::var("XTASK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now.as_secs() / 86_400);
    eprintln!("seed {seed} of {} steps (XTASK_SEED repeats it)", all.len());
    let (count, every) = (all.len(), all.len().div_ceil(few).max(1));
    let first = usize::try_from(seed).unwrap_or_default() % every;
    all.into_iter().skip(first).step_by(every).take(count).collect()
}

/// Where a run can be killed: when a step begins, and when it has ended.
pub(crate) type Boundary = (&'static str, String);

/// The boundaries of a sample of the steps that `--dry-run` shows of a run.
pub(crate) fn boundaries(sandbox: &Sandbox, args: &[&str], few: usize) -> Vec<Boundary> {
    let plan = sandbox.xtask([args, &["--dry-run", "--json"]].concat()).success().json();
    let ids = plan["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap().to_owned());
    sample(ids.collect(), few).into_iter().flat_map(|id: String| [("started", id.clone()), ("ended", id)]).collect()
}

/// Runs the program again and again. Each run goes on where the one before was killed, and is killed at the first of these
/// boundaries that none was killed at; the last one, which comes to its end, is returned. A step that has nothing to do does
/// not begin, but ends.
pub(crate) fn killed_in_turn(sandbox: &Sandbox, args: &[&str], mut left: Vec<Boundary>) -> Run {
    let position = |left: &[Boundary], record: &Value| {
        left.iter().position(|(event, step)| record["event"] == *event && record["step"] == step.as_str())
    };
    loop {
        let mut running = sandbox.start(args);
        if !running.wait_for(|record| position(&left, record).is_some()) {
            let run = running.finish();
            assert!(left.iter().all(|(event, _)| *event == "started"), "{left:?} never came:\n{}", run.stderr);
            return run;
        }
        running.signal(Signal::SIGKILL);
        let reached = running.records().iter().find_map(|record| position(&left, record)).unwrap();
        let (event, step) = left.remove(reached);
        eprintln!("killed when `{step}` had {event}");
        running.finish();
    }
}
