//! `doctor` as a whole beside its slowest probe, and beside its probes' processor time over the cores.

use crate::measure::{children_cpu, command, median, millis, ratio, tool};
use serde_json::Value;
use std::process::Stdio;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

const RUNS: usize = 11;

pub(crate) fn run() {
    let cores = u32::try_from(available_parallelism().map_or(1, usize::from)).unwrap_or(1);
    let mut floors = Vec::new();
    let whole = median(RUNS, || {
        let cpu = children_cpu();
        let started = Instant::now();
        let mut doctor = command(tool());
        let output = doctor.args(["doctor", "--json"]).stdout(Stdio::piped()).output().expect("run doctor");
        let took = started.elapsed();
        let report: Value = serde_json::from_slice(&output.stdout).expect("doctor prints one document");
        let slowest = report["checks"].as_array().into_iter().flatten().filter_map(|check| check["ms"].as_u64()).max();
        let slowest = Duration::from_millis(slowest.unwrap_or_default());
        let cpu = (children_cpu().saturating_sub(cpu)) / cores;
        floors.push((slowest.max(cpu), slowest, cpu));
        took
    });
    floors.sort();
    let (floor, slowest, cpu) = floors[floors.len() / 2];
    println!("  whole {}, slowest probe {}, processor time over cores {}", millis(whole), millis(slowest), millis(cpu));
    println!("  whole / larger of the two: {} (aimed at: 1.30)", ratio(whole, floor));
}
