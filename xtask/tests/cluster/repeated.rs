//! What tests of deployments to a cluster have in common: a mark by which what outlives a killed test is found again, whose
//! a service is, and runs that are killed at the boundaries of steps.

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

/// The system of a service of this repository.
pub(crate) fn system_of(service: &str) -> &str {
    match service {
        "clock" => "epoch",
        "redis" => "shortener",
        "invoice-app" | "payment-provider" | "ledger" => "invoices",
        "front" => "board",
        "producer" | "consumer" | "emulator" => "messages",
        other => other,
    }
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

/// Where a run can be killed: when a step begins, and when it has ended. Without a name it is whichever comes first.
pub(crate) type Boundary = (&'static str, Option<String>);

/// The beginning of the first step that has something to do, which there is in a run that does anything, and the
/// boundaries of a sample of the steps that `--dry-run` shows of it.
pub(crate) fn boundaries(sandbox: &Sandbox, args: &[&str], few: usize) -> Vec<Boundary> {
    let plan = sandbox.xtask([args, &["--dry-run", "--json"]].concat()).success().json();
    let ids = plan["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap().to_owned());
    let sampled = sample(ids.collect(), few).into_iter();
    let both = sampled.flat_map(|id: String| [("started", Some(id.clone())), ("ended", Some(id))]);
    std::iter::once(("started", None)).chain(both).collect()
}

/// Runs the program again and again. Each run goes on where the one before was killed, and is killed at the first of these
/// boundaries that none was killed at; the last one, which comes to its end, is returned. A step that has nothing to do does
/// not begin, but ends: its beginning alone may be left over.
pub(crate) fn killed_in_turn(sandbox: &Sandbox, args: &[&str], mut left: Vec<Boundary>) -> Run {
    let position = |left: &[Boundary], record: &Value| {
        let is_it = |step: &Option<String>| step.as_deref().is_none_or(|step| record["step"] == step);
        left.iter().position(|(event, step)| record["event"] == *event && is_it(step))
    };
    loop {
        let mut running = sandbox.start(args);
        if !running.wait_for(|record| position(&left, record).is_some()) {
            let run = running.finish();
            let may_be_left = |(event, step): &Boundary| *event == "started" && step.is_some();
            assert!(left.iter().all(may_be_left), "{left:?} never came:\n{}", run.stderr);
            return run;
        }
        running.signal(Signal::SIGKILL);
        let reached = running.records().iter().find_map(|record| position(&left, record)).unwrap();
        let (event, step) = left.remove(reached);
        eprintln!("killed when {} had {event}", step.as_deref().unwrap_or("the first one"));
        running.finish();
    }
}
