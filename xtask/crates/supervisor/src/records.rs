//! The files by which a supervisor and its services are found again: `supervisor.json`, how to talk to it, and
//! `services.json`, which processes it has started.
//!
//! Both only name processes by an identity that no other process can have, so a file that outlived its processes is
//! harmless.

use super::launch::millis;
use anyhow::{Context, Result};
use base::files;
use base::http::Via;
use base::os;
use base::os::ProcessId;
use base::socket;
use model::name::ServiceName;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a killed process may take to be gone.
const KILL_WITHIN: Duration = Duration::from_secs(5);
/// How long one that no record names may take to end: nobody knows how long it is allowed to.
const STRAYS_WITHIN: Duration = Duration::from_secs(30);

/// Where things are in a state folder.
pub(super) fn contact_file(state_dir: &Path) -> PathBuf {
    state_dir.join("supervisor.json")
}

pub(super) fn lock_file(state_dir: &Path) -> PathBuf {
    state_dir.join("supervisor.lock")
}

pub(super) fn log_file(state_dir: &Path) -> PathBuf {
    state_dir.join("supervisor.log")
}

/// The supervisor's own copy of its program.
pub(super) fn program_file(state_dir: &Path) -> PathBuf {
    state_dir.join("bin").join("xtask")
}

fn services_file(state_dir: &Path) -> PathBuf {
    state_dir.join("services.json")
}

/// How to talk to a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) protocol: u64,
    pub(super) process: ProcessId,
    pub(super) listens: Listens,
    pub(super) token: String,
}

/// Where a supervisor listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listens {
    /// On the socket in this folder.
    Socket(PathBuf),
    /// On 127.0.0.1, as earlier versions do.
    Port(u16),
}

impl Listens {
    fn from_json(value: &Value) -> Option<Self> {
        match value["port"].as_u64() {
            Some(port) => u16::try_from(port).ok().map(Self::Port),
            None => Some(Self::Socket(PathBuf::from(value["socket"].as_str()?))),
        }
    }
}

impl Contact {
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&self, state_dir: &Path) -> Result<()> {
        let mut document = json!({
            "schema": 1, "protocol": self.protocol, "process": self.process.to_json(), "token": self.token,
        });
        match &self.listens {
            Listens::Socket(folder) => document["socket"] = json!(folder.to_string_lossy()),
            Listens::Port(port) => document["port"] = json!(port),
        }
        replace(&contact_file(state_dir), &document)
    }

    /// That of the supervisor that runs now; a file without a live process is nothing.
    pub(super) fn of_live(state_dir: &Path) -> Option<Self> {
        Self::read(state_dir).filter(|contact| os::is_alive(&contact.process))
    }

    /// What the file says; nothing when it is not there or was damaged.
    pub(super) fn read(state_dir: &Path) -> Option<Self> {
        let value = files::read_json(&contact_file(state_dir)).ok()??;
        Some(Self {
            protocol: value["protocol"].as_u64()?,
            process: ProcessId::from_json(&value["process"])?,
            listens: Listens::from_json(&value)?,
            token: value["token"].as_str()?.to_owned(),
        })
    }
}

/// A service's process that a supervisor has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) service: ServiceName,
    pub(super) release: String,
    pub(super) process: ProcessId,
    pub(super) listen: SocketAddr,
    pub(super) admin: Option<Via>,
    pub(super) state: &'static str,
    pub(super) restarts: u64,
    pub(super) stop_within: Duration,
}

impl Record {
    fn to_json(&self) -> Value {
        json!({
            "service": self.service.as_str(), "release": self.release, "process": self.process.to_json(),
            "listen": self.listen.to_string(), "admin": self.admin.as_ref().map(Via::to_string),
            "state": self.state, "restarts": self.restarts, "stop_within_ms": millis(self.stop_within),
        })
    }
}

/// # Errors
/// When the file cannot be written.
pub(super) fn write(state_dir: &Path, records: &[Record]) -> Result<()> {
    replace(&services_file(state_dir), &document(records))
}

/// Whether the file still says so.
pub(super) fn are_written(state_dir: &Path, records: &[Record]) -> bool {
    files::read_json(&services_file(state_dir)).is_ok_and(|there| there == Some(document(records)))
}

fn document(records: &[Record]) -> Value {
    json!({"schema": 1, "services": records.iter().map(Record::to_json).collect::<Vec<_>>()})
}

/// Whether a supervisor holds the folder, even one that cannot be found because its contact was damaged.
pub(super) fn is_held(state_dir: &Path) -> bool {
    let Ok(lock) = File::open(lock_file(state_dir)) else { return false };
    // Shared, so that those who only look do not take each other for a supervisor.
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// Unlike what the rest of the tool writes, it need not survive a crash of the machine, which would end all it tells
/// of; and it must not make the folder again when somebody has removed that.
fn replace(path: &Path, document: &Value) -> Result<()> {
    let beside = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        writeln!(file, "{document:#}")?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("write `{}`", path.display()))
}

/// A service's process whose supervisor is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub service: ServiceName,
    pub release: String,
    pub process: ProcessId,
    pub listen: SocketAddr,
    stop_within: Duration,
}

impl Orphan {
    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            service: value["service"].as_str()?.parse().ok()?,
            release: value["release"].as_str()?.to_owned(),
            process: ProcessId::from_json(&value["process"])?,
            listen: value["listen"].as_str()?.parse().ok()?,
            stop_within: Duration::from_millis(value["stop_within_ms"].as_u64()?),
        })
    }
}

/// The processes that a supervisor, which is gone, has left running. Empty while a supervisor runs: then they are its.
pub fn orphans(state_dir: &Path) -> Vec<Orphan> {
    match Contact::of_live(state_dir) {
        None if !is_held(state_dir) => recorded(state_dir),
        _ => Vec::new(),
    }
}

/// The numbers of all processes of the folder's supervisor, of those that a killed one has left, and of all that these
/// have started. What was started a moment ago stands in no record yet, and what has left its family has the mark.
pub fn processes(state_dir: &Path) -> BTreeSet<u32> {
    let marked = os::processes_with_env(super::MARK, &state_dir.to_string_lossy());
    let known = Contact::of_live(state_dir).map(|contact| contact.process);
    let known = known.into_iter().chain(recorded(state_dir).into_iter().map(|orphan| orphan.process));
    os::families_of(&known.chain(marked.into_iter().map(|process| process.id)).map(|id| id.pid).collect())
}

/// The recorded processes that still run.
fn recorded(state_dir: &Path) -> Vec<Orphan> {
    let document = files::read_json(&services_file(state_dir)).ok().flatten().unwrap_or_default();
    let listed = document["services"].as_array().into_iter().flatten().filter_map(Orphan::from_json);
    listed.filter(|orphan| os::is_alive(&orphan.process)).collect()
}

/// Ends the orphans, each with all it has started, as their supervisor would have: SIGTERM, and SIGKILL after the time
/// that each is allowed. Returns those that were there; [`orphans`] says whether one has survived.
pub fn end_orphans(state_dir: &Path) -> Vec<Orphan> {
    let orphans = orphans(state_dir);
    end(&orphans);
    if Contact::of_live(state_dir).is_none() && !is_held(state_dir) {
        end_strays(state_dir);
        socket::sweep();
    }
    orphans
}

/// What a new supervisor does before it writes its own records over those of the last.
pub(super) fn end_recorded(state_dir: &Path) {
    end(&recorded(state_dir));
    end_strays(state_dir);
    socket::sweep();
}

fn end(orphans: &[Orphan]) {
    let started = Instant::now();
    // Whoever is left of a group whose leader has ended could no longer be told from others.
    let families = os::members_of(&orphans.iter().map(|orphan| orphan.process.pid).collect());
    for orphan in orphans {
        os::signal_group(&orphan.process, Signal::SIGTERM);
    }
    for orphan in orphans {
        os::wait_gone(&orphan.process, started + orphan.stop_within);
        os::signal_group(&orphan.process, Signal::SIGKILL);
    }
    let deadline = Instant::now() + KILL_WITHIN;
    for process in &families {
        os::signal(process, Signal::SIGKILL);
        os::wait_gone(process, deadline);
    }
}

/// Ends what carries the mark of this folder and stands in no record: a supervisor was killed between starting it and
/// writing that down. Other supervisors of the folder are among it, which have nothing to look after as long as the
/// caller has its place.
fn end_strays(state_dir: &Path) {
    let strays = os::processes_with_env(super::MARK, &state_dir.to_string_lossy());
    let deadline = Instant::now() + STRAYS_WITHIN;
    strays.iter().for_each(|stray| os::signal(&stray.id, Signal::SIGTERM));
    for stray in &strays {
        os::wait_gone(&stray.id, deadline);
        os::signal(&stray.id, Signal::SIGKILL);
    }
    let deadline = Instant::now() + KILL_WITHIN;
    for stray in &strays {
        os::wait_gone(&stray.id, deadline);
    }
}
