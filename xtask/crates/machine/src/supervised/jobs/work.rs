//! The work of the steps: a job is run and followed to its end, given to the supervisor, or forgotten.

use super::PlannedJob;
use crate::supervised::Supervised;
use crate::supervised::auto_rollback::{self, Changes};
use crate::supervised::recipe::Recipe;
use crate::supervised::start::{self, Secrets};
use anyhow::{Context, Result, anyhow};
use base::error::Fault;
use base::files;
use engine::job::LastLines;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use engine::release;
use keys::Digest;
use model::name::{JobName, SystemName};
use model::system::System;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use supervisor::{JobEnd, JobFailure, JobRun, JobSpec, JobStatus as Scheduled};

/// How often a job that runs is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What the ledger calls what the jobs of a system said.
const LOGS: &str = "logs of the jobs of ";

pub(super) struct JobWork {
    pub(super) core: Arc<Supervised>,
    pub(super) system: System,
    pub(super) planned: PlannedJob,
    /// What the release that it is part of has changed; `None` where somebody has asked for it.
    pub(super) changes: Option<Changes>,
}

impl Work for JobWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let PlannedJob { job, recipe, .. } = &self.planned;
        if self.changes.is_none() {
            return Ok(None);
        }
        let Some(spec) = self.core.job_spec(&self.system, job, recipe, Secrets::Known)? else { return Ok(None) };
        let record = self.core.read_record(&self.system.name, &job.name)?;
        Ok(record.why(Some(&spec.launch.release)).is_none().then(|| record.done()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let Some(changes) = &self.changes else { return self.launch(cx) };
        let (core, system) = (&self.core, &self.system.name);
        release::or_restore(
            cx,
            || self.launch(cx),
            |fault| fault,
            || {
                start::put_back(core, &self.planned.recipe, system);
                let switched = changes.failed();
                let units = auto_rollback::revert(core, system, &switched, cx)?;
                let differs = |proven: &_| auto_rollback::differs(proven, &switched);
                Ok(auto_rollback::restored(&units, auto_rollback::restore(core, system, differs, cx)?))
            },
        )
    }
}

impl JobWork {
    fn launch(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (core, PlannedJob { job, recipe, .. }) = (&self.core, &self.planned);
        core.prepare_job(&self.system, recipe)?;
        let spec = core.job_spec(&self.system, job, recipe, Secrets::Make)?;
        let spec = spec.ok_or_else(|| anyhow!("the job `{}` is made of something that is not there yet", job.name))?;
        let mut said = Tail::at_end(&spec.launch.log);
        let mut lines = LastLines::default();
        let run = JobRun::start(spec, &core.own_program).with_context(|| format!("run the job `{}`", job.name))?;
        let ended = follow(run, &job.name, cx, &mut || said.read(|line| lines.hand_on(cx, line)));
        let JobEnd { seconds, failure, .. } = ended?;
        said.end(|line| lines.hand_on(cx, line));
        match failure {
            None => Ok(Outcome::DoneWith(format!("exited with code 0 after {seconds:.1} s"))),
            Some(JobFailure::Stopped) if cx.interrupts.stopping() => {
                let signal = cx.interrupts.first().unwrap_or_default();
                Err(Fault::interrupted(signal).into())
            }
            Some(failure) => Err(lines.failure(&job.name, &failure.to_string()).into()),
        }
    }
}

/// Looks after a job until it has ended. A second signal ends it.
fn follow(mut run: JobRun, name: &JobName, cx: &StepCx<'_>, look: &mut dyn FnMut()) -> Result<JobEnd> {
    // Were we killed, the next run would wait for it.
    let _listed = run.id().cloned().map(|id| cx.proc.children().list(id, &format!("job {name}")));
    loop {
        // Read after its end, too, and not only before: what it said last counts most.
        let ended = run.tend(true, Instant::now())?;
        look();
        if let Some(end) = ended {
            return Ok(end);
        }
        if cx.interrupts.count() > 1 || cx.proc.fence().lost().is_some() {
            run.stop(Instant::now());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Supervised {
    /// Makes what is there before a job of this recipe starts.
    fn prepare_job(&self, system: &System, recipe: &Recipe) -> Result<()> {
        let (home, name) = (self.home(), &system.name);
        self.enter_folder(&format!("{LOGS}{name}"), Some(name.as_str()), &home.job_logs(name))?;
        let records = home.jobs(name);
        files::make_folder(&records).with_context(|| format!("make `{}`", records.display()))?;
        self.runtime.prepare(self, recipe, name)
    }
}

pub(super) struct ScheduleWork {
    pub(super) core: Arc<Supervised>,
    pub(super) system: System,
    pub(super) planned: PlannedJob,
}

impl Work for ScheduleWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let PlannedJob { job, recipe, .. } = &self.planned;
        let Some(spec) = self.core.job_spec(&self.system, job, recipe, Secrets::Known)? else { return Ok(None) };
        let is_known = |known: &Scheduled| {
            known.name == job.name
                && known.release == release_of(&spec)
                && Some(&known.cron) == spec.cron.map(|cron| cron.to_string()).as_ref()
        };
        Ok(self.core.scheduled(&self.system.name).iter().any(is_known).then(|| job.when.to_string()))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let PlannedJob { job, recipe, .. } = &self.planned;
        self.core.prepare_job(&self.system, recipe)?;
        let spec = self.core.job_spec(&self.system, job, recipe, Secrets::Make)?;
        let mut spec = spec.ok_or_else(|| anyhow!("`{}` has no address yet", job.of))?;
        spec.launch.release = release_of(&spec);
        self.core.client()?.schedule(&spec)?;
        Ok(Outcome::DoneWith(job.when.to_string()))
    }
}

/// What a supervisor is told, addresses included: where others are reached may change without what it is made of.
fn release_of(spec: &JobSpec) -> String {
    let env = base::lasting::text(&spec.launch.env);
    let text = format!("{}\n{env}\n{:?}\n{:?}", spec.launch.release, spec.launch.args, spec.within);
    format!("{:.16}", Digest::of(text))
}

pub(super) struct ForgetWork {
    pub(super) core: Arc<Supervised>,
    pub(super) system: SystemName,
    pub(super) job: JobName,
}

impl Work for ForgetWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        self.core.forget_jobs(&self.system, Some(&self.job), false)?;
        Ok(Outcome::Done)
    }
}

/// What is written to a file from a moment on, line by line.
struct Tail {
    path: PathBuf,
    at: u64,
    /// The beginning of a line that has no end yet.
    rest: Vec<u8>,
}

impl Tail {
    fn at_end(path: &Path) -> Self {
        Self { path: path.to_owned(), at: std::fs::metadata(path).map_or(0, |log| log.len()), rest: Vec::new() }
    }

    /// What was said last may have no end.
    fn end(self, line: impl FnOnce(&str)) {
        if !self.rest.is_empty() {
            line(&String::from_utf8_lossy(&self.rest));
        }
    }

    fn read(&mut self, mut line: impl FnMut(&str)) {
        let mut read = || -> std::io::Result<usize> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.at))?;
            file.read_to_end(&mut self.rest)
        };
        // A log that cannot be read is one that says nothing.
        self.at += read().unwrap_or_default() as u64;
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let bytes: Vec<u8> = self.rest.drain(..=end).collect();
            line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_said_from_a_moment_on_is_read_line_by_line() {
        let path = std::env::temp_dir().join(format!("job-tail-{}.log", std::process::id()));
        let write = |text: &str| files::append(&path).unwrap().write_all(text.as_bytes()).unwrap();
        write("before\n");
        let mut tail = Tail::at_end(&path);
        let lines = |tail: &mut Tail| {
            let mut lines = Vec::new();
            tail.read(|line| lines.push(line.to_owned()));
            lines
        };
        write("one\r\ntw");
        assert_eq!(lines(&mut tail), ["one"]);
        write("o\nthree");
        assert_eq!(lines(&mut tail), ["two"]);
        assert!(lines(&mut tail).is_empty());
        std::fs::remove_file(path).unwrap();
    }
}
