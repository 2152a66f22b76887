//! Load balancers, their target groups and their security groups: those that the controller has made for the deployment's
//! cluster, and those that the ledger knows.
//!
//! Whose they are is said by the controller's tag, or by the ledger when a tag was lost. A load balancer that somebody else
//! has put into the same network is not the deployment's.

use super::aws_resource::{AwsResource, CONTROLLED, DEPLOYMENT, RESOURCE, STACK, controlled, list, tag, text};
use super::inventory::{Lookup, LookupContext, Reach};
use aws::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const QUESTIONS: [Lookup; 1] = [Lookup {
    about: "load balancers and target groups",
    line: &["elbv2", "describe-load-balancers"],
    reach: Reach::OfSystems,
    ask: balancers,
}];

/// How many ARNs AWS takes at once (docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html).
const TAGGED_AT_ONCE: usize = 20;

pub(super) const BALANCER: &str = "load-balancer";
pub(super) const TARGETS: &str = "target-group";
pub(super) const SECURITY: &str = "security-group";

/// Load balancers and target groups.
pub(super) fn balancers(context: &LookupContext<'_>) -> Result<Vec<AwsResource>, Refusal> {
    let balancers = context.aws.ask(&["elbv2", "describe-load-balancers"])?;
    let groups = context.aws.ask(&["elbv2", "describe-target-groups"])?;
    let balancers: Vec<AwsResource> = list(&balancers, "LoadBalancers").iter().map(balancer).collect();
    let groups: Vec<AwsResource> = list(&groups, "TargetGroups").iter().map(group).collect();
    let mut found = [balancers, groups].concat();
    let arns: Vec<&str> = found.iter().map(|resource| resource.id.as_str()).collect();
    let tags = tags(context, &arns)?;
    found.retain_mut(|resource| {
        let tags = tags.get(&resource.id).unwrap_or(&Value::Null);
        resource.facts["stack"] = json!(controlled(tags, STACK));
        resource.facts["resource"] = json!(controlled(tags, RESOURCE));
        is_ours(tags, context) || context.is_noted(resource.kind, &resource.id)
    });
    Ok(found)
}

fn balancer(found: &Value) -> AwsResource {
    let arn = text(found, "LoadBalancerArn");
    let remove = ["elbv2", "delete-load-balancer", "--load-balancer-arn", arn];
    AwsResource::new(BALANCER, arn, &remove).named(text(found, "LoadBalancerName")).with(json!({
        "scheme": text(found, "Scheme"), "zones": list(found, "AvailabilityZones").len(),
        "vpc": text(found, "VpcId"), "dns": text(found, "DNSName"),
    }))
}

fn group(found: &Value) -> AwsResource {
    let arn = text(found, "TargetGroupArn");
    let remove = ["elbv2", "delete-target-group", "--target-group-arn", arn];
    AwsResource::new(TARGETS, arn, &remove)
        .named(text(found, "TargetGroupName"))
        .with(json!({"vpc": text(found, "VpcId")}))
}

/// The security groups that the controller has made, and the one that it shares between load balancers.
pub(super) fn security_groups(context: &LookupContext<'_>) -> Result<Vec<AwsResource>, Refusal> {
    let filter = format!("Name=tag:{CONTROLLED},Values={}", context.names.base());
    let found = context.aws.ask(&["ec2", "describe-security-groups", "--filters", &filter])?;
    let group = |found: &Value| {
        let resource = AwsResource::new(SECURITY, text(found, "GroupId"), &delete_group(text(found, "GroupId")));
        let stack = controlled(&found["Tags"], STACK);
        resource.named(text(found, "GroupName")).with(json!({"stack": stack, "vpc": text(found, "VpcId")}))
    };
    Ok(list(&found, "SecurityGroups").iter().map(group).collect())
}

fn delete_group(id: &str) -> [&str; 4] {
    ["ec2", "delete-security-group", "--group-id", id]
}

/// The network interfaces of load balancers, which outlive them for a while and hold their security groups. Only those of
/// `balancers` are looked at, by the descriptions that AWS gives: `ELB app/NAME/ID`.
pub(super) fn interfaces(context: &LookupContext<'_>, balancers: &[AwsResource]) -> Result<Vec<AwsResource>, Refusal> {
    let descriptions: Vec<String> =
        balancers.iter().filter_map(|resource| Some(format!("ELB {}", path(&resource.id)?))).collect();
    if descriptions.is_empty() {
        return Ok(Vec::new());
    }
    let filter = format!("Name=description,Values={}", descriptions.join(","));
    let found = context.aws.ask(&["ec2", "describe-network-interfaces", "--filters", &filter])?;
    let interface = |found: &Value| {
        let id = text(found, "NetworkInterfaceId");
        let remove = ["ec2", "delete-network-interface", "--network-interface-id", id];
        AwsResource::new("network-interface", id, &remove).named(text(found, "Description"))
    };
    Ok(list(&found, "NetworkInterfaces").iter().map(interface).collect())
}

/// `app/NAME/ID` of an ARN that ends in `:loadbalancer/app/NAME/ID`.
fn path(arn: &str) -> Option<&str> {
    arn.split_once(":loadbalancer/").map(|(_, path)| path)
}

/// Whether tags say that something is the deployment's.
fn is_ours(tags: &Value, context: &LookupContext<'_>) -> bool {
    tag(tags, CONTROLLED) == context.names.base() || tag(tags, DEPLOYMENT) == context.names.id.as_str()
}

fn tags(context: &LookupContext<'_>, arns: &[&str]) -> Result<BTreeMap<String, Value>, Refusal> {
    let mut tags = BTreeMap::new();
    for some in arns.chunks(TAGGED_AT_ONCE) {
        let answer = context.aws.ask(&[&["elbv2", "describe-tags", "--resource-arns"], some].concat())?;
        let entries = list(&answer, "TagDescriptions").iter();
        tags.extend(entries.map(|entry| (text(entry, "ResourceArn").to_owned(), entry["Tags"].clone())));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_is_read_with_what_it_costs() {
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/k8s-epoch/1";
        let resource = balancer(&json!({
            "LoadBalancerArn": arn, "LoadBalancerName": "k8s-epoch", "Scheme": "internal", "VpcId": "vpc-1",
            "AvailabilityZones": [{}, {}],
        }));
        assert_eq!((resource.id.as_str(), resource.name.as_str()), (arn, "k8s-epoch"));
        assert_eq!((&resource.facts["scheme"], &resource.facts["zones"]), (&json!("internal"), &json!(2)));
        assert_eq!(resource.remove.last().unwrap(), arn);
        assert_eq!(path(arn), Some("app/k8s-epoch/1"));
        assert_eq!(path("arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/1"), None);
    }
}
