//! Runs that are killed at random instants, and the next one, which has to make everything right without help.
//!
//! In turn a first deploy is killed, then one that changes every service, then a teardown. Every other time the
//! supervisor is killed with the run. The same command again has to succeed, and what it leaves is looked at.

use super::instants::{Instants, count, killed};
use super::sandbox::{Run, Sandbox};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use supervisor::{Client, Connection};

/// How many runs are killed with `XTASK_FULL=1`, and how many in a sample of them.
const FULL: u32 = 60;
const SAMPLE: u32 = 6;

/// A deployment that is killed again and again.
pub(crate) struct Killed<'a> {
    pub(crate) sandbox: &'a Sandbox,
    /// The systems that are deployed; none means all of them.
    pub(crate) systems: &'a [&'a str],
    /// Looks at what a deploy has left, and panics where it is not as it should be.
    pub(crate) stands: &'a dyn Fn(),
    /// The same after a teardown.
    pub(crate) is_gone: &'a dyn Fn(),
}

/// What is done, killed, and done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Change,
    Teardown,
}

impl Killed<'_> {
    pub(crate) fn again_and_again(&self) {
        let mut instants = Instants::new();
        let whole = self.whole();
        for number in 0..count(SAMPLE, FULL) {
            let (turn, whole) = [Turn::First, Turn::Change, Turn::Teardown]
                .into_iter()
                .zip(whole)
                .nth(usize::try_from(number % 3).unwrap())
                .unwrap();
            let with_supervisor = instants.below(2) == 1;
            let after = instants.within(whole);
            let what = format!("kill {number}: {turn:?} after {after:?} of {whole:?}, supervisor {with_supervisor}");
            eprintln!("{what}");
            self.kill(turn, number, after, with_supervisor);
            let again = self.run(turn, number);
            assert_eq!(again.code(), 0, "{what}\nstdout:\n{}\nstderr:\n{}", again.stdout, again.stderr);
            match turn {
                Turn::First | Turn::Change => (self.stands)(),
                Turn::Teardown => (self.is_gone)(),
            }
        }
        self.run(Turn::Teardown, 0).success();
    }

    /// How long each of them takes when nobody kills it.
    fn whole(&self) -> [Duration; 3] {
        // Compiles what there is to compile, which is not what is looked at.
        self.run(Turn::First, 0).success();
        self.run(Turn::Teardown, 0).success();
        [Turn::First, Turn::Change, Turn::Teardown].map(|turn| {
            let started = Instant::now();
            self.run(turn, 1).success();
            started.elapsed()
        })
    }

    fn args(&self, turn: Turn, number: u32) -> Vec<String> {
        let args = match turn {
            Turn::First => vec!["deploy".to_owned(), "--json".to_owned()],
            Turn::Change => {
                vec!["deploy".to_owned(), "--json".to_owned(), "--set".to_owned(), format!("env.N={number}")]
            }
            Turn::Teardown => vec!["teardown".to_owned(), "--json".to_owned(), "--yes".to_owned()],
        };
        args.into_iter().chain(self.systems.iter().map(|system| (*system).to_owned())).collect()
    }

    fn run(&self, turn: Turn, number: u32) -> Run {
        self.sandbox.xtask(self.args(turn, number))
    }

    fn kill(&self, turn: Turn, number: u32, after: Duration, with_supervisor: bool) {
        let run = killed(self.sandbox, self.sandbox.command(self.args(turn, number)), after);
        if with_supervisor && let Connection::Live(client) = Client::connect(&self.sandbox.home()) {
            base::os::signal(client.process(), Signal::SIGKILL);
        }
        run.finish();
    }
}
