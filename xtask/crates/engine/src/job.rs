//! What is the same for the jobs of every target: which one is meant, what is recorded of it, whether it has to run, and
//! what is said of one that failed.

use crate::deployment::{Deployment, unknown};
use crate::journal::Event;
use crate::plan::runner::StepCx;
use crate::plan::{Action, StepId};
use anyhow::Result;
use base::error::Fault;
use base::redact;
use model::job::Job;
use model::name::{JobName, SystemName};
use model::system::System;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// How many of a job's last lines a failure repeats.
const LAST_LINES: usize = 10;

/// The step that runs a job.
pub fn step_id(system: &SystemName, job: &JobName) -> StepId {
    Action::new("job").of(&format!("{system}/{job}"))
}

/// What came of a job when it ran last.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRun {
    /// When it was started, UTC.
    pub at: String,
    pub succeeded: bool,
    pub seconds: f64,
    /// How it ended, where that was not well.
    pub detail: Option<String>,
}

impl LastRun {
    pub fn to_json(&self) -> Value {
        let result = if self.succeeded { "succeeded" } else { "failed" };
        json!({"at": self.at, "result": result, "seconds": self.seconds, "detail": self.detail})
    }

    /// "succeeded at 2026-11-30T22:00:00Z in 1.5 s"
    pub fn words(&self) -> String {
        let how = match (&self.detail, self.succeeded) {
            (_, true) => "succeeded",
            (Some(detail), false) => detail,
            (None, false) => "failed",
        };
        format!("{how}, {:.1} s, {}", self.seconds, self.at)
    }
}

/// What is recorded of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobRecord {
    /// What it was made of when it succeeded last.
    pub key: Option<String>,
    pub last: Option<LastRun>,
}

impl JobRecord {
    /// Of null, there is nothing.
    pub fn from_json(value: &Value) -> Self {
        let last = || {
            let last = &value["last"];
            Some(LastRun {
                at: last["at"].as_str()?.to_owned(),
                succeeded: last["result"] == "succeeded",
                seconds: last["seconds"].as_f64().unwrap_or_default(),
                detail: last["detail"].as_str().map(str::to_owned),
            })
        };
        Self { key: value["key"].as_str().map(str::to_owned), last: last() }
    }

    /// Why a release has to run it, made of what has this key; `None` where it ran for exactly that.
    pub fn why(&self, key: Option<&str>) -> Option<String> {
        match (&self.key, &self.last) {
            (Some(done), _) if Some(done.as_str()) == key => None,
            (_, Some(last)) if !last.succeeded => Some(format!("its last run failed: {}", last.words())),
            (Some(_), _) => Some("what it is made of has changed since it ran".to_owned()),
            (None, _) => Some("it has not run yet".to_owned()),
        }
    }

    /// What to say of one that need not run.
    pub fn done(&self) -> String {
        let at = self.last.as_ref().filter(|last| last.succeeded).map(|last| format!(" at {}", last.at));
        format!("it ran for exactly this{}", at.unwrap_or_default())
    }
}

/// A job as it is at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct JobStatus {
    pub name: JobName,
    /// What makes it run; `None` where no file declares it.
    pub when: Option<String>,
    pub last: Option<LastRun>,
    pub runs: bool,
}

impl JobStatus {
    pub(crate) fn to_json(&self) -> Value {
        let last = self.last.as_ref().map(LastRun::to_json);
        json!({"name": self.name.as_str(), "when": self.when, "last": last, "running": self.runs})
    }
}

/// The last lines of what a job says.
#[derive(Debug, Default)]
pub struct LastLines(VecDeque<String>);

impl LastLines {
    /// Takes a line of it, which the journal has then, too.
    pub fn hand_on(&mut self, cx: &StepCx<'_>, line: &str) {
        self.add(line);
        cx.record(|step| Event::Output { step, text: line.to_owned() });
    }

    fn add(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == LAST_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    /// That a job failed, and how: "exited with code 3".
    pub fn failure(&self, job: &JobName, how: &str) -> Fault {
        let lines: Vec<String> = self.0.iter().map(|line| format!("\n    {}", redact::foreign(line))).collect();
        let said = if lines.is_empty() { "; it said nothing" } else { "\n  its last lines:" };
        Fault::failed("job-failed", format!("the job `{job}` {how}{said}{}", lines.concat()))
    }
}

/// A job by the name a user typed: `JOB`, or `SYSTEM/JOB` where two systems have one of that name.
///
/// # Errors
/// When there is none, or several are called so.
pub fn find<'d>(deployment: &'d Deployment, name: &str) -> Result<(&'d System, &'d Job)> {
    let (of, job) = name.split_once('/').map_or((None, name), |(of, job)| (Some(of), job));
    let all = || deployment.spec.systems.iter().flat_map(|system| system.jobs.iter().map(move |job| (system, job)));
    let is_meant = |(system, known): &(&System, &Job)| {
        known.name.as_str() == job && of.is_none_or(|of| system.name.as_str() == of)
    };
    let found: Vec<_> = all().filter(is_meant).collect();
    match found[..] {
        [found] => Ok(found),
        [] => {
            let names: Vec<String> = all().map(|(system, job)| format!("{}/{}", system.name, job.name)).collect();
            if names.is_empty() {
                return Err(Fault::usage(format!("unknown job `{name}`; no system declares any"))
                    .hint("`[jobs.NAME]` in a file of `deploy/systems/` declares one")
                    .into());
            }
            let short =
                names.iter().map(|full| if of.is_some() { full } else { full.rsplit("/").next().unwrap_or(full) });
            Err(unknown("job", name, short).into())
        }
        _ => {
            let names: Vec<String> =
                found.iter().map(|(system, job)| format!("`{}/{}`", system.name, job.name)).collect();
            Err(Fault::usage(format!("several systems have a job `{name}`"))
                .hint(format!("name one: {}", names.join(", ")))
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_runs_a_job_once_for_each_change_and_again_after_a_failure() {
        let last = json!({"at": "2026-11-30T22:00:00Z", "result": "succeeded", "seconds": 1.5, "detail": null});
        let record = |value: &Value| JobRecord::from_json(value);
        assert_eq!(record(&Value::Null).why(Some("a")).unwrap(), "it has not run yet");
        let done = record(&json!({"schema": 1, "key": "a", "last": last}));
        assert_eq!(
            (done.why(Some("a")), done.done()),
            (None, "it ran for exactly this at 2026-11-30T22:00:00Z".to_owned())
        );
        assert_eq!(done.why(Some("b")).unwrap(), "what it is made of has changed since it ran");
        assert_eq!(done.why(None), done.why(Some("b")));
        let failed =
            json!({"at": "2026-11-30T23:00:00Z", "result": "failed", "seconds": 2, "detail": "exited with code 3"});
        let failed = record(&json!({"key": "a", "last": failed}));
        let why = "its last run failed: exited with code 3, 2.0 s, 2026-11-30T23:00:00Z";
        assert_eq!(failed.why(Some("b")).unwrap(), why);
        // It ran well for this before, which another that failed since does not undo.
        assert_eq!(failed.why(Some("a")), None);
    }

    #[test]
    fn a_failure_says_how_it_ended_and_its_last_lines() {
        let mut lines = LastLines::default();
        let job = "migrate".parse().unwrap();
        let cause = |lines: &LastLines| lines.failure(&job, "exited with code 3").cause;
        assert_eq!(cause(&lines), "the job `migrate` exited with code 3; it said nothing");
        (0..12).for_each(|number| lines.add(&format!("line {number}\t")));
        lines.add(" ");
        let said = cause(&lines);
        assert!(said.starts_with("the job `migrate` exited with code 3\n  its last lines:\n    line 2"), "{said}");
        assert!(said.trim_end().ends_with("\n    line 11"), "{said}");
    }
}
