//! The jobs that a supervisor runs by the clock.

use super::job::{JobRun, JobSpec, JobStatus};
use super::note;
use model::name::{JobName, SystemName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Default)]
pub(super) struct Schedule {
    jobs: BTreeMap<(SystemName, JobName), Scheduled>,
}

struct Scheduled {
    spec: JobSpec,
    run: Option<JobRun>,
    /// The last minute that was looked at. What was missed is not made up for.
    minute: u64,
    /// Nothing is left of it once its run has ended.
    dropped: bool,
}

impl Schedule {
    /// Takes a job in the place of what it was; a run of that goes on.
    pub(super) fn put(&mut self, spec: JobSpec) {
        let key = (spec.system.clone(), spec.name.clone());
        let run = self.jobs.remove(&key).and_then(|before| before.run);
        self.jobs.insert(key, Scheduled { spec, run, minute: this_minute(), dropped: false });
    }

    /// Forgets the jobs of a system, or one of them; what runs is told to end.
    pub(super) fn drop(&mut self, system: &SystemName, job: Option<&JobName>, now: Instant) {
        for (_, scheduled) in self.jobs.iter_mut().filter(|((of, name), _)| is_meant(of, name, system, job)) {
            scheduled.dropped = true;
            scheduled.run.iter_mut().for_each(|run| run.stop(now));
        }
    }

    pub(super) fn drop_all(&mut self, now: Instant) {
        let systems: Vec<SystemName> = self.jobs.keys().map(|(system, _)| system.clone()).collect();
        systems.iter().for_each(|system| self.drop(system, None, now));
    }

    /// Whether nothing is left of these.
    pub(super) fn is_rid_of(&self, system: &SystemName, job: Option<&JobName>) -> bool {
        !self.jobs.keys().any(|(of, name)| is_meant(of, name, system, job))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn status(&self) -> Vec<JobStatus> {
        let status = |((system, name), scheduled): (&(SystemName, JobName), &Scheduled)| JobStatus {
            system: system.clone(),
            name: name.clone(),
            release: scheduled.spec.launch.release.clone(),
            cron: scheduled.spec.cron.map(|cron| cron.to_string()).unwrap_or_default(),
            runs: scheduled.run.is_some(),
        };
        self.jobs.iter().filter(|(_, scheduled)| !scheduled.dropped).map(status).collect()
    }

    pub(super) fn logs(&self) -> impl Iterator<Item = PathBuf> {
        self.jobs.values().map(|scheduled| scheduled.spec.launch.log.clone())
    }

    /// Starts what is due, unless it still runs, and looks after what runs.
    pub(super) fn tend(&mut self, exec: &Path, now: Instant) {
        let minute = this_minute();
        for ((system, name), scheduled) in &mut self.jobs {
            let ended = scheduled.run.as_mut().map(|run| run.tend(false, now));
            match ended {
                Some(Ok(Some(end))) => {
                    let how = end.failure.map_or("succeeded".to_owned(), |failure| failure.to_string());
                    note(&format!("job {system}/{name}: {how}"));
                    scheduled.run = None;
                }
                Some(Err(error)) => {
                    note(&format!("job {system}/{name}: {error:#}"));
                    scheduled.run = None;
                }
                Some(Ok(None)) | None => {}
            }
            let is_new = std::mem::replace(&mut scheduled.minute, minute) != minute;
            let is_due = is_new && scheduled.spec.cron.is_some_and(|cron| cron.is_due(minute));
            if is_due && scheduled.run.is_none() && !scheduled.dropped {
                match JobRun::start(scheduled.spec.clone(), exec) {
                    Ok(run) => scheduled.run = Some(run),
                    Err(error) => note(&format!("job {system}/{name} does not start: {error:#}")),
                }
            }
        }
        self.jobs.retain(|_, scheduled| !scheduled.dropped || scheduled.run.is_some());
    }
}

fn is_meant(of: &SystemName, name: &JobName, system: &SystemName, job: Option<&JobName>) -> bool {
    of == system && job.is_none_or(|job| job == name)
}

fn this_minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60)
}
