//! The cluster that an environment names: that it can be reached and may be used, and has what the systems take. All that
//! is asked of it goes through one `kubectl proxy`, which is started when the first check asks.
//!
//! Nothing is made: rights are asked for by reviews, and admission by a rehearsal.

mod admission;
mod ask;
mod capacity;
mod judge;
mod names;
mod rights;

mod supply;

use self::ask::Answers;
use doctor::fix::Fix;
use doctor::{Check, Finding, Group, Scene};
use kube::Api;
use kubernetes::facts::Facts;
use kubernetes::needs;
use kubernetes::needs::Needs;
use model::container::Registry;
use model::environment::Environment;
use model::system::TargetKind;
use std::sync::Arc;

const CONTEXT: &str = "cluster.context";
const REACHABLE: &str = "cluster.reachable";

/// What is judged: the environment, what its systems take, and what the cluster has said so far.
struct Subject {
    environment: Environment,
    needs: Vec<Needs>,
    answers: Answers,
}

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let Some(subject) = subject(scene) else { return of_images(scene) };
    let mut checks = required_of(&subject);
    let asked = [
        check(&subject, "cluster.skew", "kubectl beside the cluster", judge::skew),
        of_facts(&subject, "cluster.platform", "platform of the nodes", judge::platform),
        of_api(&subject, "cluster.ingress", "ingress", judge::ingress),
        of_facts(&subject, "cluster.storage", "storage class", judge::storage),
        of_api(&subject, "cluster.names", "name servers", names::judge),
        of_facts(&subject, "cluster.metrics", "metrics of pods", judge::metrics),
        of_api(&subject, "cluster.room", "capacity of the nodes", capacity::nodes),
        of_api(&subject, "cluster.quota", "quotas", capacity::quota),
        check(&subject, "cluster.admission", "admission", admission),
    ];
    checks.extend(asked);
    checks.push(Check::new(Group::Cluster, "cluster.registry", "how images reach the nodes", move |scene| {
        supply::way(&subject, scene)
    }));
    checks.extend(of_images(scene));
    checks
}

/// What is true of images before there is a cluster.
fn of_images(scene: &Scene) -> Vec<Check> {
    match scene.subject.target() {
        Some(TargetKind::Kubernetes | TargetKind::Eks) => {
            vec![Check::new(Group::Cluster, "spec.user", "users of public images", supply::users)]
        }
        _ => Vec::new(),
    }
}

/// Those without which nothing is worth to be built.
pub(super) fn required(scene: &Scene) -> Vec<Check> {
    subject(scene).map_or_else(Vec::new, |subject| required_of(&subject))
}

fn required_of(subject: &Arc<Subject>) -> Vec<Check> {
    let (context, reachable) = (Arc::clone(subject), Arc::clone(subject));
    let mut checks = vec![
        Check::new(Group::Cluster, CONTEXT, "context", move |scene| judge::context(&context, scene))
            .after("tool.kubectl")
            .slow(true),
        Check::new(Group::Cluster, REACHABLE, "cluster", move |scene| judge::reachable(&reachable, scene))
            .after(CONTEXT)
            .slow(true),
        check(subject, "cluster.version", "Kubernetes", judge::version),
        of_api(subject, "cluster.family", "family of addresses", judge::family),
        of_api(subject, "cluster.rights", "rights in the cluster", rights::judge),
    ];
    if !subject.environment.cluster.pull_secrets.is_empty() {
        checks.push(of_api(subject, "cluster.pull-secrets", "what images are pulled with", supply::pull_secrets));
    }
    checks
}

fn subject(scene: &Scene) -> Option<Arc<Subject>> {
    let environment = scene.subject.environment.clone()?;
    if environment.target != TargetKind::Kubernetes {
        return None;
    }
    let systems = scene.subject.spec.iter().flat_map(|spec| spec.systems.clone()).collect::<Vec<_>>();
    let needs = needs::of(&systems, &environment, environment.target);
    let answers = Answers::new(environment.cluster.context.clone());
    Some(Arc::new(Subject { environment, needs, answers }))
}

fn check(
    subject: &Arc<Subject>,
    id: &str,
    title: &str,
    judge: impl Fn(&Subject, &Scene) -> Finding + Send + Sync + 'static,
) -> Check {
    let subject = Arc::clone(subject);
    Check::new(Group::Cluster, id, title, move |scene| judge(&subject, scene)).after(REACHABLE)
}

/// One that asks the cluster something of its own.
fn of_api(
    subject: &Arc<Subject>,
    id: &str,
    title: &str,
    judge: impl Fn(&Subject, &Api) -> Finding + Send + Sync + 'static,
) -> Check {
    check(subject, id, title, move |subject, scene| match subject.answers.live(scene) {
        Some(api) => judge(subject, &api),
        None => unreached(),
    })
}

/// One that judges what is asked once for several.
fn of_facts(
    subject: &Arc<Subject>,
    id: &str,
    title: &str,
    judge: impl Fn(&Subject, &Facts) -> Finding + Send + Sync + 'static,
) -> Check {
    check(subject, id, title, move |subject, scene| match subject.answers.facts(scene) {
        Some(Ok(facts)) => judge(subject, &facts),
        Some(Err(fault)) if fault.code == "cluster-forbidden" => {
            Finding::skip(format!("you may not look: {}", fault.cause))
        }
        Some(Err(fault)) => Finding::fail(fault.cause).fix(fault.hint.map(Fix::by_hand)),
        None => unreached(),
    })
}

/// A policy may be about where images come from, so it is shown one as there will be.
fn admission(subject: &Subject, scene: &Scene) -> Finding {
    let Some(api) = subject.answers.live(scene) else { return unreached() };
    let own = subject.needs.iter().flat_map(|needs| &needs.pods).find(|pod| pod.own);
    let registry = subject.environment.registry.clone().unwrap_or_else(Registry::local);
    let pins = || scene.subject.spec.as_ref().and_then(|spec| spec.images.values().next().map(ToString::to_string));
    let image = own.map(|pod| format!("{registry}/{}:doctor", pod.service)).or_else(pins).unwrap_or_default();
    admission::judge(subject, &api, &image)
}

/// Its parent says why.
fn unreached() -> Finding {
    Finding::skip("the cluster cannot be reached")
}

#[cfg(test)]
mod tests {
    use kubernetes::diagnostics::codes::CODES;
    use std::collections::BTreeSet;

    /// What stands in this folder as the id of a check.
    fn ids() -> BTreeSet<String> {
        let text = include_str!("cluster.rs");
        let quoted = text.split('"').filter(|part| part.starts_with("cluster.") || part.starts_with("spec."));
        quoted.map(str::to_owned).collect()
    }

    #[test]
    fn every_check_that_a_failure_names_is_there() {
        let ids = ids();
        for (code, check) in CODES.iter().filter(|(_, check)| !check.is_empty()) {
            assert!(ids.contains(*check), "{code} names {check}, which is not among {ids:?}");
        }
    }
}
