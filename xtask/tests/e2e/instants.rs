//! Random instants at which runs are killed. The same `XTASK_SEED` gives the same ones.

use super::sandbox::{Running, Sandbox};
use nix::sys::signal::Signal;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// xorshift64*
pub(crate) struct Instants(u64);

impl Instants {
    pub(crate) fn new() -> Self {
        let given = std::env::var("XTASK_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let seed = given.unwrap_or_else(now).max(1);
        eprintln!("random instants of `XTASK_SEED={seed}`");
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end.max(1)
    }

    pub(crate) fn within(&mut self, whole: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(whole.as_micros()).unwrap()))
    }
}

/// How many are tried: all of them with `XTASK_FULL=1`, else a sample.
pub(crate) fn count(sample: u32, full: u32) -> u32 {
    if std::env::var_os("XTASK_FULL").is_some_and(|wanted| wanted == "1") { full } else { sample }
}

/// A run of the program that was killed at an instant. One that has ended by then was not, and the next finds nothing to do.
pub(crate) fn killed(sandbox: &Sandbox, command: Command, after: Duration) -> Running {
    let run = sandbox.start_command(command);
    // The instant is what is tried here, so that there is nothing to wait for but it.
    std::thread::sleep(after);
    run.signal(Signal::SIGKILL);
    run
}
