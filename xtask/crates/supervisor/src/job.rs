//! A job's process, from its start to its end: whoever runs it, a command or the supervisor by the clock, looks after it
//! alike. A job never runs twice at a time, which a lock beside its record sees to.

use super::container;
use super::launch::{LaunchSpec, millis};
use super::launch_strategy::LaunchStrategy;
use super::status::Ending;
use anyhow::{Context, Result, bail};
use base::files;
use base::os::{self, ProcessId};
use base::proc::{ServiceChild, ServiceCommand};
use model::cron::Cron;
use model::name::{JobName, SystemName};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A job as it is started.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    pub system: SystemName,
    pub name: JobName,
    /// Its program. Nothing of it listens, and nothing is probed.
    pub launch: LaunchSpec,
    /// How long it may take before it is ended.
    pub within: Duration,
    /// When the supervisor runs it.
    pub cron: Option<Cron>,
    /// The file that has what came of it.
    pub record: PathBuf,
}

impl JobSpec {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "system": self.system.as_str(), "job": self.name.as_str(), "launch": self.launch.to_json(),
            "within_ms": millis(self.within), "cron": self.cron.map(|cron| cron.to_string()),
            "record": self.record.to_string_lossy(),
        })
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let cron = match &value["cron"] {
            Value::Null => None,
            cron => Some(cron.as_str()?.parse().ok()?),
        };
        Some(Self {
            system: value["system"].as_str()?.parse().ok()?,
            name: value["job"].as_str()?.parse().ok()?,
            launch: LaunchSpec::from_json(&value["launch"])?,
            within: Duration::from_millis(value["within_ms"].as_u64()?),
            cron,
            record: value["record"].as_str()?.into(),
        })
    }
}

/// A job that a supervisor has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    pub system: SystemName,
    pub name: JobName,
    pub release: String,
    pub cron: String,
    pub runs: bool,
}

impl JobStatus {
    pub(super) fn to_json(&self) -> Value {
        let Self { system, name, release, cron, runs } = self;
        json!({"system": system.as_str(), "job": name.as_str(), "release": release, "cron": cron, "runs": runs})
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str();
        Some(Self {
            system: text("system")?.parse().ok()?,
            name: text("job")?.parse().ok()?,
            release: text("release")?.to_owned(),
            cron: text("cron")?.to_owned(),
            runs: value["runs"].as_bool()?,
        })
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEnd {
    /// When it was started, UTC.
    pub at: String,
    pub seconds: f64,
    /// Why it is none that counts.
    pub failure: Option<JobFailure>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobFailure {
    Ended {
        ending: Ending,
        reason: Option<String>,
    },
    /// It took longer than this.
    Overdue(Duration),
    Stopped,
}

/// "exited with code 3"
impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { ending, reason: None } => ending.fmt(f),
            Self::Ended { ending, reason: Some(reason) } => write!(f, "{ending} ({reason})"),
            Self::Overdue(within) => {
                write!(
                    f,
                    "was ended, since it took longer than the {} of its `within`",
                    humantime::format_duration(*within)
                )
            }
            Self::Stopped => f.write_str("was stopped"),
        }
    }
}

impl JobEnd {
    fn to_json(&self) -> Value {
        let result = if self.failure.is_some() { "failed" } else { "succeeded" };
        json!({
            "at": self.at, "result": result, "seconds": self.seconds,
            "detail": self.failure.as_ref().map(ToString::to_string),
        })
    }
}

/// A job that runs.
pub struct JobRun {
    spec: JobSpec,
    child: ServiceChild,
    id: Option<ProcessId>,
    at: SystemTime,
    started: Instant,
    /// Set when it was told to end: when it is killed, and why it was.
    ending: Option<(Instant, JobFailure)>,
    /// Nobody else runs it meanwhile.
    _lock: File,
}

impl JobRun {
    /// Starts it. `exec` is this binary.
    ///
    /// # Errors
    /// When it runs already, or its program cannot be started.
    pub fn start(spec: JobSpec, exec: &Path) -> Result<Self> {
        let lock = lock(&spec)?;
        let mut env = spec.launch.env.clone();
        env.insert(container::INSTANCE.to_owned(), "1".to_owned());
        let LaunchSpec { program, args, dir, log, style, .. } = &spec.launch;
        let command = ServiceCommand { program, args, dir, env: &env, log };
        let child = match style {
            LaunchStrategy::Container { place, .. } => {
                command.spawn_shim(exec, &spec.launch.shim(place.clone()).to_json().to_string())?.0
            }
            LaunchStrategy::Plain | LaunchStrategy::Worker | LaunchStrategy::Handover | LaunchStrategy::Relay => {
                command.spawn()?
            }
        };
        let id = os::identity(child.pid());
        Ok(Self { spec, child, id, at: SystemTime::now(), started: Instant::now(), ending: None, _lock: lock })
    }

    /// Its process, while that is there.
    pub fn id(&self) -> Option<&ProcessId> {
        self.id.as_ref()
    }

    /// Tells it to end, now.
    pub fn stop(&mut self, now: Instant) {
        self.end(JobFailure::Stopped, now);
    }

    fn end(&mut self, why: JobFailure, now: Instant) {
        if self.ending.is_none() {
            self.child.signal_group(Signal::SIGTERM);
            self.ending = Some((now + self.spec.launch.kill_after(), why));
        }
    }

    /// How it ended, once it has; that is then in its record. `counts`: so does a success, for what it was made of.
    ///
    /// # Errors
    /// When the system cannot say, or the record cannot be written.
    pub fn tend(&mut self, counts: bool, now: Instant) -> Result<Option<JobEnd>> {
        if let Some(status) = self.child.try_wait()? {
            let ending = Ending::of(status);
            let failure = match self.ending.take() {
                Some((_, why)) => Some(why),
                None if status.success() => None,
                None => Some(JobFailure::Ended { ending, reason: self.child.refusal() }),
            };
            let at = humantime::format_rfc3339_seconds(self.at).to_string();
            let end = JobEnd { at, seconds: self.started.elapsed().as_secs_f64(), failure };
            self.record(counts, &end)?;
            return Ok(Some(end));
        }
        match &self.ending {
            Some((kill_at, _)) if now >= *kill_at => self.child.signal_group(Signal::SIGKILL),
            Some(_) => {}
            None if now.duration_since(self.started) >= self.spec.within => {
                self.end(JobFailure::Overdue(self.spec.within), now);
            }
            None => {}
        }
        Ok(None)
    }

    fn record(&self, counts: bool, end: &JobEnd) -> Result<()> {
        let mut record = files::read_json(&self.spec.record)?.unwrap_or_else(|| json!({"schema": 1}));
        record["last"] = end.to_json();
        if counts && end.failure.is_none() {
            record["key"] = self.spec.launch.release.as_str().into();
        }
        files::write_json(&self.spec.record, &record)
    }
}

/// The right to run a job, as long as the file is open.
fn lock(spec: &JobSpec) -> Result<File> {
    let path = spec.record.with_extension("lock");
    let file = files::append(&path).with_context(|| format!("open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("`{}` runs already", spec.name),
        // Where files cannot be locked (NFS), the lease keeps commands apart.
        Err(TryLockError::Error(_)) => Ok(file),
    }
}
