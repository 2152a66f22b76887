//! Waits until AWS reports that load balancers, their target groups, security groups and network interfaces are deleted.
//!
//! The controller removes them as Ingresses go. What no Ingress keeps any more, or a cluster that cannot be reached has left
//! behind, nobody would ever remove: that is done here, by its identity.

use super::aws_resource::{AwsResource, text};
use super::gate::{self, Removal, named};
use super::ingresses::{self, Held};
use super::scope::{ClusterAccess, State};
use super::{balancers, remains, systems};
use crate::Eks;
use anyhow::Result;
use aws::{Aws, Refusal, fault};
use base::error::Fault;
use engine::deployment::Scope;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long AWS may take; the network interfaces of a load balancer stay for minutes.
const WITHIN: Duration = Duration::from_secs(600);
/// How long a controller that runs may go on cleaning up after its last Ingress.
const CONTROLLER_WITHIN: Duration = Duration::from_secs(150);

pub(super) struct LoadBalancerGate {
    pub(super) eks: Arc<Eks>,
    pub(super) cluster: Arc<ClusterAccess>,
    pub(super) scope: Scope,
}

impl Work for LoadBalancerGate {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.left()?.is_empty().then(|| "AWS has none of them".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let began = Instant::now();
        let mut last = String::new();
        let mut removed = Vec::new();
        let mut look = || {
            let left = self.left()?;
            if left.is_empty() {
                return Ok(Some(()));
            }
            let why = match self.holder(cx, &left, began.elapsed())? {
                Holder::Controller(words) => words,
                Holder::Gone(held) => return Err(self.stalled(&left, &held).into()),
                Holder::Nobody => remove_some(&self.eks.infra.aws, &left, &mut removed)?,
            };
            last = format!("{}: {why}", named(&left));
            cx.status(format!("waiting until this is gone on AWS: {last}"));
            Ok(None)
        };
        let result = gate::until(cx, WITHIN, &mut look, || Fault::failed("teardown-blocked", ""));
        match result {
            Err(error) if Fault::of(&error).code == "teardown-blocked" => Err(self.expired(&last).into()),
            Err(error) => Err(error),
            Ok(()) if removed.is_empty() => Ok(Outcome::Done),
            Ok(()) => Ok(Outcome::DoneWith(format!("removed {}, which no Ingress needed", removed.join(", ")))),
        }
    }
}

/// Who still holds what is left.
enum Holder {
    /// The controller is at it, or will be: why it has not done so yet.
    Controller(String),
    /// Ingresses wait for a controller that does not run.
    Gone(Vec<Held>),
    Nobody,
}

impl LoadBalancerGate {
    /// What is left of the scope.
    fn left(&self) -> Result<Vec<AwsResource>> {
        let entries = self.eks.ledger.entries()?;
        let context = remains::context(&self.eks, &entries);
        let noted: Vec<AwsResource> = context
            .noted(balancers::BALANCER)
            .map(|entry| AwsResource::new(balancers::BALANCER, &entry.id, &[]))
            .collect();
        let (found, groups, interfaces) = std::thread::scope(|scope| {
            let found = scope.spawn(|| balancers::balancers(&context));
            let groups = scope.spawn(|| balancers::security_groups(&context));
            let interfaces = balancers::interfaces(&context, &noted);
            (joined(found), joined(groups), interfaces)
        });
        let told = |refusal: Refusal| fault("look for load balancers", &refusal);
        let mut left = found.map_err(told)?;
        left.extend(groups.map_err(told)?);
        let everything = self.scope.everything;
        left.retain(|resource| everything || systems::goes_with(&self.eks, resource, &self.scope));
        if everything {
            left.extend(interfaces.map_err(told)?);
        }
        Ok(left)
    }

    fn holder(&self, cx: &StepCx<'_>, left: &[AwsResource], since: Duration) -> Result<Holder> {
        if self.cluster.state(cx)? != State::Open {
            return Ok(Holder::Nobody);
        }
        let held = ingresses::held(&self.eks, &self.scope)?;
        let running = ingresses::has_controller(&self.eks)?;
        // The group that load balancers share serves nobody once they are gone, and the controller is in no hurry with it.
        let serves = left.iter().any(|resource| resource.kind != balancers::SECURITY);
        Ok(match held.first() {
            Some(_) if !running => Holder::Gone(held),
            Some(first) => Holder::Controller(first.told()),
            None if running && serves && since < CONTROLLER_WITHIN => {
                Holder::Controller("the load balancer controller has not removed it yet".to_owned())
            }
            None => Holder::Nobody,
        })
    }

    fn again(&self) -> String {
        self.eks.deployment().environment.command("teardown")
    }

    fn stalled(&self, left: &[AwsResource], held: &[Held]) -> Fault {
        let held: Vec<String> = held.iter().map(Held::told).collect();
        let cause = format!(
            "no pod of the load balancer controller is ready, and only it removes {}: {}",
            named(left),
            held.join("; ")
        );
        let hint = format!("`{}` installs the controller again and continues where it stopped", self.again());
        Fault::failed("controller-gone", cause).hint(hint)
    }

    fn expired(&self, last: &str) -> Fault {
        let cause = format!("still there on AWS after {} s: {last}", WITHIN.as_secs());
        Fault::failed("teardown-blocked", cause)
            .hint(format!("clear what holds it; then `{}` continues where it stopped", self.again()))
    }
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T, Refusal>>) -> Result<T, Refusal> {
    let lost = || Err(Refusal::new(aws::Trouble::Unanswered, "", "asking AWS panicked"));
    thread.join().unwrap_or_else(|_| lost())
}

/// Removes what nothing else of it holds: load balancers first, then their target groups, then their security groups, each
/// once the ones before it are gone. Says what holds the rest.
fn remove_some(aws: &Aws, left: &[AwsResource], removed: &mut Vec<String>) -> Result<String> {
    let Some(kind) = [balancers::BALANCER, balancers::TARGETS, balancers::SECURITY]
        .into_iter()
        .find(|kind| left.iter().any(|resource| resource.kind == *kind))
    else {
        return Ok("AWS has not removed it yet".to_owned());
    };
    let mut words = "removed, AWS still shows it".to_owned();
    for resource in left.iter().filter(|resource| resource.kind == kind) {
        if kind == balancers::BALANCER {
            unprotect(aws, resource)?;
        }
        if kind == balancers::SECURITY {
            revoke(aws, resource)?;
        }
        match gate::remove(aws, resource)? {
            Removal::Done => removed.push(format!("`{}`", resource.title())),
            Removal::Held(why) => words = why,
        }
    }
    Ok(words)
}

/// Whether a load balancer is protected from deletion.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn is_protected(aws: &Aws, resource: &AwsResource) -> Result<bool> {
    let line = ["elbv2", "describe-load-balancer-attributes", "--load-balancer-arn", &resource.id];
    let found = match aws.ask(&line) {
        Ok(found) => found,
        Err(refusal) if refusal.is_absent() => return Ok(false),
        Err(refusal) => return Err(fault(&format!("look at {}", resource.title()), &refusal).into()),
    };
    let mut attributes = super::aws_resource::list(&found, "Attributes").iter();
    Ok(attributes.any(|found| text(found, "Key") == PROTECTION && text(found, "Value") == "true"))
}

const PROTECTION: &str = "deletion_protection.enabled";

/// Takes the protection from deletion away, which neither the controller nor anybody else gets past.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn unprotect(aws: &Aws, resource: &AwsResource) -> Result<()> {
    if !is_protected(aws, resource)? {
        return Ok(());
    }
    let attribute = format!("Key={PROTECTION},Value=false");
    let line =
        ["elbv2", "modify-load-balancer-attributes", "--load-balancer-arn", &resource.id, "--attributes", &attribute];
    match aws.persist(&line) {
        Err(refusal) if !refusal.is_absent() => Err(fault(&format!("unprotect {}", resource.title()), &refusal).into()),
        _ => Ok(()),
    }
}

/// Takes the rules away that name a security group, such as the one that lets it reach the nodes: it could not be removed
/// otherwise.
fn revoke(aws: &Aws, resource: &AwsResource) -> Result<()> {
    let told = |refusal: Refusal| fault(&format!("remove what refers to {}", resource.title()), &refusal);
    let filter = format!("Name=ip-permission.group-id,Values={}", resource.id);
    let holders = aws.ask(&["ec2", "describe-security-groups", "--filters", &filter]).map_err(told)?;
    for holder in super::aws_resource::list(&holders, "SecurityGroups") {
        let holder = text(holder, "GroupId");
        let filter = format!("Name=group-id,Values={holder}");
        let rules = aws.ask(&["ec2", "describe-security-group-rules", "--filters", &filter]).map_err(told)?;
        let rules = referring(&rules, &resource.id);
        if rules.is_empty() {
            continue;
        }
        let line = ["ec2", "revoke-security-group-ingress", "--group-id", holder, "--security-group-rule-ids"];
        match aws.persist(&[&line[..], &rules].concat()) {
            Err(refusal) if !refusal.is_absent() => return Err(told(refusal).into()),
            _ => {}
        }
    }
    Ok(())
}

/// The rules for what comes in that name a group.
fn referring<'v>(rules: &'v Value, group: &str) -> Vec<&'v str> {
    let rules = super::aws_resource::list(rules, "SecurityGroupRules").iter();
    let refers = |rule: &&Value| text(&rule["ReferencedGroupInfo"], "GroupId") == group && rule["IsEgress"] != true;
    rules.filter(refers).map(|rule| text(rule, "SecurityGroupRuleId")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_rules_that_name_the_group_are_taken_away() {
        let rule = |id: &str, group: &str, out: bool| json!({"SecurityGroupRuleId": id, "ReferencedGroupInfo": {"GroupId": group}, "IsEgress": out});
        let rules = json!({"SecurityGroupRules": [
            rule("a", "sg-1", false), rule("b", "sg-2", false), rule("c", "sg-1", true), {"SecurityGroupRuleId": "d"},
        ]});
        assert_eq!(referring(&rules, "sg-1"), ["a"]);
    }
}
