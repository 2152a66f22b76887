//! Why a release does not come up, cause first: evidence is gathered from the cluster, judged by rules with stable
//! codes, and kept in a bundle on disk.

mod bundle;
pub mod codes;
pub(super) mod evidence;
mod finding;
pub(super) mod gather;
pub(super) mod judge;
mod quantity;
mod refusal;
mod sockets;
#[cfg(test)]
pub(super) mod tests;

pub use finding::Finding;
pub use refusal::refusal;

use self::evidence::{Evidence, Expected};
use self::gather::Source;
use super::release_spec::{self, WorkloadSpec};
use super::{Kubernetes, recalled};
use base::error::Fault;
use base::redact::{self, Redactor};
use engine::journal::Event;
use engine::plan::runner::StepCx;
use model::name::{ServiceName, SystemName};
use model::system::TargetKind;
use shim::ports::Sockets;
use std::collections::BTreeMap;

/// Gathers all there is to know about a system after `fault`, keeps it in a bundle and names that in the journal. What
/// is found to be the cause stands in front of the fault; without a finding the fault is returned as it is.
pub(super) fn gather_for(core: &Kubernetes, cx: &StepCx<'_>, system: &SystemName, fault: Fault) -> Fault {
    let parts = parts(core, system);
    let found = investigate(core, cx, system, &parts, &Suspicion::default());
    let found = found.iter().find(|finding| finding.code != "not-ready").map(Finding::fault);
    match found.or_else(|| on_the_way(core, &parts)) {
        Some(cause) if !fault.cause.contains(&cause.cause) => {
            Fault { cause: format!("{}; seen as: {}", cause.cause, fault.cause), ..cause }
        }
        _ => fault,
    }
}

/// What is wrong between the world and these services, where the platform knows the way.
fn on_the_way(core: &Kubernetes, parts: &[WorkloadSpec]) -> Option<Fault> {
    let services: Vec<ServiceName> = parts.iter().map(|part| part.service.name.clone()).collect();
    core.platform.ingress_provider()?.explain(core, &services)
}

/// The services of a system that run in the cluster.
fn parts(core: &Kubernetes, system: &SystemName) -> Vec<WorkloadSpec> {
    let deployment = &core.deployment;
    let found = deployment.spec.systems.iter().find(|other| other.name == *system);
    let target: TargetKind = deployment.environment.target;
    let declared = found.and_then(|system| release_spec::parts(system, &deployment.environment, target).ok());
    let recalled = || Some(recalled::parts(&core.records.history(system).ok()?.pop()?));
    declared.or_else(recalled).unwrap_or_default()
}

/// What is known before all evidence is gathered.
#[derive(Default)]
pub(super) struct Suspicion {
    /// What the watch has given up for: services that these are about come first.
    pub(super) findings: Vec<Finding>,
    /// Where pods listen, as far as that was looked for.
    pub(super) sockets: BTreeMap<String, Sockets>,
}

/// Gathers, judges, keeps the bundle and records it.
pub(super) fn investigate(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    system: &SystemName,
    parts: &[WorkloadSpec],
    suspicion: &Suspicion,
) -> Vec<Finding> {
    core.records.learn_secrets();
    let redactor = redact::known();
    let namespace = core.names.namespace(system);
    let services: Vec<Expected> = parts.iter().map(Expected::of).collect();
    let Ok(api) = core.access.api() else { return keep(core, cx, system.as_str(), None, suspicion, &redactor) };
    let release = system.as_str();
    let source = Source { api: &api, namespace: &namespace, release, system: Some(system), services: &services };
    let evidence = gather::everything(core, cx, &source, &redactor, &suspicion.sockets).ok();
    keep(core, cx, release, evidence, suspicion, &redactor)
}

/// The same for a release that is no system's, and knows no secrets of ours.
pub(super) fn investigate_release(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    source: &Source<'_>,
    suspicion: &Suspicion,
) -> Vec<Finding> {
    let redactor = redact::known();
    let evidence = gather::everything(core, cx, source, &redactor, &suspicion.sockets).ok();
    keep(core, cx, source.release, evidence, suspicion, &redactor)
}

/// Judges, keeps the bundle and records it.
fn keep(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    name: &str,
    evidence: Option<Evidence>,
    suspicion: &Suspicion,
    redactor: &Redactor,
) -> Vec<Finding> {
    let findings = conclude(evidence.as_ref(), &suspicion.findings, redactor);
    let faults: Vec<Fault> = findings.iter().map(Finding::fault).collect();
    let evidence = evidence.unwrap_or_default();
    let folder = core.deployment.home.dir().join("diagnostics");
    match bundle::write(&folder, &format!("{}-{name}", cx.run_name()), &evidence, &findings, redactor) {
        Ok(path) => cx.record(|step| Event::Diagnostics { step, path, findings: faults }),
        // A full disk must not hide the cause.
        Err(error) => cx.news(format!("the diagnostics could not be written: {error:#}")),
    }
    findings
}

/// The findings of all evidence, what was suspected first. What is not seen any more was true all the same.
fn conclude(evidence: Option<&Evidence>, suspects: &[Finding], redactor: &Redactor) -> Vec<Finding> {
    let mut findings = evidence.map(judge::judge).unwrap_or_default();
    let is_suspect = |finding: &Finding| suspects.iter().any(|suspect| suspect.service == finding.service);
    findings.sort_by_key(|finding| !is_suspect(finding));
    let unseen = |suspect: &&Finding| {
        !findings.iter().any(|finding| finding.service == suspect.service && finding.code != "not-ready")
    };
    let unseen: Vec<Finding> = suspects.iter().filter(unseen).cloned().collect();
    let all = unseen
        .into_iter()
        .chain(findings)
        .map(|finding| Finding { cause: redactor.foreign(&finding.cause), ..finding });
    judge::distinct(all.collect())
}
