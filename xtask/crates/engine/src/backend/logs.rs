//! What services and jobs say, and how it is read: the same lines, whoever keeps them.

use anyhow::Result;
use base::ctx::Ctx;
use model::name::{JobName, ServiceName, SystemName};
use std::time::{Duration, SystemTime};

/// A service or a job, whose log is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speaker {
    Service(SystemName, ServiceName),
    Job(SystemName, JobName),
}

impl Speaker {
    pub fn system(&self) -> &SystemName {
        match self {
            Self::Service(system, _) | Self::Job(system, _) => system,
        }
    }

    /// As a person names it.
    pub fn shown(&self) -> String {
        match self {
            Self::Service(_, service) => service.shown(),
            Self::Job(_, job) => job.to_string(),
        }
    }
}

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub text: Vec<u8>,
    /// When it was said, where that is known.
    pub time: Option<SystemTime>,
    /// Which instance said it, where there are several.
    pub instance: Option<String>,
}

/// What is handed on of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Line(LogLine),
    /// All that was said up to now is handed on; what follows is new.
    UpToNow,
}

/// Takes what is said, and tells whether somebody still reads.
pub type Sink<'s> = dyn FnMut(Said) -> Result<bool> + 's;

/// A log that can be read.
pub trait LogSource: Send + Sync {
    /// Hands on what was said, in order, then [`Said::UpToNow`], and what is said from then on where that is wanted, until
    /// `stop` is true or the sink says that nobody reads. Replacements and restarts of who says it do not end it.
    ///
    /// # Errors
    /// `no-logs` when nothing was said yet; when it cannot be read.
    fn read(
        &self,
        ctx: &Ctx,
        request: &LogRequest,
        stop: &(dyn Fn() -> bool + Sync),
        sink: &mut Sink<'_>,
    ) -> Result<()>;
}

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRequest {
    /// How many of the last lines come first.
    pub lines: usize,
    /// No line that is older.
    pub since: Option<Duration>,
    /// Go on until somebody stops it.
    pub follow: bool,
}
