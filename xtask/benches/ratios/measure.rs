//! Runs programs and tells how long they took.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The checkout that is measured.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ is inside the repository")
}

/// The tool as `cargo xtask` builds it.
pub(crate) fn tool() -> PathBuf {
    let asked = Command::new("rustc").args(["--print", "host-tuple"]).output().expect("run rustc");
    root().join("target").join(String::from_utf8_lossy(&asked.stdout).trim()).join("xtask/xtask")
}

/// A scratch folder below `target/`, empty.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = root().join("target/scratch").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("make a scratch folder");
    folder
}

/// A program without what cargo sets for a benchmark and nobody would have set.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(root()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub(crate) fn is_there(program: &str) -> bool {
    which::which(program).is_ok()
}

/// How long one run takes. A program that fails would be measured for nothing, so that ends the benchmark.
pub(crate) fn once(command: &mut Command) -> Duration {
    let started = Instant::now();
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
    started.elapsed()
}

/// The median of several runs, after one that warms caches.
pub(crate) fn median(runs: usize, mut run: impl FnMut() -> Duration) -> Duration {
    run();
    median_of((0..runs).map(|_| run()).collect())
}

/// The medians of two that take turns, so that a machine that gets slower does so for both.
pub(crate) fn turns(
    runs: usize,
    mut one: impl FnMut() -> Duration,
    mut other: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    one();
    other();
    let (ones, others) = (0..runs).map(|_| (one(), other())).unzip();
    (median_of(ones), median_of(others))
}

pub(crate) fn median_of(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The processor time that a program and its children take, on all cores together. It has to end with one of these codes.
pub(crate) fn cpu_of(command: &mut Command, codes: &[i32]) -> Duration {
    let before = children_cpu();
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.code().is_some_and(|code| codes.contains(&code)), "{command:?} ended with {status}");
    children_cpu().saturating_sub(before)
}

pub(crate) fn children_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("ask for the children's processor time");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

pub(crate) fn ratio(of: Duration, to: Duration) -> String {
    format!("{:.2}", of.as_secs_f64() / to.as_secs_f64().max(f64::EPSILON))
}
