//! Jobs under a supervisor: how one is made of what its service is made of, and the steps that run it, that have it run
//! by the clock, and that forget it.

mod work;

use self::work::{ForgetWork, JobWork, ScheduleWork};
use super::Supervised;
use super::auto_rollback::Changes;
use super::recipe::{Program, Recipe};
use super::records::newest_recipe;
use super::runtime::{Blocked, Planned};
use super::start::Secrets;
use anyhow::{Result, anyhow};
use base::error::Fault;
use base::files;
use engine::job::{JobRecord, JobStatus, step_id};
use engine::plan::{Action, Holds, Preview, Step, StepId};
use keys::Digest;
use model::job::{Job, When};
use model::name::{JobName, ServiceName, SystemName};
use model::system::{Reference, Service, Source, System, Template};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use supervisor::{Client, Connection, JobSpec, JobStatus as Scheduled};

const SCHEDULE: Action = Action::new("schedule");
const FORGET_JOB: Action = Action::new("forget-job");

/// A job of a system here, and what it is started from.
#[derive(Clone)]
pub(super) struct PlannedJob {
    pub(super) job: Job,
    recipe: Recipe,
    /// Steps that make what the recipe names.
    needs: Vec<StepId>,
}

/// The jobs that a system has here: those whose service it starts.
///
/// # Errors
/// When the program of one is not on this machine.
pub(super) fn planned(core: &Supervised, system: &System, services: &[Planned]) -> Result<Vec<PlannedJob>, Fault> {
    let mut jobs = Vec::new();
    for job in system.jobs_on(core.deployment.environment.target) {
        let Some(planned) = services.iter().find(|planned| planned.service.name == job.of) else { continue };
        let recipe = recipe(core, &planned.service, job, &planned.recipe)?;
        jobs.push(PlannedJob { job: job.clone(), recipe, needs: planned.needs.clone() });
    }
    Ok(jobs)
}

/// Why a system cannot be deployed with its jobs.
pub(super) fn impossible(core: &Supervised, system: &System, services: &[Planned]) -> Option<Blocked> {
    let fault = planned(core, system, services).err()?;
    Some(Blocked { system: system.name.clone(), service: None, fault })
}

/// What a job is started from: its service's recipe with another program, or other arguments.
fn recipe(core: &Supervised, service: &Service, job: &Job, of: &Recipe) -> Result<Recipe, Fault> {
    let word = job.command.first().map(ToString::to_string).filter(|_| !matches!(service.source, Source::Crate(_)));
    let program = match (of.program.clone(), word) {
        (Program::Image(mut image), word) => {
            image.container.command.clear();
            if let Some(word) = word {
                image.container.entrypoint = vec![word];
            }
            Program::Image(image)
        }
        (program, None) | (program @ Program::Artifact { .. }, Some(_)) => program,
        (Program::Native { path, .. }, Some(word)) if path.file_name().is_some_and(|name| name == word.as_str()) => {
            Program::Native { path, prefix: Vec::new() }
        }
        (Program::Native { .. }, Some(word)) => {
            Program::Native { path: find(core, job, &word, Path::new(""))?, prefix: Vec::new() }
        }
        (Program::Folder(mut folder), Some(word)) => {
            folder.path = find(core, job, &word, Path::new(&folder.dir))?;
            Program::Folder(folder)
        }
    };
    let args = job.command.iter().skip(1).chain(&job.args).cloned().collect();
    Ok(Recipe { program, args, ..of.clone() })
}

/// A program of this machine by its name on PATH, or by its path from a folder.
fn find(core: &Supervised, job: &Job, word: &str, dir: &Path) -> Result<PathBuf, Fault> {
    let path = dir.join(word);
    let found = match word.contains('/') {
        true => core.deployment.root.join(&path).is_file().then_some(path),
        false => core.proc.find(word),
    };
    found.ok_or_else(|| {
        let place = if word.contains('/') { "there" } else { "on PATH" };
        let cause = format!("the job `{}` runs `{word}`, which is not {place}", job.name);
        let hint = "install it; or say where the job runs: `targets = [\"containers\", \"kubernetes\", \"eks\"]`";
        Fault::failed("job-unavailable", cause).hint(hint)
    })
}

impl Supervised {
    /// The job with addresses, secrets and paths filled in; `None` while one of them is not known yet. Its release is what
    /// it is made of, but for addresses.
    fn job_spec(&self, system: &System, job: &Job, recipe: &Recipe, secrets: Secrets) -> Result<Option<JobSpec>> {
        let Some(mut launch) = self.runtime.job_launch(self, system, job, recipe, secrets)? else { return Ok(None) };
        let Some(key) = self.job_key(recipe, &launch.release)? else { return Ok(None) };
        launch.release = key;
        launch.log = self.home().job_log(&system.name, &job.name);
        Ok(Some(JobSpec {
            system: system.name.clone(),
            name: job.name.clone(),
            launch,
            within: job.within,
            cron: match job.when {
                When::Schedule(cron) => Some(cron),
                When::Before | When::After | When::Asked => None,
            },
            record: self.job_record(&system.name, &job.name),
        }))
    }

    fn job_record(&self, system: &SystemName, job: &JobName) -> PathBuf {
        self.home().jobs(system).join(format!("{job}.json"))
    }

    fn read_record(&self, system: &SystemName, job: &JobName) -> Result<JobRecord> {
        let record = files::read_json(&self.job_record(system, job))?;
        Ok(record.as_ref().map(JobRecord::from_json).unwrap_or_default())
    }

    /// What counts as a change of a job: its image, its command, its variables and files with the secrets in them, and not
    /// where others are reached. `made` is what the image is to its engine.
    fn job_key(&self, recipe: &Recipe, made: &str) -> Result<Option<String>> {
        let mut document = recipe.to_json();
        for name in ["service", "handover", "ready", "live", "ready_within", "stop_within", "secrets"] {
            document.as_object_mut().map(|fields| fields.remove(name));
        }
        let mut text = format!("{document}\n{made}");
        for template in recipe.templates() {
            let Some(secrets) = self.secrets_in(recipe, &recipe.service, template)? else { return Ok(None) };
            text.push_str(&secrets);
        }
        Ok(Some(format!("{:.16}", Digest::of(text))))
    }

    /// The values of all secrets that a template comes to refer to; `None` while one is not made.
    fn secrets_in(&self, recipe: &Recipe, service: &ServiceName, template: &Template) -> Result<Option<String>> {
        let mut text = String::new();
        for reference in template.references() {
            let found = match reference {
                Reference::Secret(name) => self.secrets.peek(&recipe.secret(service, name))?,
                Reference::Provided { service: of, name } => {
                    match self.service(of).and_then(|of| of.provides.get(name)) {
                        Some(provided) => {
                            self.secrets_in(recipe, of, provided)?.map(|found| format!("{provided}{found}"))
                        }
                        None => Some(String::new()),
                    }
                }
                _ => Some(String::new()),
            };
            let Some(found) = found else { return Ok(None) };
            text.push_str(&format!("\n{found}"));
        }
        Ok(Some(text))
    }

    /// The jobs of a system that would run in a release, and why.
    pub(super) fn due_jobs(&self, system: &System, services: &[Planned]) -> Result<Vec<(JobName, String)>> {
        let mut due = Vec::new();
        for PlannedJob { job, recipe, .. } in planned(self, system, services)? {
            let spec = self.job_spec(system, &job, &recipe, Secrets::Known)?;
            let key = spec.as_ref().map(|spec| spec.launch.release.as_str());
            let why = match job.is_part_of_release() {
                true => self.read_record(&system.name, &job.name)?.why(key),
                false => None,
            };
            due.extend(why.map(|why| (job.name, format!("{}, since {why}", job.when))));
        }
        Ok(due)
    }

    /// What a supervisor runs of a system by the clock; nothing where none answers. Of a system that never had a job, none
    /// is asked.
    fn scheduled(&self, system: &SystemName) -> Vec<Scheduled> {
        let client = self.home().jobs(system).is_dir().then(|| Client::connect(self.home().dir()));
        let Some(Connection::Live(client)) = client else { return Vec::new() };
        client.jobs().unwrap_or_default().into_iter().filter(|job| job.system == *system).collect()
    }

    /// The jobs of a system that the supervisor has begun by the clock.
    pub fn running_jobs(&self, system: &SystemName) -> Vec<JobName> {
        self.scheduled(system).into_iter().filter(|job| job.runs).map(|job| job.name).collect()
    }

    /// Whether any job of a system is run by the clock.
    pub(super) fn runs_jobs_of(&self, system: &SystemName) -> bool {
        !self.scheduled(system).is_empty()
    }

    /// The jobs of a system of which something is recorded.
    fn recorded_jobs(&self, system: &SystemName) -> BTreeSet<JobName> {
        let entries = std::fs::read_dir(self.home().jobs(system)).into_iter().flatten().flatten();
        let name = |entry: std::fs::DirEntry| entry.path().file_stem()?.to_str()?.parse().ok();
        entries.filter_map(name).collect()
    }

    pub(super) fn job_status(&self, system: &System) -> Vec<JobStatus> {
        let scheduled = self.scheduled(&system.name);
        let declared: Vec<&Job> = system.jobs_on(self.deployment.environment.target).collect();
        let mut names: BTreeSet<JobName> = declared.iter().map(|job| job.name.clone()).collect();
        names.extend(self.recorded_jobs(&system.name));
        let status = |name: JobName| JobStatus {
            when: declared.iter().find(|job| job.name == name).map(|job| job.when.to_string()),
            last: self.read_record(&system.name, &name).unwrap_or_default().last,
            runs: scheduled.iter().any(|job| job.name == name && job.runs),
            name,
        };
        names.into_iter().map(status).collect()
    }

    /// The steps that run a job now, made of what was proven last.
    pub(super) fn job_now(self: &Arc<Self>, system: &System, job: &Job) -> Result<Vec<Step>> {
        let of = newest_recipe(self.home(), &system.name, &job.of)?.ok_or_else(|| {
            let deploy = self.deployment.environment.command(&format!("deploy {}", system.name));
            let cause = format!("`{}` is made of `{}`, which is not deployed", job.name, job.of);
            Fault::could_not_run("not-deployed", cause).hint(format!("`{deploy}`"))
        })?;
        let service = self.service(&job.of).ok_or_else(|| anyhow!("there is no service `{}`", job.of))?;
        let recipe = recipe(self, service, job, &of)?;
        let planned = PlannedJob { job: job.clone(), recipe, needs: Vec::new() };
        Ok(vec![planned.step(self, system, Vec::new(), None)])
    }

    /// Forgets the jobs of a system, or one of them. `keep`: not what came of them.
    pub(super) fn forget_jobs(&self, system: &SystemName, job: Option<&JobName>, keep: bool) -> Result<()> {
        if !self.scheduled(system).is_empty() {
            self.client()?.unschedule(system, job)?;
        }
        let Some(job) = job else {
            files::remove(&self.home().job_logs(system))?;
            return if keep { Ok(()) } else { files::remove(&self.home().jobs(system)) };
        };
        let record = self.job_record(system, job);
        let log = self.home().job_log(system, job);
        for path in [log.with_extension("log.1"), log, record.with_extension("lock"), record] {
            files::remove(&path)?;
        }
        Ok(())
    }
}

/// What the steps of a system's jobs come before and after.
pub(super) struct Order<'a> {
    /// What every start of the system comes after.
    pub(super) shared: Vec<StepId>,
    /// The services that are started.
    pub(super) starts: &'a [ServiceName],
    pub(super) proof: StepId,
}

/// The steps of a system's jobs. `provided`: in a deploy, not in a rollback, which runs none.
pub(super) fn steps(
    core: &Arc<Supervised>,
    system: &System,
    jobs: &[PlannedJob],
    order: &Order<'_>,
    (changes, provided): (&Changes, bool),
) -> Vec<Step> {
    let started = |names: &[ServiceName]| -> Vec<StepId> {
        names.iter().filter(|name| order.starts.contains(*name)).map(super::steps::start_id).collect()
    };
    let mut steps = Vec::new();
    for planned in jobs {
        let needs = match planned.job.when {
            When::Before if provided => started(&planned.job.needs),
            When::After if provided => started(order.starts),
            When::Schedule(_) => {
                steps.push(planned.schedule_step(core, system, order.proof.clone()));
                continue;
            }
            When::Before | When::After | When::Asked => continue,
        };
        let needs = order.shared.iter().cloned().chain(planned.needs.clone()).chain(needs).collect();
        steps.push(planned.step(core, system, needs, Some(changes.clone())));
    }
    let scheduled = core.scheduled(&system.name).into_iter().map(|job| job.name);
    let known: BTreeSet<JobName> = core.recorded_jobs(&system.name).into_iter().chain(scheduled).collect();
    let declared = |name: &JobName| system.jobs.iter().any(|job| job.name == *name);
    let gone = known.into_iter().filter(|name| provided && !declared(name));
    steps.extend(gone.map(|name| forget_step(core, system, name, order.proof.clone())));
    steps
}

impl PlannedJob {
    fn step(&self, core: &Arc<Supervised>, system: &System, needs: Vec<StepId>, changes: Option<Changes>) -> Step {
        let Job { name, when, of, .. } = &self.job;
        let words: Vec<String> = self.job.argv().map(ToString::to_string).collect();
        let record = core.read_record(&system.name, name).unwrap_or_default();
        let spec = core.job_spec(system, &self.job, &self.recipe, Secrets::Known).ok().flatten();
        let why = record.why(spec.as_ref().map(|spec| spec.launch.release.as_str()));
        let why = match (&changes, why) {
            (None, _) => String::new(),
            (Some(_), Some(why)) => format!(", since {why}"),
            (Some(_), None) => format!(": not now, {}", record.done()),
        };
        let work = JobWork { core: Arc::clone(core), system: system.clone(), planned: self.clone(), changes };
        Step {
            id: step_id(&system.name, name),
            title: format!("run the job `{name}`"),
            system: Some(system.name.to_string()),
            needs,
            holds: Holds::Nothing,
            preview: vec![Preview::Do(format!("`{}` of `{of}`, {when}{why}", words.join(" ")))],
            work: Box::new(work),
        }
    }

    fn schedule_step(&self, core: &Arc<Supervised>, system: &System, proof: StepId) -> Step {
        let Job { name, when, .. } = &self.job;
        Step {
            id: SCHEDULE.of(&format!("{}/{name}", system.name)),
            title: format!("have the supervisor run the job `{name}` by the clock"),
            system: Some(system.name.to_string()),
            needs: vec![proof],
            holds: Holds::Nothing,
            preview: vec![Preview::Do(format!("{when}, one run at a time"))],
            work: Box::new(ScheduleWork { core: Arc::clone(core), system: system.clone(), planned: self.clone() }),
        }
    }
}

fn forget_step(core: &Arc<Supervised>, system: &System, job: JobName, proof: StepId) -> Step {
    Step {
        id: FORGET_JOB.of(&format!("{}/{job}", system.name)),
        title: format!("forget the job `{job}`"),
        system: Some(system.name.to_string()),
        needs: vec![proof],
        holds: Holds::Nothing,
        preview: vec![Preview::Do("no file declares it any more".to_owned())],
        work: Box::new(ForgetWork { core: Arc::clone(core), system: system.name.clone(), job }),
    }
}
