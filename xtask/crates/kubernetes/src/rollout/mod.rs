//! Watches a release until all its services serve, and ends early at the first cause that waiting cannot mend.

mod debounce;
mod tell;

use self::debounce::Debounce;
use self::tell::Teller;
use super::Kubernetes;
use super::diagnostics::evidence::{Evidence, Expected, is_complete, is_observed, is_ready, uid};
use super::diagnostics::gather::{self, Source};
use super::diagnostics::{self, Finding, Suspicion, judge};
use super::release_spec::ReleaseSpec;
use anyhow::Result;
use base::error::Fault;
use engine::plan::runner::StepCx;
use kube::object::{is_going, label, list, name, text};
use kube::{Refusal, path};
use model::name::ServiceName;
use serde_json::Value;
use shim::ports::Sockets;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two looks at the workloads, at first and after a while.
const PACE: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(500)];
const A_WHILE: Duration = Duration::from_secs(15);
/// Between two looks at all that they are made of.
const DETAILS: Duration = Duration::from_secs(1);
/// How long the cluster may be away meanwhile.
const AWAY: Duration = Duration::from_secs(60);
/// How long nobody may listen on a port before it is looked where they listen; and between the first two looks.
const UNHEARD: Duration = Duration::from_secs(5);
/// How long a broken pod of an earlier revision may stand in a StatefulSet's way.
const IN_THE_WAY: Duration = Duration::from_secs(5);
/// How long a rollout may take in all, whatever happens, beside what its services may.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Waits until every workload of the release runs its newest version with all replicas ready, saying what happens.
///
/// # Errors
/// When it does not: a fault whose code and cause are their first finding, and which names the bundle on disk.
pub(super) fn watch(core: &Kubernetes, cx: &StepCx<'_>, wanted: &ReleaseSpec) -> Result<()> {
    let services: Vec<Expected> = wanted.parts.iter().map(Expected::of).collect();
    let api = core.access.api()?;
    let source = Source {
        api: &api,
        namespace: &wanted.namespace,
        release: wanted.system.as_str(),
        system: Some(&wanted.system),
        services: &services,
    };
    let mut watch = Watch::new(core, cx, &source, limit(wanted));
    let findings = watch.until_ready()?;
    if findings.is_empty() {
        return Ok(());
    }
    let suspicion = Suspicion { findings, sockets: watch.sockets };
    let found = diagnostics::investigate(core, cx, &wanted.system, &wanted.parts, &suspicion);
    let first = found.first().or(suspicion.findings.first()).map(Finding::fault);
    Err(first.unwrap_or_else(|| Fault::failed("not-ready", format!("`{}` did not come up", wanted.system))).into())
}

/// The same for a release that is no system's.
///
/// # Errors
/// Those of [`watch`].
pub(super) fn watch_release(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    namespace: &str,
    release: &str,
    services: &[Expected],
) -> Result<()> {
    let api = core.access.api()?;
    let source = Source { api: &api, namespace, release, system: None, services };
    let mut watch = Watch::new(core, cx, &source, LONGEST);
    let findings = watch.until_ready()?;
    if findings.is_empty() {
        return Ok(());
    }
    let suspicion = Suspicion { findings, sockets: watch.sockets };
    let found = diagnostics::investigate_release(core, cx, &source, &suspicion);
    let first = found.first().or(suspicion.findings.first()).map(Finding::fault);
    Err(first.unwrap_or_else(|| Fault::failed("not-ready", format!("`{release}` did not come up"))).into())
}

/// However much happens, a rollout has an end.
fn limit(wanted: &ReleaseSpec) -> Duration {
    let each = wanted.parts.iter().map(|part| part.service.ready_within * part.replicas.max(1));
    LONGEST + each.sum::<Duration>()
}

/// Whether all that is expected is there and complete.
fn is_done(evidence: &Evidence) -> bool {
    let there = |service: &Expected| evidence.workload(&service.name).is_some();
    evidence.services.iter().all(there) && evidence.workloads().all(is_complete)
}

struct Watch<'a> {
    core: &'a Kubernetes,
    cx: &'a StepCx<'a>,
    source: &'a Source<'a>,
    limit: Duration,
    started: Instant,
    debounce: Debounce,
    teller: Teller,
    /// What was found to listen where nobody does on the declared port, by pod.
    sockets: BTreeMap<String, Sockets>,
    next_listen: Duration,
    listened: Option<Instant>,
}

impl<'a> Watch<'a> {
    fn new(core: &'a Kubernetes, cx: &'a StepCx<'a>, source: &'a Source<'a>, limit: Duration) -> Self {
        Self {
            core,
            cx,
            source,
            limit,
            started: Instant::now(),
            debounce: Debounce::default(),
            teller: Teller::default(),
            sockets: BTreeMap::new(),
            next_listen: UNHEARD,
            listened: None,
        }
    }

    /// Waits for the release; what it returns cannot be waited for any more.
    fn until_ready(&mut self) -> Result<Vec<Finding>> {
        let mut answered = Instant::now();
        let mut detailed: Option<Instant> = None;
        loop {
            let due = detailed.is_none_or(|at| at.elapsed() >= DETAILS);
            match self.look(due) {
                Ok(Look::Done) => return Ok(Vec::new()),
                Ok(Look::Failed(findings)) => return Ok(findings),
                Ok(Look::Waits) => answered = Instant::now(),
                Err(refusal) if refusal.status != 0 && refusal.status < 500 && refusal.status != 429 => {
                    return Err(kube::fault("watch the release", &refusal).into());
                }
                Err(refusal) if answered.elapsed() >= AWAY => {
                    return Err(kube::fault("watch the release", &refusal).into());
                }
                Err(refusal) => self.cx.status(format!("the cluster does not answer: {}", refusal.message)),
            }
            if due {
                detailed = Some(Instant::now());
            }
            let pace = if self.started.elapsed() < A_WHILE { PACE[0] } else { PACE[1] };
            if self.cx.interrupts.pause(pace) {
                let signal = self.cx.interrupts.first().unwrap_or_default();
                return Err(Fault::interrupted(signal).into());
            }
        }
    }

    fn look(&mut self, closely: bool) -> Result<Look, Refusal> {
        let workloads = self.source.workloads()?;
        let done = is_done(&workloads);
        if !closely && !done {
            return Ok(Look::Waits);
        }
        let mut evidence = self.source.details(workloads)?;
        self.tell(&evidence);
        if done {
            return Ok(Look::Done);
        }
        self.clear_the_way(&evidence)?;
        self.listen(&evidence);
        evidence.sockets.clone_from(&self.sockets);
        let mut findings = judge::judge(&evidence);
        if self.started.elapsed() >= self.limit {
            // Something always happened, and it never came to an end.
            findings.iter_mut().for_each(|finding| finding.debounce = Duration::ZERO);
        }
        let failed = self.debounce.lost(&findings, Instant::now());
        Ok(if failed.is_empty() { Look::Waits } else { Look::Failed(failed) })
    }

    fn tell(&mut self, evidence: &Evidence) {
        for news in self.teller.news(evidence) {
            self.cx.news(news);
        }
        if let Some(status) = self.teller.status(evidence) {
            self.cx.status(status);
        }
    }

    /// Looks where a process listens that does not on its port. It may only be slow, so it is looked again: ever more
    /// seldom while it listens nowhere, and before it is given up for listening elsewhere.
    fn listen(&mut self, evidence: &Evidence) {
        let findings = judge::judge(evidence);
        let unheard = findings.iter().filter(|finding| judge::is_unheard(finding));
        let is_due = unheard.filter_map(|finding| self.debounce.age(finding)).max().is_some_and(|age| age >= UNHEARD)
            || !self.sockets.is_empty();
        if !is_due || self.listened.is_some_and(|at| at.elapsed() < self.next_listen) {
            return;
        }
        self.sockets = gather::listeners(self.core, self.cx, self.source, evidence);
        let elsewhere = self.sockets.values().any(|sockets| !(sockets.open.is_empty() && sockets.inside.is_empty()));
        self.next_listen = if elsewhere { UNHEARD } else { self.next_listen * 2 };
        self.listened = Some(Instant::now());
    }

    /// A StatefulSet waits for its pods one after another, also for a broken one of an earlier revision, for ever
    /// (kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback). What it stores stays.
    fn clear_the_way(&mut self, evidence: &Evidence) -> Result<(), Refusal> {
        for pod in evidence.stateful_sets.iter().flat_map(|set| in_the_way(evidence, set)) {
            let service = label(pod, super::names::SERVICE);
            let stands = Finding::in_the_way(uid(pod), service.parse::<ServiceName>().ok());
            if self.debounce.lost_one(&stands, Instant::now()) {
                self.source.api.delete(&path::POD.at(self.source.namespace, name(pod)), false)?;
                self.cx.news(format!(
                    "`{service}`: removed pod {} of the previous release, which never came up",
                    name(pod)
                ));
            }
        }
        Ok(())
    }
}

/// What came of a look.
enum Look {
    Done,
    Waits,
    /// Waiting does not mend these.
    Failed(Vec<Finding>),
}

impl Finding {
    fn in_the_way(uid: &str, service: Option<ServiceName>) -> Self {
        let about = format!("{uid} in the way");
        let debounce = IN_THE_WAY;
        Self { code: "not-ready", cause: String::new(), hint: String::new(), service, about, debounce }
    }
}

/// The pods of another revision of a StatefulSet than the one that is wanted, which do not serve. Its `currentRevision`
/// does not count: it stays that of the last complete release, to which a failed one goes back.
fn in_the_way<'e>(evidence: &'e Evidence, set: &'e Value) -> Vec<&'e Value> {
    let revision = text(set, "/status/updateRevision");
    if !is_observed(set) || revision.is_empty() {
        return Vec::new();
    }
    let owned = |pod: &Value| list(pod, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid(set));
    let pods = evidence.pods.iter().filter(|pod| owned(pod) && !is_going(pod) && !is_ready(pod));
    pods.filter(|pod| label(pod, "controller-revision-hash") != revision).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_broken_pod_of_another_revision_is_in_the_way() {
        let set = |observed: u64, current: &str| {
            json!({
                "metadata": {"uid": "s", "generation": 2},
                "status": {"observedGeneration": observed, "currentRevision": current, "updateRevision": "b"},
            })
        };
        let pod = |name: &str, revision: &str, ready: &str| {
            json!({
                "metadata": {"name": name, "uid": name, "labels": {"controller-revision-hash": revision},
                    "ownerReferences": [{"uid": "s", "controller": true}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        let pods = vec![pod("old-broken", "a", "False"), pod("old", "a", "True"), pod("new", "b", "False")];
        let evidence = Evidence { pods, ..Evidence::default() };
        for current in ["a", "b"] {
            let set = set(2, current);
            let found: Vec<_> = in_the_way(&evidence, &set).into_iter().map(name).collect();
            assert_eq!(found, ["old-broken"], "{current}");
        }
        assert!(in_the_way(&evidence, &set(1, "a")).is_empty(), "what is wanted is not known yet");
    }
}
