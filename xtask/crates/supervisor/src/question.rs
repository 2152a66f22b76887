//! How an instance is asked how it is, apart from everything that holds it: an answer may take seconds.

use super::launch::LaunchSpec;
use super::probe::{self, Seen};
use crate::container;
use base::os;
use base::proc::CommandLine;
use model::system::Probe;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A question to a running instance, to be asked without holding anything.
pub(super) struct Question {
    pub(super) number: u64,
    /// Which of the instance's processes is meant.
    pub(super) starts: u64,
    pub(super) pid: u32,
    pub(super) address: SocketAddr,
    /// The socket of a container's shim, which asks in our place.
    pub(super) shim: Option<PathBuf>,
    /// How long its process has run.
    pub(super) age: Duration,
    /// Where a command that is asked runs, and with which environment: as the process does.
    pub(super) dir: PathBuf,
    pub(super) env: BTreeMap<String, String>,
    /// Not asked before it was ready once.
    pub(super) live: Option<Probe>,
    pub(super) ready: Probe,
    /// Where it may listen instead, if it does not go by what it was told.
    pub(super) directly: Option<SocketAddr>,
    /// It should be ready by now; its own ports, which are then not worth mentioning.
    pub(super) overdue: Option<Vec<u16>>,
}

/// What came of a [`Question`].
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) starts: u64,
    pub(super) live: Option<Seen>,
    pub(super) ready: Seen,
    /// It is ready where it was not told to listen.
    pub(super) is_direct: bool,
    /// Where an overdue process listens instead.
    pub(super) elsewhere: Vec<u16>,
    pub(super) overdue: bool,
}

impl Question {
    /// Takes a few seconds at most. `None` when it cannot be asked.
    pub(super) fn ask(self) -> Option<Answer> {
        let live = match &self.live {
            Some(live) => Some(self.ask_for(live, container::LIVE)?),
            None => None,
        };
        let ready = match &live {
            Some(seen) if !seen.ok || self.live.as_ref() == Some(&self.ready) => seen.clone(),
            _ => self.ask_for(&self.ready, container::READY)?,
        };
        let directly = self.directly.filter(|_| !ready.ok).map(|address| probe::ask(&self.ready, address));
        let is_direct = directly.as_ref().is_some_and(|seen| seen.ok);
        let ready = directly.filter(|_| is_direct).unwrap_or(ready);
        let elsewhere = match &self.overdue {
            Some(own) if !ready.ok => self.elsewhere(own),
            _ => Vec::new(),
        };
        let overdue = self.overdue.is_some();
        Some(Answer { number: self.number, starts: self.starts, live, ready, is_direct, elsewhere, overdue })
    }

    fn ask_for(&self, probe: &Probe, at_shim: &str) -> Option<Seen> {
        match (&self.shim, probe) {
            (Some(shim), _) => probe::ask_shim(at_shim, shim).ok(),
            (None, Probe::Command(words)) => Some(probe::run(&self.command(words))),
            (None, Probe::Runs(long)) => Some(probe::runs(*long, self.age)),
            (None, _) => Some(probe::ask(probe, self.address)),
        }
    }

    /// A path is meant from the folder that it runs in.
    fn command(&self, words: &[String]) -> CommandLine {
        let (program, args) = words.split_first().map_or(("", words), |(program, args)| (program.as_str(), args));
        let program = if program.contains('/') { self.dir.join(program) } else { Path::new(program).to_owned() };
        let command = CommandLine::new(program).args(args).dir(&self.dir);
        self.env.iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    fn elsewhere(&self, own: &[u16]) -> Vec<u16> {
        // One that has no port misses none.
        if own.contains(&0) {
            return Vec::new();
        }
        if let Some(shim) = &self.shim {
            return container::explain(shim).into_iter().flat_map(|explained| explained.elsewhere).collect();
        }
        os::listening_ports(self.pid).into_iter().filter(|port| !own.contains(port)).collect()
    }
}

impl Answer {
    /// Why an overdue process was given up, and where it listens if it does so elsewhere.
    pub(super) fn why_not_ready(&self, spec: &LaunchSpec) -> String {
        let seconds = spec.ready_within.as_secs_f64();
        let mut text = format!("not ready within {seconds} s: {}", self.ready.text);
        if !self.elsewhere.is_empty() {
            let ports: Vec<String> = self.elsewhere.iter().map(u16::to_string).collect();
            text += &format!("; declared {}, but listens on {}", spec.declared_port(), ports.join(", "));
        }
        text
    }
}
