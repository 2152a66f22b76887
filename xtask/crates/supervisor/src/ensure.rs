//! Makes sure that a state folder has its supervisor.

use super::client::{Client, Connection, Foreign};
use super::records::{self, Orphan};
use anyhow::{Context, Result, bail};
use base::proc;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long a supervisor may take from its start to its first answer.
const START_WITHIN: Duration = Duration::from_secs(10);
/// How long one of another version may take to end its services and itself.
const REPLACE_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked for meanwhile.
const POLL: Duration = Duration::from_millis(10);
/// As much of its last words as an error carries.
const LONGEST_TAIL: u64 = 4096;

/// A supervisor that answers, and what had to end for it.
#[derive(Debug)]
pub struct Ensured {
    pub client: Client,
    /// One of another version of this program, ended with its services.
    pub replaced: Option<Foreign>,
    /// Services that an earlier supervisor had left behind when it was killed.
    pub orphans: Vec<Orphan>,
}

/// Finds the supervisor of a state folder, or starts one that outlives us.
///
/// `program` is this binary. The supervisor runs a copy of its own, so that a build does not pull it away. `env` is its
/// whole environment: it need only have what marks it as part of the deployment, and a PATH.
///
/// # Errors
/// When it does not come up; the error carries the end of its log.
pub fn ensure(state_dir: &Path, program: &Path, env: &BTreeMap<String, String>) -> Result<Ensured> {
    let state_dir = &std::path::absolute(state_dir)?;
    let replaced = match Client::connect(state_dir) {
        Connection::Live(client) if !client.has_ended() => {
            return Ok(Ensured { client, replaced: None, orphans: Vec::new() });
        }
        Connection::Live(_) | Connection::Absent => None,
        Connection::Foreign(foreign) => Some(replace(foreign)?),
    };
    let orphans = records::end_orphans(state_dir);
    let log_path = records::log_file(state_dir);
    let log = base::files::append(&log_path)?;
    let log_start = log.metadata()?.len();
    copy_program(program, state_dir)?;
    let deadline = Instant::now() + START_WITHIN;
    let child = spawn(state_dir, env, &log, deadline)?;
    match await_answer(state_dir, child, deadline) {
        Ok(client) => Ok(Ensured { client, replaced, orphans }),
        Err(error) => {
            let words = tail(&log_path, log_start);
            let words = if words.is_empty() { words } else { format!("; its log ends with:\n{words}") };
            bail!("the supervisor did not come up: {error:#}{words}")
        }
    }
}

fn replace(foreign: Foreign) -> Result<Foreign> {
    if !foreign.end(REPLACE_WITHIN) {
        let Foreign { process, protocol } = foreign;
        bail!("the supervisor of another version (process {}, protocol {protocol}) does not end", process.pid);
    }
    Ok(foreign)
}

/// Under its final name the copy is whole, and never one that a running supervisor uses.
fn copy_program(program: &Path, state_dir: &Path) -> Result<()> {
    let copy = records::program_file(state_dir);
    let beside = copy.with_extension(std::process::id().to_string());
    let attempt = || {
        std::fs::create_dir_all(copy.parent().unwrap_or(state_dir))?;
        std::fs::copy(program, &beside)?;
        std::fs::rename(&beside, &copy)
    };
    attempt().with_context(|| format!("copy `{}` to `{}`", program.display(), copy.display()))
}

fn spawn(state_dir: &Path, env: &BTreeMap<String, String>, log: &File, deadline: Instant) -> Result<Child> {
    let program = records::program_file(state_dir);
    loop {
        match proc::spawn_supervisor(&program, state_dir, env, log.try_clone()?) {
            // A process that another thread was just starting held the copy open for writing until it ran its program.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::sleep(POLL);
            }
            outcome => return outcome.map_err(|error| proc::cannot_start(&program, error)),
        }
    }
}

fn await_answer(state_dir: &Path, mut child: Child, deadline: Instant) -> Result<Client> {
    loop {
        // Asked before it is looked for: another one that was faster is then there already.
        let ended = child.try_wait()?;
        if let Connection::Live(client) = Client::connect(state_dir)
            && client.status().is_ok()
        {
            return Ok(client);
        }
        if let Some(status) = ended {
            bail!("it ended with {status}");
        }
        if Instant::now() >= deadline {
            let _ = child.kill().and_then(|()| child.wait());
            bail!("it did not answer within {} s", START_WITHIN.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// What was written to the log from `start` on, the end of it.
fn tail(log: &Path, start: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(end.saturating_sub(LONGEST_TAIL)).min(end)))?;
        let mut bytes = Vec::new();
        file.take(LONGEST_TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}
