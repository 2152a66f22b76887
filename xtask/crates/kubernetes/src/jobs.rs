//! Jobs in a cluster. The chart makes a CronJob of each, suspended where it has no schedule; a run is a Job made from that,
//! followed to its end, and removed.

mod run;

use self::run::run_one;
use super::Kubernetes;
use super::release_context::{Candidate, DesiredRelease, ReleaseContext};
use super::release_spec::{ReleaseSpec, WorkloadSpec};
use super::{chart, helm, rollout};
use anyhow::Result;
use engine::job::{JobRecord, JobStatus, LastRun, step_id};
use engine::plan::runner::StepCx;
use engine::plan::{Holds, Outcome, Preview, Step, Work};
use kube::{object, path};
use model::job::{Job, When};
use model::name::{JobName, ServiceName, SystemName};
use model::system::{Source, System};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What of the values of a service its jobs have as well.
const SHARED: [&str; 13] = [
    "image",
    "version",
    "env",
    "args",
    "command",
    "allow",
    "files",
    "secret",
    "assets",
    "writable",
    "resources",
    "user",
    "egress",
];
/// What of them is no reason to run again.
const BESIDE: [&str; 7] = ["version", "needs", "egress", "resources", "stopSeconds", "withinSeconds", "schedule"];

/// The jobs that a system has in the cluster.
fn here<'s>(core: &Kubernetes, system: &'s System, parts: &[WorkloadSpec]) -> Vec<&'s Job> {
    let made = |job: &&Job| parts.iter().any(|part| part.service.name == job.of);
    system.jobs_on(core.deployment.environment.target).filter(made).collect()
}

/// The same, for the values of its release.
pub(super) fn of_candidate(core: &Kubernetes, candidate: &Candidate) -> Vec<Job> {
    here(core, &candidate.system, &candidate.parts).into_iter().cloned().collect()
}

/// What the chart is given for a job: what its service has, with another command.
pub(super) fn values(wanted: &ReleaseSpec, job: &Job, of: &WorkloadSpec, service: &Value, stop_seconds: u64) -> Value {
    let mut values = json!({"stopSeconds": stop_seconds, "withinSeconds": job.within.as_secs().max(1)});
    for name in SHARED {
        if let Some(value) = service.get(name) {
            values[name] = value.clone();
        }
    }
    let words = |templates: &mut dyn Iterator<Item = &model::system::Template>| -> Vec<String> {
        let fill = |template| of.filled(template, &wanted.parts, &|_, _| None).unwrap_or_default();
        templates.map(fill).collect()
    };
    if job.command.is_empty() {
        values["args"] = json!(words(&mut job.args.iter()));
    } else if matches!(of.service.source, Source::Crate(_)) {
        values["args"] = json!(words(&mut job.argv().skip(1)));
    } else {
        values["command"] = json!(words(&mut job.argv()));
        values["args"] = json!([]);
    }
    let needed: BTreeSet<&ServiceName> = of.service.needs.iter().chain(&job.needs).chain([&job.of]).collect();
    let is_there = |name: &&&ServiceName| wanted.parts.iter().any(|part| part.service.name == ***name);
    values["needs"] = json!(needed.iter().filter(is_there).map(|name| name.as_str()).collect::<Vec<_>>());
    if let When::Schedule(cron) = job.when {
        values["schedule"] = json!(cron.to_string());
    }
    values
}

/// What counts as a change of a job.
fn key(desired: &DesiredRelease, job: &JobName) -> Option<String> {
    let mut values = desired.values["jobs"].get(job.as_str())?.clone();
    BESIDE.iter().for_each(|name| drop(values.as_object_mut().map(|fields| fields.remove(*name))));
    Some(chart::short(values.to_string()))
}

/// The jobs that a release has to run, each with its key and why.
///
/// # Errors
/// When the records cannot be read.
pub(super) fn due(core: &Kubernetes, system: &System, desired: &DesiredRelease) -> Result<Vec<(Job, String, String)>> {
    let mut due = Vec::new();
    for job in here(core, system, &desired.wanted.parts).into_iter().filter(|job| job.is_part_of_release()) {
        let Some(key) = key(desired, &job.name) else { continue };
        let why = core.records.job(&system.name, &job.name)?.why(Some(&key));
        due.extend(why.map(|why| (job.clone(), key, why)));
    }
    Ok(due)
}

/// Why each of them would run, for a plan.
///
/// # Errors
/// When the records cannot be read.
pub(super) fn told(core: &Kubernetes, system: &System, desired: &DesiredRelease) -> Result<Vec<(JobName, String)>> {
    let due = due(core, system, desired)?.into_iter();
    Ok(due.map(|(job, _, why)| (job.name, format!("{}, since {why}", job.when))).collect())
}

/// Runs what a release runs before it: what these jobs need is brought up first, while all else stays as it was.
///
/// # Errors
/// When one of them fails, or what it needs does not come up.
pub(super) fn before(
    run: &ReleaseContext,
    candidate: &Candidate,
    desired: &DesiredRelease,
    cx: &StepCx<'_>,
) -> Result<()> {
    let system = &candidate.system;
    let due = due(&run.core, system, desired)?;
    let due: Vec<_> = due.into_iter().filter(|(job, ..)| job.when == When::Before).collect();
    if due.is_empty() {
        return Ok(());
    }
    cx.status("brings up what the jobs before the release need");
    let first = first(run, system, desired, &due.iter().map(|(job, ..)| job.clone()).collect::<Vec<_>>())?;
    helm::upgrade(run, &first, cx)?;
    rollout::watch(&run.core, cx, &first.wanted)?;
    due.iter().try_for_each(|(job, key, _)| run_one(&run.core, &system.name, job, Some(key), cx).map(drop))
}

/// Runs what a release runs after it.
///
/// # Errors
/// When one of them fails.
pub(super) fn after(
    run: &ReleaseContext,
    candidate: &Candidate,
    desired: &DesiredRelease,
    cx: &StepCx<'_>,
) -> Result<()> {
    let due = due(&run.core, &candidate.system, desired)?;
    let due = due.iter().filter(|(job, ..)| job.when == When::After);
    due.into_iter()
        .try_for_each(|(job, key, _)| run_one(&run.core, &candidate.system.name, job, Some(key), cx).map(drop))
}

/// The release as it is while these jobs run: what they need is new, all else as it was proven.
fn first(run: &ReleaseContext, system: &System, desired: &DesiredRelease, jobs: &[Job]) -> Result<DesiredRelease> {
    let proven = run.core.records.history(&system.name)?.pop().map(|proven| proven.values).unwrap_or_default();
    let needed = |name: &str| {
        let service = system.services.iter().find(|service| service.name.as_str() == name);
        service.is_some_and(|service| jobs.iter().any(|job| system.is_needed(&service.name, &job.needs)))
    };
    let mut values = desired.values.clone();
    let fields = |values: &Value| values["services"].as_object().cloned().unwrap_or_default();
    let (new, old) = (fields(&desired.values), fields(&proven));
    let mut services: serde_json::Map<String, Value> = old;
    services.extend(new.into_iter().filter(|(name, _)| needed(name)));
    let is_there = |name: &Value| name.as_str().is_some_and(|name| services.contains_key(name));
    let names: Vec<Value> = services.keys().map(|name| json!(name)).collect();
    let runs = |name: &str| jobs.iter().any(|job| job.name.as_str() == name);
    if let Some(all) = values["jobs"].as_object_mut() {
        all.retain(|name, values| {
            let needs = values["needs"].as_array();
            runs(name) || needs.is_none_or(|needs| needs.iter().all(is_there))
        });
        for values in all.values_mut() {
            if let Some(needs) = values["needs"].as_array_mut() {
                needs.retain(|need| names.contains(need));
            }
        }
    }
    values["services"] = services.into();
    let parts = desired.wanted.parts.iter().filter(|part| needed(part.service.name.as_str())).cloned().collect();
    let wanted = ReleaseSpec { parts, ..desired.wanted.clone() };
    Ok(DesiredRelease { stamp: run.stamp(&values), values, wanted, versions: desired.versions.clone() })
}

/// The step that runs a job now.
pub(super) fn step(core: &Arc<Kubernetes>, system: &System, job: &Job) -> Step {
    Step {
        id: step_id(&system.name, &job.name),
        title: format!("run the job `{}`", job.name),
        system: Some(system.name.to_string()),
        needs: Vec::new(),
        holds: Holds::Nothing,
        preview: vec![Preview::Do(format!(
            "a Job made from the CronJob `{}` of namespace `{}`, which is removed once it has ended",
            job.name,
            core.names.namespace(&system.name)
        ))],
        work: Box::new(JobWork { core: Arc::clone(core), system: system.name.clone(), job: job.clone() }),
    }
}

struct JobWork {
    core: Arc<Kubernetes>,
    system: SystemName,
    job: Job,
}

impl Work for JobWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let seconds = run_one(&self.core, &self.system, &self.job, None, cx)?;
        Ok(Outcome::DoneWith(format!("exited with code 0 after {seconds:.1} s")))
    }
}

/// What the jobs of a system have come to.
pub(super) fn status(core: &Kubernetes, system: &System) -> Vec<JobStatus> {
    let jobs = system.jobs_on(core.deployment.environment.target);
    let namespace = core.names.namespace(&system.name);
    let clock = |job: &Job| {
        let found = core.access.api().ok()?.get(&path::CRON_JOB.at(&namespace, job.name.as_str())).ok()??;
        Some((by_the_clock(&found), !object::list(&found, "/status/active").is_empty()))
    };
    let status = |job: &Job| {
        let last = core.records.job(&system.name, &job.name).unwrap_or_default().last;
        let (clocked, runs) = match job.when {
            When::Schedule(_) => clock(job).unwrap_or_default(),
            When::Before | When::After | When::Asked => (None, false),
        };
        let newer = |last: &LastRun| clocked.as_ref().is_none_or(|clocked| clocked.at <= last.at);
        let last = last.filter(newer).or_else(|| clocked.clone());
        JobStatus { name: job.name.clone(), when: Some(job.when.to_string()), last, runs }
    };
    jobs.map(status).collect()
}

/// The last run by the clock, as a CronJob tells it.
fn by_the_clock(cron: &Value) -> Option<LastRun> {
    let [begun, ended] = ["/status/lastScheduleTime", "/status/lastSuccessfulTime"].map(|at| object::text(cron, at));
    let time = |text: &str| humantime::parse_rfc3339(text).ok();
    let succeeded = ended >= begun;
    let took = || time(ended)?.duration_since(time(begun)?).ok();
    let seconds = if succeeded { took().unwrap_or_default().as_secs_f64() } else { 0.0 };
    (!begun.is_empty()).then(|| LastRun { at: begun.to_owned(), succeeded, seconds, detail: None })
}

/// The document of records of what came of jobs, by system and job.
pub(super) fn record_in(document: &Value, system: &SystemName, job: &JobName) -> JobRecord {
    JobRecord::from_json(&document["systems"][system.as_str()][job.as_str()])
}

/// Writes down what came of one, and that it ran for this, where it did and that counts.
pub(super) fn note_in(document: &mut Value, system: &SystemName, job: &JobName, last: &LastRun, key: Option<&str>) {
    let record = &mut document["systems"][system.as_str()][job.as_str()];
    record["last"] = last.to_json();
    if let Some(key) = key.filter(|_| last.succeeded) {
        record["key"] = json!(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_run_leaves_what_was_done_before() {
        let (system, job) = ("shop".parse().unwrap(), "migrate".parse().unwrap());
        let mut document = Value::Null;
        let last = |succeeded| LastRun { at: "t".to_owned(), succeeded, seconds: 1.0, detail: None };
        note_in(&mut document, &system, &job, &last(true), Some("a"));
        note_in(&mut document, &system, &job, &last(false), Some("b"));
        let record = record_in(&document, &system, &job);
        assert_eq!((record.key.as_deref(), record.last), (Some("a"), Some(last(false))));
        assert_eq!(record_in(&document, &"other".parse().unwrap(), &job), JobRecord::default());
    }

    #[test]
    fn a_cron_job_tells_of_its_last_run() {
        let cron = |begun: &str, ended: &str| {
            by_the_clock(&json!({"status": {"lastScheduleTime": begun, "lastSuccessfulTime": ended}}))
        };
        assert_eq!(by_the_clock(&json!({"status": {}})), None);
        let run = cron("2026-11-30T00:00:00Z", "2026-11-30T00:00:07Z").unwrap();
        assert_eq!((run.succeeded, run.seconds), (true, 7.0));
        assert!(!cron("2026-11-30T00:00:00Z", "2026-11-29T00:00:07Z").unwrap().succeeded);
    }
}
