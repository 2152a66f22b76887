//! The first deploy of all systems beside the longest path through its steps, and a deploy that has nothing to do
//! beside the first. In a scratch copy on free ports; the services are compiled before, so that what is measured is
//! the deploy and not the compiler.

use crate::measure::{command, median, millis, once, ratio, root, tool};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn run() {
    let copy = root().join("target/scratch/bench-deploy");
    xtask(&copy, &["teardown", "--yes"]).status().ok();
    remote_tools::scratch::copy_repository(root(), &copy).expect("copy the repository");
    // Compiles everything once and leaves nothing running.
    once(&mut xtask(&copy, &["deploy"]));
    once(&mut xtask(&copy, &["teardown", "--yes"]));

    let started = Instant::now();
    let output = xtask(&copy, &["deploy", "--json"]).stdout(Stdio::piped()).output().expect("deploy");
    let first = started.elapsed();
    let document: Value = serde_json::from_slice(&output.stdout).expect("deploy prints one document");
    let path = longest_path(&document, &copy.join(".slipway/local"));
    println!("  first deploy {}, longest path through its steps {}", millis(first), millis(path));
    println!("  first deploy / longest path: {}", ratio(first, path));

    let again = median(11, || once(&mut xtask(&copy, &["deploy"])));
    println!("  deploy with nothing to do {}: {} of the first", millis(again), ratio(again, first));
    once(&mut xtask(&copy, &["teardown", "--yes"]));
    std::fs::remove_dir_all(&copy).ok();
}

fn xtask(copy: &Path, args: &[&str]) -> Command {
    let mut command = command(tool());
    command.args(args).args(["--set", "ports=free"]).env("CARGO_TARGET_DIR", root().join("target"));
    if copy.is_dir() {
        command.current_dir(copy);
    }
    command
}

/// The time that the steps would take if only their needs held them up.
pub(crate) fn longest_path(document: &Value, home: &Path) -> Duration {
    let seconds: BTreeMap<&str, f64> = document["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|step| Some((step["id"].as_str()?, step["seconds"].as_f64()?)))
        .collect();
    let journal = home.join("runs").join(format!("{}.ndjson", document["run"].as_str().unwrap_or("")));
    let journal = std::fs::read_to_string(journal).expect("read the run's journal");
    let records = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let plan = records.into_iter().find(|record| record["event"] == "plan").expect("the journal has the plan");
    let mut ends: BTreeMap<String, f64> = BTreeMap::new();
    // The plan names every step after those it needs.
    for step in plan["steps"].as_array().into_iter().flatten() {
        let id = step["id"].as_str().unwrap_or_default();
        let needs = step["needs"].as_array().into_iter().flatten().filter_map(|need| ends.get(need.as_str()?));
        let start = needs.copied().fold(0.0, f64::max);
        ends.insert(id.to_owned(), start + seconds.get(id).copied().unwrap_or_default());
    }
    Duration::from_secs_f64(ends.values().copied().fold(0.0, f64::max))
}
