//! What EC2 has of a deployment: found by its tags in one question, and asked for again where a tag outlives its thing.

use super::look::{Question, Scene};
use super::thing::{CONTROLLED, DEPLOYMENT, Thing, list, tag, text};
use crate::aws::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const QUESTIONS: [Question; 1] =
    [Question { about: "networks, addresses, volumes and instances", line: &["ec2", "describe-tags"], ask: tagged }];

/// On the network interfaces that nodes make for their pods (github.com/aws/amazon-vpc-cni-k8s), and on the instances of
/// Auto Mode.
pub(super) const CLUSTER_NAME: &str = "cluster.k8s.amazonaws.com/name";

/// How a kind is called, how it is removed, and whether a tag is no proof that it is there.
struct Kind {
    tagged: &'static str,
    kind: &'static str,
    remove: [&'static str; 2],
    look: Option<fn(&Scene<'_>, &[&str]) -> Result<Vec<Thing>, Refusal>>,
}

const fn kind(tagged: &'static str, kind: &'static str, remove: [&'static str; 2]) -> Kind {
    Kind { tagged, kind, remove, look: None }
}

/// By the names that tags have for them.
const KINDS: [Kind; 13] = [
    kind("vpc", "vpc", ["delete-vpc", "--vpc-id"]),
    kind("subnet", "subnet", ["delete-subnet", "--subnet-id"]),
    kind("internet-gateway", "internet-gateway", ["delete-internet-gateway", "--internet-gateway-id"]),
    kind("route-table", "route-table", ["delete-route-table", "--route-table-id"]),
    kind("security-group", "security-group", ["delete-security-group", "--group-id"]),
    kind("launch-template", "launch-template", ["delete-launch-template", "--launch-template-id"]),
    kind("snapshot", "snapshot", ["delete-snapshot", "--snapshot-id"]),
    kind("elastic-ip", "address", ["release-address", "--allocation-id"]),
    Kind { look: Some(gateways), ..kind("natgateway", "nat-gateway", ["delete-nat-gateway", "--nat-gateway-id"]) },
    Kind { look: Some(endpoints), ..kind("vpc-endpoint", "endpoint", ["delete-vpc-endpoints", "--vpc-endpoint-ids"]) },
    Kind { look: Some(volumes), ..kind("volume", VOLUME, ["delete-volume", "--volume-id"]) },
    Kind { look: Some(instances), ..kind("instance", "instance", ["terminate-instances", "--instance-ids"]) },
    Kind {
        look: Some(interfaces),
        ..kind("network-interface", INTERFACE, ["delete-network-interface", "--network-interface-id"])
    },
];

pub(super) const VOLUME: &str = "volume";
pub(super) const INTERFACE: &str = "network-interface";

/// The kind that tags call so. Two of them have a second name.
fn of(tagged: &str) -> Option<&'static Kind> {
    let name = match tagged {
        "vpc-elastic-ip" => "elastic-ip",
        "nat-gateway" => "natgateway",
        other => other,
    };
    KINDS.iter().find(|kind| kind.tagged == name)
}

impl Kind {
    fn thing(&self, id: &str) -> Thing {
        Thing::new(self.kind, id, &["ec2", self.remove[0], self.remove[1], id])
    }
}

fn tagged(scene: &Scene<'_>) -> Result<Vec<Thing>, Refusal> {
    let mut ids = identified(&pairs(scene), &ask_tags(scene)?);
    for entry in scene.entries {
        let noted = KINDS.iter().find(|kind| kind.kind == entry.kind && kind.look.is_some());
        ids.extend(noted.map(|kind| (entry.id.clone(), kind)));
    }
    let mut things = Vec::new();
    for kind in &KINDS {
        let own: Vec<&str> =
            ids.iter().filter(|(_, other)| other.tagged == kind.tagged).map(|(id, _)| id.as_str()).collect();
        match kind.look {
            _ if own.is_empty() => {}
            Some(look) => things.extend(look(scene, &own)?),
            None => things.extend(own.into_iter().map(|id| kind.thing(id))),
        }
    }
    Ok(things)
}

/// The tags that say that something is the deployment's: its ID, and its cluster's name on what controllers, nodes and
/// volumes bring.
fn pairs(scene: &Scene<'_>) -> Vec<(String, String)> {
    let base = scene.names.base();
    vec![
        (DEPLOYMENT.to_owned(), scene.names.id.to_string()),
        (format!("kubernetes.io/cluster/{base}"), "owned".to_owned()),
        (CONTROLLED.to_owned(), base.clone()),
        (CLUSTER_NAME.to_owned(), base.clone()),
        ("eks:eks-cluster-name".to_owned(), base),
    ]
}

fn ask_tags(scene: &Scene<'_>) -> Result<Value, Refusal> {
    let pairs = pairs(scene);
    let filter = |name: &str, values: Vec<&str>| format!("Name={name},Values={}", values.join(","));
    let keys = filter("key", pairs.iter().map(|(key, _)| key.as_str()).collect());
    let mut values: Vec<&str> = pairs.iter().map(|(_, value)| value.as_str()).collect();
    values.sort_unstable();
    values.dedup();
    scene.aws.ask(&["ec2", "describe-tags", "--filters", &keys, &filter("value", values)])
}

/// What carries one of the tags. AWS was asked for any of the keys with any of the values.
fn identified(pairs: &[(String, String)], answer: &Value) -> BTreeMap<String, &'static Kind> {
    let ours =
        |found: &&Value| pairs.iter().any(|(key, value)| text(found, "Key") == key && text(found, "Value") == value);
    let tags = list(answer, "Tags").iter().filter(ours);
    tags.filter_map(|found| Some((text(found, "ResourceId").to_owned(), of(text(found, "ResourceType"))?))).collect()
}

/// Asks by ID. AWS refuses the whole question when one of them is unknown, so that it is a filter.
fn describe(scene: &Scene<'_>, verb: &str, filter: &str, ids: &[&str]) -> Result<Value, Refusal> {
    let filter_argument = if verb == "describe-nat-gateways" { "--filter" } else { "--filters" };
    let values = format!("Name={},Values={}", filter, ids.join(","));
    scene.aws.ask(&["ec2", verb, filter_argument, &values])
}

fn gateways(scene: &Scene<'_>, ids: &[&str]) -> Result<Vec<Thing>, Refusal> {
    let found = describe(scene, "describe-nat-gateways", "nat-gateway-id", ids)?;
    // One that was deleted is shown for an hour.
    let there = list(&found, "NatGateways").iter().filter(|found| text(found, "State") != "deleted");
    Ok(there.filter_map(|found| Some(of("natgateway")?.thing(text(found, "NatGatewayId")))).collect())
}

fn endpoints(scene: &Scene<'_>, ids: &[&str]) -> Result<Vec<Thing>, Refusal> {
    let filter = format!("tag:{DEPLOYMENT}");
    let mut found = describe(scene, "describe-vpc-endpoints", &filter, &[scene.names.id.as_str()])?;
    if let Some(found) = found["VpcEndpoints"].as_array_mut() {
        found.retain(|found| ids.contains(&text(found, "VpcEndpointId")));
    }
    let there = list(&found, "VpcEndpoints").iter().filter(|found| text(found, "State").to_lowercase() != "deleted");
    let endpoint = |found: &Value| {
        let facts = json!({"type": text(found, "VpcEndpointType"), "zones": list(found, "SubnetIds").len()});
        let thing = of("vpc-endpoint")?.thing(text(found, "VpcEndpointId"));
        Some(thing.named(text(found, "ServiceName")).with(facts))
    };
    Ok(there.filter_map(endpoint).collect())
}

pub(super) fn volumes(scene: &Scene<'_>, ids: &[&str]) -> Result<Vec<Thing>, Refusal> {
    let found = describe(scene, "describe-volumes", "volume-id", ids)?;
    let there = list(&found, "Volumes").iter().filter(|found| !["deleting", "deleted"].contains(&text(found, "State")));
    let volume = |found: &Value| {
        let claim = tag(&found["Tags"], "kubernetes.io/created-for/pvc/name");
        let space = tag(&found["Tags"], "kubernetes.io/created-for/pvc/namespace");
        let facts = json!({
            "gib": found["Size"], "state": text(found, "State"), "claim": claim, "namespace": space,
            "holder": found.pointer("/Attachments/0/InstanceId"),
        });
        let name = if claim.is_empty() { String::new() } else { format!("{space}/{claim}") };
        Some(of(VOLUME)?.thing(text(found, "VolumeId")).named(name).with(facts))
    };
    Ok(there.filter_map(volume).collect())
}

fn instances(scene: &Scene<'_>, ids: &[&str]) -> Result<Vec<Thing>, Refusal> {
    let found = describe(scene, "describe-instances", "instance-id", ids)?;
    let all = list(&found, "Reservations").iter().flat_map(|found| list(found, "Instances"));
    let there = all.filter(|found| text(&found["State"], "Name") != "terminated");
    let instance = |found: &Value| {
        let thing = of("instance")?.thing(text(found, "InstanceId"));
        Some(thing.named(tag(&found["Tags"], "Name")).with(json!({"type": text(found, "InstanceType")})))
    };
    Ok(there.filter_map(instance).collect())
}

fn interfaces(scene: &Scene<'_>, ids: &[&str]) -> Result<Vec<Thing>, Refusal> {
    let found = describe(scene, "describe-network-interfaces", "network-interface-id", ids)?;
    Ok(list(&found, "NetworkInterfaces").iter().filter_map(interface).collect())
}

pub(super) fn interface(found: &Value) -> Option<Thing> {
    let facts = json!({
        "status": text(found, "Status"), "instance": found.pointer("/Attachment/InstanceId"),
        "attachment": found.pointer("/Attachment/AttachmentId"), "vpc": text(found, "VpcId"),
        "address": found.pointer("/Association/PublicIp"), "type": text(found, "InterfaceType"),
    });
    let thing = of(INTERFACE)?.thing(text(found, "NetworkInterfaceId"));
    Some(thing.named(text(found, "Description")).with(facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_tag_says_whose_something_is() {
        let pairs = [("deployment_id".to_owned(), "a".to_owned()), (CONTROLLED.to_owned(), "slipway-a".to_owned())];
        let found = |id: &str, kind: &str, key: &str, value: &str| json!({"ResourceId": id, "ResourceType": kind, "Key": key, "Value": value});
        let answer = json!({"Tags": [
            found("vpc-1", "vpc", "deployment_id", "a"), found("vpc-2", "vpc", "deployment_id", "slipway-a"),
            found("sg-1", "security-group", CONTROLLED, "slipway-a"), found("x", "something-new", "deployment_id", "a"),
            found("eip-1", "vpc-elastic-ip", "deployment_id", "a"), found("nat-1", "nat-gateway", "deployment_id", "a"),
        ]});
        let ids = identified(&pairs, &answer);
        let kinds: Vec<_> = ids.iter().map(|(id, kind)| (id.as_str(), kind.kind)).collect();
        assert_eq!(
            kinds,
            [("eip-1", "address"), ("nat-1", "nat-gateway"), ("sg-1", "security-group"), ("vpc-1", "vpc")]
        );
    }
}
