//! The gate before Terraform's destroy: nobody else is in the network. Terraform would wait a quarter of an hour for a
//! subnet or a gateway that somebody holds, and then not say who.

use super::aws_resource::{AwsResource, list, tag, text};
use super::ec2;
use crate::Eks;
use anyhow::Result;
use aws::infra::names::Names;
use aws::{Refusal, fault};
use base::error::Fault;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use serde_json::Value;
use std::sync::Arc;

pub(super) struct NetworkWork {
    pub(super) eks: Arc<Eks>,
}

impl Work for NetworkWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let vpcs = vpcs(&self.eks)?;
        if vpcs.is_empty() {
            return Ok(Some("there is no network".to_owned()));
        }
        match unmanaged(&self.eks, &vpcs)?.as_slice() {
            [] => Ok(Some("nobody else uses it".to_owned())),
            found => Err(self.held(&vpcs, found).into()),
        }
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

impl NetworkWork {
    fn held(&self, vpcs: &[String], found: &[AwsResource]) -> Fault {
        let told: Vec<String> = found.iter().map(told).collect();
        let cause = format!(
            "network `{}` cannot be removed while someone else uses it: {}",
            vpcs.join("`, `"),
            told.join("; ")
        );
        let lines = found.iter().map(|resource| format!("`{}`", resource.line(self.eks.infra.aws.command())));
        let again = self.eks.deployment().environment.command("teardown");
        let hint = format!(
            "if it is yours to remove: {}; then `{again}` continues where it stopped",
            lines.take(3).collect::<Vec<_>>().join(", ")
        );
        Fault::failed("network-in-use", cause).hint(hint)
    }
}

/// "`network-interface eni-1 (ELB app/other/1)` with the public address 203.0.113.9"
fn told(resource: &AwsResource) -> String {
    let title = format!("`{}`", resource.title());
    match (text(&resource.facts, "address"), text(&resource.facts, "instance")) {
        ("", "") => title,
        ("", instance) => format!("{title} of instance `{instance}`"),
        (address, "") => format!("{title} with the public address {address}"),
        (address, instance) => format!("{title} of instance `{instance}` with the public address {address}"),
    }
}

/// The networks of the deployment.
pub(super) fn vpcs(eks: &Eks) -> Result<Vec<String>> {
    let filter = format!("Name=tag:{},Values={}", super::aws_resource::DEPLOYMENT, eks.infra.names.id);
    let found = eks.infra.aws.ask(&["ec2", "describe-vpcs", "--filters", &filter]);
    let found = found.map_err(|refusal| fault("look for the network", &refusal))?;
    Ok(list(&found, "Vpcs").iter().map(|found| text(found, "VpcId").to_owned()).collect())
}

/// What in the networks is neither Terraform's nor goes with what is.
fn unmanaged(eks: &Eks, vpcs: &[String]) -> Result<Vec<AwsResource>> {
    let told = |refusal: Refusal| fault("look up who uses the network", &refusal);
    let filter = format!("Name=vpc-id,Values={}", vpcs.join(","));
    let questions: [&[&str]; 4] = [
        &["ec2", "describe-network-interfaces", "--filters", &filter],
        &["ec2", "describe-instances", "--filters", &filter],
        &["ec2", "describe-nat-gateways", "--filter", &filter],
        &["ec2", "describe-vpc-endpoints", "--filters", &filter],
    ];
    let answers: Result<Vec<Value>, Refusal> = eks.infra.aws.ask_at_once(&questions).into_iter().collect();
    let answers = answers.map_err(told)?;
    let own = Own::of(&eks.infra.names, &answers[1], &answers[2], &answers[3]);
    let interfaces = list(&answers[0], "NetworkInterfaces").iter().filter(|found| !own.has(found));
    Ok(interfaces.filter_map(ec2::stranger).collect())
}

/// What in the network is the deployment's own, or AWS's for it.
struct Own<'a> {
    names: &'a Names,
    instances: Vec<&'a str>,
    /// The interfaces of NAT gateways and of endpoints.
    interfaces: Vec<&'a str>,
}

impl<'a> Own<'a> {
    fn of(names: &'a Names, instances: &'a Value, gateways: &'a Value, endpoints: &'a Value) -> Self {
        let ours = |found: &&Value| is_ours(&found["Tags"], names);
        let all = list(instances, "Reservations").iter().flat_map(|found| list(found, "Instances"));
        let gateways = list(gateways, "NatGateways").iter().filter(ours);
        let addresses = gateways.flat_map(|found| list(found, "NatGatewayAddresses"));
        let endpoints = list(endpoints, "VpcEndpoints").iter().filter(ours);
        let interfaces = endpoints.flat_map(|found| list(found, "NetworkInterfaceIds")).filter_map(Value::as_str);
        Self {
            names,
            instances: all.filter(ours).map(|found| text(found, "InstanceId")).collect(),
            interfaces: addresses.map(|found| text(found, "NetworkInterfaceId")).chain(interfaces).collect(),
        }
    }

    /// Whether an interface goes with what Terraform removes, or is swept up after it.
    fn has(&self, found: &Value) -> bool {
        let (id, description) = (text(found, "NetworkInterfaceId"), text(found, "Description"));
        let instance = found.pointer("/Attachment/InstanceId").and_then(Value::as_str).unwrap_or_default();
        let base = self.names.base();
        self.interfaces.contains(&id)
            || self.instances.contains(&instance)
            || is_ours(&found["TagSet"], self.names)
            || description == format!("Amazon EKS {base}")
            || description.starts_with(&format!("ElastiCache {base}"))
            || description == format!("ElastiCache+{base}")
    }
}

/// By its tags: Terraform's, those of nodes and of what they make for their pods.
fn is_ours(tags: &Value, names: &Names) -> bool {
    let base = names.base();
    tag(tags, super::aws_resource::DEPLOYMENT) == names.id.as_str()
        || tag(tags, &format!("kubernetes.io/cluster/{base}")) == "owned"
        || ["eks:cluster-name", "eks:eks-cluster-name", "aws:eks:cluster-name", ec2::CLUSTER_NAME]
            .iter()
            .any(|key| tag(tags, key) == base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names {
        Names {
            account: "123456789012".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            id: "a".parse().unwrap(),
        }
    }

    #[test]
    fn strangers_in_the_network_are_told_from_what_goes_with_it() {
        let names = names();
        let tags = json!([{"Key": "deployment_id", "Value": "a"}]);
        let instances = json!({"Reservations": [{"Instances": [
            {"InstanceId": "i-own", "Tags": [{"Key": "eks:cluster-name", "Value": "slipway-a"}]}, {"InstanceId": "i-other"},
        ]}]});
        let gateways =
            json!({"NatGateways": [{"Tags": tags, "NatGatewayAddresses": [{"NetworkInterfaceId": "eni-nat"}]}]});
        let endpoints = json!({"VpcEndpoints": [
            {"Tags": tags, "NetworkInterfaceIds": ["eni-endpoint"]},
            {"ServiceName": "guardduty-data", "NetworkInterfaceIds": ["eni-guard"]},
        ]});
        let own = Own::of(&names, &instances, &gateways, &endpoints);
        let of = |id: &str, more: Value| {
            let mut interface = more;
            interface["NetworkInterfaceId"] = json!(id);
            own.has(&interface)
        };
        assert!(of("eni-nat", json!({})) && of("eni-endpoint", json!({})));
        assert!(of("eni-1", json!({"Attachment": {"InstanceId": "i-own"}})));
        assert!(of("eni-2", json!({"Description": "Amazon EKS slipway-a"})));
        assert!(of("eni-3", json!({"TagSet": [{"Key": "cluster.k8s.amazonaws.com/name", "Value": "slipway-a"}]})));
        assert!(!of("eni-guard", json!({})));
        assert!(!of("eni-4", json!({"Attachment": {"InstanceId": "i-other"}})));
        assert!(!of("eni-5", json!({"Description": "Amazon EKS slipway-ab"})));
        assert!(!of("eni-6", json!({"Description": "ELB app/other/1"})));
    }
}
