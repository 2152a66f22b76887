//! One run of a job: a Job is made from its CronJob, followed to its end, and removed.

use crate::Kubernetes;
use crate::diagnostics::evidence::{Evidence, Expected};
use crate::diagnostics::judge;
use crate::names::{DEPLOYMENT, SERVICE};
use crate::pods;
use anyhow::{Result, anyhow};
use base::error::Fault;
use engine::job::{LastLines, LastRun};
use engine::lease::timestamp;
use engine::plan::runner::StepCx;
use kube::{Api, object, path};
use model::job::Job;
use model::name::{ServiceName, SystemName};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// On a Job: what it is made of.
const KEY: &str = "slipway/key";
/// How often a Job is looked at.
const PACE: Duration = Duration::from_millis(300);
/// How long what keeps a pod from starting may take to pass by itself.
const SETTLES: Duration = Duration::from_secs(20);
/// How long a Job that was made may be there without a pod that runs, and a removed one at all.
const STILL: Duration = Duration::from_secs(240);

/// Runs a job to its end, and writes down what came of it. How long it took, in seconds.
pub(super) fn run_one(
    core: &Kubernetes,
    system: &SystemName,
    job: &Job,
    key: Option<&str>,
    cx: &StepCx<'_>,
) -> Result<f64> {
    core.records.learn_secrets();
    let (at, started) = (timestamp(SystemTime::now()), Instant::now());
    let mut lines = LastLines::default();
    let run = Run { core, api: core.access.api()?, namespace: core.names.namespace(system), job, cx };
    let ended = run.to_its_end(key, &mut lines);
    let failure = match ended {
        Ok(failure) => failure,
        Err(error) => {
            run.remove();
            return Err(error);
        }
    };
    run.remove();
    let seconds = started.elapsed().as_secs_f64();
    let last = LastRun { at, succeeded: failure.is_none(), seconds, detail: failure.clone() };
    core.records.note_job(system, &job.name, &last, key)?;
    failure.map_or(Ok(seconds), |how| Err(lines.failure(&job.name, &how).into()))
}

/// A job on its way.
struct Run<'a> {
    core: &'a Kubernetes,
    api: Arc<Api>,
    namespace: String,
    job: &'a Job,
    cx: &'a StepCx<'a>,
}

impl Run<'_> {
    fn name(&self) -> String {
        format!("{}-run", self.job.name)
    }

    fn path(&self) -> String {
        path::JOB.at(&self.namespace, &self.name())
    }

    /// Why it failed, if it did.
    fn to_its_end(&self, key: Option<&str>, lines: &mut LastLines) -> Result<Option<String>> {
        let told = |refusal| kube::fault(&format!("run the job `{}`", self.job.name), &refusal);
        let cron = self.api.get(&path::CRON_JOB.at(&self.namespace, self.job.name.as_str())).map_err(told)?;
        let cron = cron.ok_or_else(|| {
            let cause = format!("the job `{}` is not deployed", self.job.name);
            Fault::could_not_run("not-deployed", cause).hint(self.core.deployment.command("deploy", &[]))
        })?;
        if !object::list(&cron, "/status/active").is_empty() && self.api.get(&self.path()).map_err(told)?.is_none() {
            let cause = format!("the job `{}` runs already, by the clock", self.job.name);
            return Err(Fault::could_not_run("job-runs", cause).hint("wait until it has ended").into());
        }
        // One that a killed run has left goes, so that what runs is what is meant.
        self.make_way()?;
        self.api.create(&path::JOB.within(&self.namespace), &self.object(&cron, key)).map_err(told)?;
        let mut seen = Seen::default();
        loop {
            if let Some(failure) = self.look(&mut seen, lines)? {
                return Ok(failure);
            }
            if self.cx.interrupts.count() > 1 || self.cx.proc.fence().lost().is_some() {
                return Err(Fault::interrupted(self.cx.interrupts.first().unwrap_or_default()).into());
            }
            std::thread::sleep(PACE);
        }
    }

    fn object(&self, cron: &Value, key: Option<&str>) -> Value {
        let owner = json!({
            "apiVersion": path::CRON_JOB.version(), "kind": path::CRON_JOB.name, "name": object::name(cron),
            "uid": cron["metadata"]["uid"], "controller": true,
        });
        let mut labels = cron["spec"]["jobTemplate"]["metadata"]["labels"].clone();
        labels[DEPLOYMENT] = json!(self.core.names.id);
        json!({
            "apiVersion": path::JOB.version(), "kind": path::JOB.name,
            "metadata": {
                "name": self.name(), "namespace": self.namespace, "labels": labels,
                "annotations": {KEY: key.unwrap_or_default()}, "ownerReferences": [owner],
            },
            "spec": cron["spec"]["jobTemplate"]["spec"],
        })
    }

    fn make_way(&self) -> Result<()> {
        self.remove();
        let gone = || {
            let found = self.api.get(&self.path()).map_err(|refusal| kube::fault("remove an earlier Job", &refusal))?;
            Ok(found.is_none().then_some(()))
        };
        let stays = || Fault::failed("job-stays", format!("the Job `{}` of an earlier run does not go", self.name()));
        self.cx.wait_for(STILL, gone, stays)
    }

    /// What cannot be removed now is by whoever runs it the next time, and goes with its CronJob in any case.
    fn remove(&self) {
        let _ = self.api.delete(&self.path(), true);
    }

    /// How it ended, once it has: why it failed, if it did.
    fn look(&self, seen: &mut Seen, lines: &mut LastLines) -> Result<Option<Option<String>>> {
        let told = |refusal| kube::fault(&format!("look at the job `{}`", self.job.name), &refusal);
        let selector = format!("job-name={}", self.name());
        let pod = self.api.list(&path::POD.within(&self.namespace), &selector).map_err(told)?.pop();
        if let Some(pod) = &pod {
            let state = |what: &str| pod.pointer(&format!("/status/containerStatuses/0/state/{what}"));
            if !seen.said && (state("running").is_some() || state("terminated").is_some()) {
                seen.said = true;
                self.hand_on(pod, lines);
            }
            if let Some(ended) = self.ended(pod)? {
                seen.code = Some(ended);
            }
        }
        let job = self.api.get(&self.path()).map_err(told)?.ok_or_else(|| anyhow!("somebody removed the Job"))?;
        let is_so = |kind: &str| {
            let all = object::list(&job, "/status/conditions");
            all.iter().find(|it| it["type"] == kind && it["status"] == "True").map(|it| object::text(it, "/reason"))
        };
        if is_so("Complete").is_some() {
            return Ok(Some(None));
        }
        match (is_so("Failed"), seen.code) {
            (Some("DeadlineExceeded"), _) => {
                let within = humantime::format_duration(self.job.within);
                Ok(Some(Some(format!("was ended, since it took longer than the {within} of its `within`"))))
            }
            (Some(_), Some(code)) => Ok(Some(Some(format!("exited with code {code}")))),
            (Some(reason), None) => Ok(Some(Some(format!("failed: {reason}")))),
            (None, _) => self.check(seen, pod.as_ref(), &job).map(|()| None),
        }
    }

    /// The code that its program ended with.
    fn ended(&self, pod: &Value) -> Result<Option<u64>> {
        let pod = match pod.pointer("/status/containerStatuses/0/state/running") {
            Some(_) => self.api.get(&path::POD.at(&self.namespace, object::name(pod))).ok().flatten(),
            None => Some(pod.clone()),
        };
        let ended = pod.as_ref().and_then(|pod| pod.pointer("/status/containerStatuses/0/state/terminated"));
        Ok(ended.map(|ended| object::number(ended, "/exitCode")))
    }

    /// Hands on what it says until it has ended.
    fn hand_on(&self, pod: &Value, lines: &mut LastLines) {
        let log = format!("{}/log", path::POD.at(&self.namespace, object::name(pod)));
        let log = path::with_query(&log, &[("follow", "true")]);
        let mut rest = Vec::new();
        let mut tell = |bytes: &[u8]| {
            lines.hand_on(self.cx, String::from_utf8_lossy(bytes).trim_end_matches(['\n', '\r']));
        };
        let stop = || self.cx.interrupts.count() > 1 || self.cx.proc.fence().lost().is_some();
        // How it ended is told by the Job, whatever became of what it said.
        let _ = self.api.stream(&log, &stop, &mut |bytes| {
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                rest.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    tell(&std::mem::take(&mut rest));
                }
            }
            true
        });
        if !rest.is_empty() {
            tell(&rest);
        }
    }

    /// Whether waiting may still mend what keeps it from starting.
    fn check(&self, seen: &mut Seen, pod: Option<&Value>, job: &Value) -> Result<()> {
        let within = match pod {
            Some(pod) if object::text(pod, "/status/phase") == "Running" => {
                seen.since = None;
                return Ok(());
            }
            Some(pod) if pods::is_broken(pod) => SETTLES,
            _ => STILL,
        };
        let since = *seen.since.get_or_insert_with(Instant::now);
        self.cx.status(pod.and_then(pods::trouble).unwrap_or_else(|| "waiting for its pod".to_owned()));
        if since.elapsed() < within {
            return Ok(());
        }
        Err(self.explain(pod, job).into())
    }

    /// What keeps its pod from starting, judged as a service's is.
    fn explain(&self, pod: Option<&Value>, job: &Value) -> Fault {
        let name = &self.job.name;
        let events = self.api.list(&path::EVENT.within(&self.namespace), "").unwrap_or_default();
        let quotas = self.api.list(&path::QUOTA.within(&self.namespace), "").unwrap_or_default();
        let mut said = events.iter().filter(|event| event["involvedObject"]["uid"] == job["metadata"]["uid"]);
        let refused = said.next_back().map(|event| object::text(event, "/message").to_owned());
        let found = name.as_str().parse().ok().zip(pod).and_then(|(service, pod)| {
            let evidence = as_of_a_service(service, pod, events, quotas);
            judge::judge(&evidence).into_iter().find(|finding| finding.code != "not-ready")
        });
        match found {
            Some(finding) => {
                let fault = finding.fault();
                Fault { cause: format!("the job `{name}` does not start: {}", fault.cause), ..fault }
            }
            None => {
                let why = pod.and_then(pods::trouble).or(refused).unwrap_or_else(|| "it has no pod".to_owned());
                Fault::failed("job-not-started", format!("the job `{name}` does not start: {why}"))
            }
        }
    }
}

/// What was seen of a Job.
#[derive(Default)]
struct Seen {
    /// What it said was handed on.
    said: bool,
    code: Option<u64>,
    /// Since when it is kept from starting.
    since: Option<Instant>,
}

/// A pod among what the rules about services look at: that of one with a workload, whose newest pod it is.
fn as_of_a_service(service: ServiceName, pod: &Value, events: Vec<Value>, quotas: Vec<Value>) -> Evidence {
    let mut pod = pod.clone();
    pod["metadata"]["ownerReferences"] = json!([{"uid": "job", "controller": true}]);
    pod["metadata"]["labels"]["controller-revision-hash"] = json!("job");
    pod["metadata"]["labels"][SERVICE] = json!(service.as_str());
    let set = json!({"kind": "StatefulSet", "metadata": {"uid": "job"}, "status": {"updateRevision": "job"}});
    let expected = Expected { name: service, port: None, needs: Vec::new(), ready_within: STILL };
    Evidence {
        services: vec![expected],
        stateful_sets: vec![set],
        pods: vec![pod],
        events,
        quotas,
        ..Evidence::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_cannot_start_is_judged_as_that_of_a_service() {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
        let pod = json!({
            "metadata": {"name": "migrate-run-x", "uid": "p", "labels": {}},
            "spec": {"containers": [{"name": "migrate", "image": "r.example.com/api@sha256:0"}]},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "migrate", "state": waiting}]},
        });
        let evidence = as_of_a_service("migrate".parse().unwrap(), &pod, Vec::new(), Vec::new());
        assert_eq!(judge::judge(&evidence)[0].code, "image-pull");
    }
}
