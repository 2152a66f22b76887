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
    pub(super) fn tend(&mut self, exec: &Path, now: Instant, minute: u64) {
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

/// The minute that it is, counted from the beginning of 1970.
pub(super) fn this_minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60)
}

#[cfg(test)]
mod tests {
    use super::super::LaunchSpec;
    use super::super::launch::tests::example;
    use super::super::launch_strategy::LaunchStrategy;
    use super::*;
    use std::time::Duration;

    /// A job that writes a line each time it runs, and then waits for a file to go.
    fn spec(folder: &Path) -> JobSpec {
        std::fs::create_dir_all(folder).unwrap();
        let script = "echo ran; while [ -e held ]; do sleep 0.02; done; exit $(cat code)";
        std::fs::write(folder.join("code"), "0").unwrap();
        let launch = LaunchSpec {
            program: "/bin/sh".into(),
            args: ["-c", script].map(str::to_owned).to_vec(),
            dir: folder.to_owned(),
            log: folder.join("job.log"),
            style: LaunchStrategy::Plain,
            env: [("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())].into(),
            ..example()
        };
        JobSpec {
            system: "shop".parse().unwrap(),
            name: "backup".parse().unwrap(),
            launch,
            within: Duration::from_secs(60),
            cron: Some("*/2 * * * *".parse().unwrap()),
            record: folder.join("backup.json"),
        }
    }

    struct Clock {
        schedule: Schedule,
        folder: PathBuf,
    }

    impl Clock {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("slipway-schedule-{name}-{}", std::process::id()));
            let mut schedule = Schedule::default();
            schedule.put(spec(&folder));
            Self { schedule, folder }
        }

        fn tick(&mut self, minute: u64) {
            self.schedule.tend(Path::new("unused"), Instant::now(), minute);
        }

        fn ran(&self) -> usize {
            std::fs::read_to_string(self.folder.join("job.log")).unwrap_or_default().lines().count()
        }

        /// Waits in one minute until this is so.
        fn until(&mut self, minute: u64, is_so: impl Fn(&Self) -> bool) {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !is_so(self) {
                assert!(Instant::now() < deadline, "{:?}, ran {} times", self.schedule.status(), self.ran());
                self.tick(minute);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    impl Drop for Clock {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }

    fn runs(clock: &Clock) -> bool {
        clock.schedule.status().first().is_some_and(|job| job.runs)
    }

    #[test]
    fn a_job_runs_when_it_is_due_once_at_a_time_and_what_was_missed_is_not_made_up_for() {
        let mut clock = Clock::new("due");
        let held = clock.folder.join("held");
        std::fs::write(&held, "").unwrap();
        clock.tick(1001);
        assert!(!runs(&clock));
        clock.until(1002, |clock| clock.ran() == 1);
        // It still runs when it is due again.
        clock.tick(1004);
        std::fs::remove_file(&held).unwrap();
        clock.until(1004, |clock| !runs(clock));
        assert_eq!(clock.ran(), 1);
        let record = std::fs::read_to_string(clock.folder.join("backup.json")).unwrap();
        assert!(record.contains("\"succeeded\"") && !record.contains("key"), "{record}");
        // Many times were missed meanwhile.
        std::fs::write(clock.folder.join("code"), "3").unwrap();
        clock.until(2001, |clock| !runs(clock));
        assert_eq!(clock.ran(), 1);
        clock.tick(2002);
        clock.until(2002, |clock| !runs(clock));
        let record = std::fs::read_to_string(clock.folder.join("backup.json")).unwrap();
        assert!(clock.ran() == 2 && record.contains("exited with code 3"), "{record}");
    }

    #[test]
    fn one_that_is_forgotten_is_ended_and_runs_no_more() {
        let mut clock = Clock::new("forgotten");
        std::fs::write(clock.folder.join("held"), "").unwrap();
        clock.until(1000, |clock| clock.ran() == 1);
        clock.schedule.drop(&"shop".parse().unwrap(), None, Instant::now());
        clock.until(1002, |clock| clock.schedule.is_empty());
        assert_eq!(clock.ran(), 1);
        let record = std::fs::read_to_string(clock.folder.join("backup.json")).unwrap();
        assert!(record.contains("was stopped"), "{record}");
    }
}
