//! The end of what is reached from outside, where a deploy or a rollback removes it: Ingresses go before what they lead to,
//! the load balancer controller lets go of them, and then go the names that nothing leads to any more.

use super::aws_resource::{list, text};
use super::balancers::{BALANCER, SECURITY, TARGETS};
use super::inventory::{LookupContext, Reach};
use super::records::RECORD;
use super::{dns_records, records};
use crate::alb_ingress::AlbIngress;
use crate::reconciled;
use crate::takeover::{hosts, ingresses};
use anyhow::Result;
use aws::{Aws, Refusal, fault};
use base::error::Fault;
use engine::ledger::Entry;
use engine::plan::pace::every;
use engine::plan::runner::StepCx;
use kube::object;
use kube::path::INGRESS;
use kubernetes::Kubernetes;
use model::name::{ServiceName, SystemName};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the controller may take to remove a load balancer: its security group is held for minutes by network
/// interfaces that AWS removes in its own time.
const WITHIN: Duration = Duration::from_secs(300);
const OFTEN: Duration = Duration::from_millis(500);

/// See [`kubernetes::platform::IngressProvider::close`].
///
/// # Errors
/// `ingress-held`, when one stays: what the controller says of it.
pub(crate) fn close(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    namespace: &str,
    services: Option<&BTreeSet<ServiceName>>,
) -> Result<()> {
    let api = core.access.api()?;
    let is_closed = |ingress: &Value| {
        services.is_none_or(|services| services.iter().any(|service| service.as_str() == object::name(ingress)))
    };
    let look = || -> Result<Vec<Value>> {
        let mut found = ingresses(core, &INGRESS.within(namespace))?;
        found.retain(is_closed);
        Ok(found)
    };
    let found = look()?;
    if found.is_empty() {
        return Ok(());
    }
    for ingress in found.iter().filter(|ingress| !object::is_going(ingress)) {
        let refused =
            |refusal: kube::Refusal| kube::fault(&format!("remove Ingress `{}`", object::name(ingress)), &refusal);
        api.delete(&INGRESS.at(namespace, object::name(ingress)), false).map_err(refused)?;
    }
    let names: Vec<String> = found.iter().map(|ingress| format!("`{}`", object::name(ingress))).collect();
    cx.status(format!("waiting for the load balancer controller to let go of {}", names.join(", ")));
    let left = RefCell::new(found);
    let ask = every(OFTEN, || {
        left.replace(look()?);
        Ok(left.borrow().is_empty().then_some(()))
    });
    cx.wait_for(WITHIN, ask, || held(core, namespace, &left.borrow()))
}

fn held(core: &Kubernetes, namespace: &str, left: &[Value]) -> Fault {
    let Some(ingress) = left.first() else { return Fault::failed("ingress-held", "an Ingress does not go") };
    let name = object::name(ingress);
    let events = core.access.api().ok().and_then(|api| reconciled::events(&api, namespace, name).ok());
    let said = events.and_then(|events| reconciled::complaint(&events));
    let said = said.map_or_else(
        || "it says nothing of it".to_owned(),
        |complaint| format!("{}: {}", complaint.reason, complaint.words),
    );
    let within = WITHIN.as_secs();
    let cause = format!(
        "the load balancer controller does not let go of Ingress `{namespace}/{name}` within {within} s: {said}"
    );
    let hint = format!("clear what holds it (kubectl describe ingress {name} -n {namespace}), then run this again");
    Fault::failed("ingress-held", cause).hint(hint)
}

/// See [`kubernetes::platform::IngressProvider::forget_closed`].
///
/// # Errors
/// `record-held`, or what AWS or the cluster says.
pub(crate) fn forget(provider: &AlbIngress, core: &Kubernetes, cx: &StepCx<'_>, system: &SystemName) -> Result<()> {
    let mut entries = provider.ledger.entries()?;
    let is_its = |entry: &Entry| entry.kind == RECORD && entry.system.as_deref() == Some(system.as_str());
    let mut names: Vec<Entry> = entries.iter().filter(|entry| is_its(entry)).cloned().collect();
    if !names.is_empty() {
        let hosts = hosts(&ingresses(core, &INGRESS.everywhere())?);
        names.retain(|entry| !hosts.contains(text(&entry.identity, "name")));
    }
    if !names.is_empty() {
        remove_names(provider, cx, &names)?;
    }
    entries.retain(is_of_balancers);
    strike_gone(provider, &entries)
}

/// Removes records as far as they lead where we had them lead.
fn remove_names(provider: &AlbIngress, cx: &StepCx<'_>, entries: &[Entry]) -> Result<()> {
    let (aws, names) = (&provider.infra.aws, &provider.infra.names);
    let context = LookupContext { aws, names, entries, domain: None, reach: Reach::OfSystems };
    let found = records::records(&context).map_err(|refusal| fault("look for records of the domain", &refusal))?;
    for resource in &found {
        cx.status(format!("removing the {}", resource.title()));
    }
    dns_records::remove(aws, &found)?;
    provider.ledger.strike(&|entry| entries.iter().any(|gone| (&gone.kind, &gone.id) == (&entry.kind, &entry.id)))
}

fn is_of_balancers(entry: &Entry) -> bool {
    [BALANCER, TARGETS, SECURITY].contains(&entry.kind.as_str())
}

/// Strikes those of the ledger's entries of load balancers, and of what belongs to them, that AWS has not.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn strike_gone(provider: &AlbIngress, entries: &[Entry]) -> Result<()> {
    let entries: Vec<&Entry> = entries.iter().filter(|entry| is_of_balancers(entry)).collect();
    if entries.is_empty() {
        return Ok(());
    }
    let groups: Vec<&str> =
        entries.iter().filter(|entry| entry.kind == SECURITY).map(|entry| entry.id.as_str()).collect();
    // What is entered after this look is none of those.
    let there = there(&provider.infra.aws, &groups);
    let there = there.map_err(|refusal| fault("look at the load balancers", &refusal))?;
    let gone: Vec<&Entry> = entries.into_iter().filter(|entry| !there.contains(&entry.id)).collect();
    provider.ledger.strike(&|entry| gone.contains(&entry))
}

/// The IDs of all load balancers and target groups, and of these security groups, as far as they are there.
fn there(aws: &Aws, groups: &[&str]) -> Result<BTreeSet<String>, Refusal> {
    let ids = |answer: &Value, all: &str, id: &str| -> Vec<String> {
        list(answer, all).iter().map(|one| text(one, id).to_owned()).collect()
    };
    let mut there = BTreeSet::new();
    let balancers = aws.ask(&["elbv2", "describe-load-balancers"])?;
    there.extend(ids(&balancers, "LoadBalancers", "LoadBalancerArn"));
    let targets = aws.ask(&["elbv2", "describe-target-groups"])?;
    there.extend(ids(&targets, "TargetGroups", "TargetGroupArn"));
    if !groups.is_empty() {
        let filter = format!("Name=group-id,Values={}", groups.join(","));
        let found = aws.ask(&["ec2", "describe-security-groups", "--filters", &filter])?;
        there.extend(ids(&found, "SecurityGroups", "GroupId"));
    }
    Ok(there)
}
