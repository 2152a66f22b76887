//! The append-only record of a run, one JSON document a line. Progress, `--json` and reports are all drawn from these
//! records, so they cannot disagree.

use anyhow::{Context, Result};
use base::error::Fault;
use base::redact;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The version of the records' shape.
pub const SCHEMA: u64 = 1;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    Done,
    Unchanged,
    Failed,
    Skipped,
    Cancelled,
}

impl StepResult {
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// The result that [`StepResult::word`] names so.
    pub fn of_word(word: &str) -> Option<Self> {
        let all = [Self::Done, Self::Unchanged, Self::Failed, Self::Skipped, Self::Cancelled];
        all.into_iter().find(|result| result.word() == word)
    }
}

/// The end of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEnd {
    pub result: StepResult,
    pub seconds: f64,
    pub reason: Option<String>,
    pub failure: Option<Fault>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Run {
        run: String,
        command: String,
        environment: String,
    },
    /// The steps that will be run, in the order of the plan.
    Plan {
        steps: Vec<PlannedStep>,
    },
    /// A step found something to do and begins to do it.
    Started {
        step: String,
    },
    /// What a running step waits for or does at this moment.
    Status {
        step: String,
        text: String,
    },
    /// Something that a running step saw happen, worth a line of its own.
    News {
        step: String,
        text: String,
    },
    /// A line of what a job says that a step runs.
    Output {
        step: String,
        text: String,
    },
    /// An outside program was started for a step.
    Command {
        step: String,
        argv: Vec<String>,
    },
    /// What a service was asked within about a second while a step replaced it.
    Asked {
        step: String,
        service: String,
        requests: u64,
        failed: u64,
    },
    /// What came of all of it.
    Measured {
        step: String,
        service: String,
        requests: u64,
        failed: u64,
        /// The longest time between two answers.
        longest_gap: Duration,
    },
    /// Where everything is that was gathered about a failure.
    Diagnostics {
        step: String,
        path: PathBuf,
        /// Causes, the first one first: code, cause, hint.
        findings: Vec<Fault>,
    },
    Ended {
        step: String,
        end: StepEnd,
    },
    /// A sentence about the run itself: a lease taken over, children waited for.
    Note {
        text: String,
    },
    Finished {
        result: String,
    },
}

/// What is known of a step before it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    pub id: String,
    pub title: String,
    pub system: Option<String>,
    pub needs: Vec<String>,
}

impl Event {
    /// The record's fields, without the time.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Run { run, command, environment } => {
                json!({"event": "run", "schema": SCHEMA, "run": run, "command": command, "env": environment})
            }
            Self::Plan { steps } => {
                let step = |step: &PlannedStep| json!({"id": step.id, "title": step.title, "system": step.system, "needs": step.needs});
                json!({"event": "plan", "steps": steps.iter().map(step).collect::<Vec<_>>()})
            }
            Self::Started { step } => json!({"event": "started", "step": step}),
            Self::Status { step, text } => json!({"event": "status", "step": step, "text": text}),
            Self::News { step, text } => json!({"event": "news", "step": step, "text": text}),
            Self::Output { step, text } => json!({"event": "output", "step": step, "text": text}),
            Self::Command { step, argv } => json!({"event": "command", "step": step, "argv": argv}),
            Self::Asked { step, service, requests, failed } => {
                json!({"event": "asked", "step": step, "service": service, "requests": requests, "failed": failed})
            }
            Self::Measured { step, service, requests, failed, longest_gap } => json!({
                "event": "measured", "step": step, "service": service, "requests": requests, "failed": failed,
                "longest_gap_seconds": longest_gap.as_secs_f64(),
            }),
            Self::Diagnostics { step, path, findings } => json!({
                "event": "diagnostics", "step": step, "path": path.to_string_lossy(),
                "findings": findings.iter().map(failure_json).collect::<Vec<_>>(),
            }),
            Self::Ended { step, end } => json!({
                "event": "ended", "step": step, "result": end.result.word(), "seconds": end.seconds,
                "reason": end.reason, "failure": end.failure.as_ref().map(failure_json),
            }),
            Self::Note { text } => json!({"event": "note", "text": text}),
            Self::Finished { result } => json!({"event": "finished", "result": result}),
        }
    }
}

fn failure_json(fault: &Fault) -> Value {
    json!({"code": fault.code, "cause": fault.cause, "hint": fault.hint})
}

/// Somebody who watches a run: a terminal's bars, plain lines, or nobody.
pub trait Watcher: Send {
    fn event(&mut self, event: &Event);
}

/// Takes events from every thread of a run, in order: to its file first, then to the watcher and to memory. Clones share
/// one record.
#[derive(Clone)]
pub struct Journal {
    run: String,
    inner: Arc<Mutex<Inner>>,
    started: Instant,
}

struct Inner {
    file: Option<File>,
    path: Option<PathBuf>,
    events: Vec<Event>,
    watcher: Box<dyn Watcher>,
}

impl Journal {
    /// A journal in `folder/RUN.ndjson`, or in memory alone when there is no folder to write to.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(folder: Option<&Path>, command: &str, environment: &str, watcher: Box<dyn Watcher>) -> Result<Self> {
        let run = run_id(SystemTime::now(), std::process::id());
        let (file, path) = match folder {
            None => (None, None),
            Some(folder) => {
                base::files::make_folder(folder).with_context(|| format!("make `{}`", folder.display()))?;
                let path = folder.join(format!("{run}.ndjson"));
                let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
                (Some(file.with_context(|| format!("make the journal `{}`", path.display()))?), Some(path))
            }
        };
        let inner = Arc::new(Mutex::new(Inner { file, path, events: Vec::new(), watcher }));
        let journal = Self { run: run.clone(), inner, started: Instant::now() };
        journal.record(Event::Run { run, command: command.to_owned(), environment: environment.to_owned() });
        Ok(journal)
    }

    /// The run's name: its UTC start and process number, which sort by time.
    pub fn run(&self) -> &str {
        &self.run
    }

    pub fn record(&self, event: Event) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut inner.file {
            let mut record = redact::document(&event.to_json());
            record["ms"] = json!(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
            // In one piece, so that a run that is killed leaves no half of it. A journal on a full disk must not stop the
            // deploy that could free it.
            let _ = file.write_all(format!("{record}\n").as_bytes());
        }
        inner.watcher.event(&event);
        inner.events.push(event);
    }

    pub fn note(&self, text: impl Into<String>) {
        self.record(Event::Note { text: text.into() });
    }

    /// Everything recorded so far.
    pub fn events(&self) -> Vec<Event> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).events.clone()
    }

    pub fn path(&self) -> Option<PathBuf> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).path.clone()
    }
}

/// `20261121T081344Z-4711`
fn run_id(now: SystemTime, pid: u32) -> String {
    let time = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
    format!("{time}-{pid}")
}

/// A watcher for runs whose answer is their only output.
pub fn nobody() -> Box<dyn Watcher> {
    struct Nobody;
    impl Watcher for Nobody {
        fn event(&mut self, _: &Event) {}
    }
    Box::new(Nobody)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn run_ids_sort_by_time() {
        let at = |seconds| run_id(UNIX_EPOCH + Duration::from_secs(seconds), 7);
        assert_eq!(at(1_700_000_000), "20231114T221320Z-7");
        assert!(at(1_700_000_000) < at(1_700_000_001));
    }

    #[test]
    fn an_ended_step_carries_its_failure() {
        let fault = Fault::failed("port-in-use", "port 1337 is held by `nc`");
        let end = StepEnd { result: StepResult::Failed, seconds: 0.5, reason: None, failure: Some(fault) };
        let record = Event::Ended { step: "ports".into(), end }.to_json();
        assert_eq!(record["failure"]["code"], "port-in-use");
        assert_eq!(record["result"], "failed");
    }
}
