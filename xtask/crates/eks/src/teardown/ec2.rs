//! What EC2 has of a deployment: found by its tags in one question, and asked for again where a tag outlives its resource.

use super::aws_resource::{AwsResource, CONTROLLED, DEPLOYMENT, STACK, controlled, list, tag, text};
use super::balancers::SECURITY;
use super::inventory::{Lookup, LookupContext, Reach};
use aws::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const QUESTIONS: [Lookup; 1] = [Lookup {
    about: "networks, addresses, volumes and instances",
    line: &["ec2", "describe-tags"],
    reach: Reach::OfSystems,
    ask: tagged,
}];

/// On the network interfaces that nodes make for their pods (github.com/aws/amazon-vpc-cni-k8s), and on the instances of
/// Auto Mode.
pub(super) const CLUSTER_NAME: &str = "cluster.k8s.amazonaws.com/name";

/// How a kind is called, asked for and removed. A tag is no proof that something is there: tags outlive what they stand on.
struct Kind {
    /// As tags call it.
    tagged: &'static str,
    kind: &'static str,
    /// The verb, the filter, the list in the answer and the ID in it.
    ask: [&'static str; 4],
    remove: [&'static str; 2],
    /// What is known of one beside its ID; `None` when it is on its way out already.
    read: fn(&Value) -> Option<(String, Value)>,
}

const fn kind(tagged: &'static str, kind: &'static str, ask: [&'static str; 4], remove: [&'static str; 2]) -> Kind {
    Kind { tagged, kind, ask, remove, read: plain }
}

const BY_TAG: &str = "tag:deployment_id";

const KINDS: [Kind; 13] = [
    kind("vpc", "vpc", ["describe-vpcs", "vpc-id", "Vpcs", "VpcId"], ["delete-vpc", "--vpc-id"]),
    kind(
        "subnet",
        "subnet",
        ["describe-subnets", "subnet-id", "Subnets", "SubnetId"],
        ["delete-subnet", "--subnet-id"],
    ),
    kind(
        "internet-gateway",
        "internet-gateway",
        ["describe-internet-gateways", "internet-gateway-id", "InternetGateways", "InternetGatewayId"],
        ["delete-internet-gateway", "--internet-gateway-id"],
    ),
    kind(
        "route-table",
        "route-table",
        ["describe-route-tables", "route-table-id", "RouteTables", "RouteTableId"],
        ["delete-route-table", "--route-table-id"],
    ),
    kind(
        "launch-template",
        "launch-template",
        ["describe-launch-templates", BY_TAG, "LaunchTemplates", "LaunchTemplateId"],
        ["delete-launch-template", "--launch-template-id"],
    ),
    kind(
        "snapshot",
        "snapshot",
        ["describe-snapshots", "snapshot-id", "Snapshots", "SnapshotId"],
        ["delete-snapshot", "--snapshot-id"],
    ),
    kind(
        "elastic-ip",
        "address",
        ["describe-addresses", "allocation-id", "Addresses", "AllocationId"],
        ["release-address", "--allocation-id"],
    ),
    Kind {
        read: group,
        ..kind(
            "security-group",
            "security-group",
            ["describe-security-groups", "group-id", "SecurityGroups", "GroupId"],
            ["delete-security-group", "--group-id"],
        )
    },
    Kind {
        read: gateway,
        ..kind(
            "natgateway",
            "nat-gateway",
            ["describe-nat-gateways", "nat-gateway-id", "NatGateways", "NatGatewayId"],
            ["delete-nat-gateway", "--nat-gateway-id"],
        )
    },
    Kind {
        read: endpoint,
        ..kind(
            "vpc-endpoint",
            "endpoint",
            ["describe-vpc-endpoints", BY_TAG, "VpcEndpoints", "VpcEndpointId"],
            ["delete-vpc-endpoints", "--vpc-endpoint-ids"],
        )
    },
    Kind {
        read: volume,
        ..kind(
            "volume",
            VOLUME,
            ["describe-volumes", "volume-id", "Volumes", "VolumeId"],
            ["delete-volume", "--volume-id"],
        )
    },
    Kind {
        read: instance,
        ..kind(
            "instance",
            "instance",
            ["describe-instances", "instance-id", "Reservations", "InstanceId"],
            ["terminate-instances", "--instance-ids"],
        )
    },
    Kind {
        read: interface,
        ..kind(
            "network-interface",
            INTERFACE,
            ["describe-network-interfaces", "network-interface-id", "NetworkInterfaces", "NetworkInterfaceId"],
            ["delete-network-interface", "--network-interface-id"],
        )
    },
];

/// What is made in the network without Terraform: by nodes, by the cluster's storage, by the load balancer controller.
const UNMANAGED: [&str; 3] = [VOLUME, INTERFACE, SECURITY];

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
    /// AWS refuses a question by IDs when one of them is unknown, so that they are a filter.
    fn question(&self, context: &LookupContext<'_>, ids: &[&str]) -> Vec<String> {
        let [verb, filter, ..] = self.ask;
        let argument = if verb == "describe-nat-gateways" { "--filter" } else { "--filters" };
        let values = if filter == BY_TAG { context.names.id.to_string() } else { ids.join(",") };
        ["ec2", verb, argument, &format!("Name={filter},Values={values}")].map(str::to_owned).to_vec()
    }

    fn resources(&self, answer: &Value, ids: &[&str]) -> Vec<AwsResource> {
        let all = list(answer, self.ask[2]).iter();
        // Instances come by the orders that they were made with.
        let all: Vec<&Value> = match self.ask[2] {
            "Reservations" => all.flat_map(|found| list(found, "Instances")).collect(),
            _ => all.collect(),
        };
        let known = all.into_iter().filter(|found| ids.contains(&text(found, self.ask[3])));
        known.filter_map(|found| self.resource(found)).collect()
    }

    fn resource(&self, found: &Value) -> Option<AwsResource> {
        let id = text(found, self.ask[3]);
        let (name, facts) = (self.read)(found)?;
        Some(AwsResource::new(self.kind, id, &["ec2", self.remove[0], self.remove[1], id]).named(name).with(facts))
    }
}

fn tagged(context: &LookupContext<'_>) -> Result<Vec<AwsResource>, Refusal> {
    of_kinds(context, |kind| match context.reach {
        Reach::Everything => true,
        Reach::Unmanaged => UNMANAGED.contains(&kind),
        Reach::OfSystems => kind == SECURITY,
    })
}

/// The volumes alone.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn volumes(context: &LookupContext<'_>) -> Result<Vec<AwsResource>, Refusal> {
    of_kinds(context, |kind| kind == VOLUME)
}

fn of_kinds(context: &LookupContext<'_>, wanted: impl Fn(&str) -> bool) -> Result<Vec<AwsResource>, Refusal> {
    let mut ids = identified(&pairs(context), &ask_tags(context)?);
    for entry in context.entries {
        let noted = KINDS.iter().find(|kind| kind.kind == entry.kind);
        ids.extend(noted.map(|kind| (entry.id.clone(), kind)));
    }
    let of_kind =
        |kind: &Kind| ids.iter().filter(|(_, other)| other.tagged == kind.tagged).map(|(id, _)| id.as_str()).collect();
    let kinds = KINDS.iter().filter(|kind| wanted(kind.kind));
    let asked: Vec<(&Kind, Vec<&str>)> = kinds.map(|kind| (kind, of_kind(kind))).collect();
    let asked: Vec<_> = asked.into_iter().filter(|(_, ids): &(_, Vec<&str>)| !ids.is_empty()).collect();
    let questions: Vec<Vec<String>> = asked.iter().map(|(kind, ids)| kind.question(context, ids)).collect();
    let questions: Vec<Vec<&str>> = questions.iter().map(|line| line.iter().map(String::as_str).collect()).collect();
    let lines: Vec<&[&str]> = questions.iter().map(Vec::as_slice).collect();
    let mut resources = Vec::new();
    for ((kind, ids), answer) in asked.iter().zip(context.aws.ask_at_once(&lines)) {
        resources.extend(kind.resources(&answer?, ids));
    }
    Ok(resources)
}

/// The tags that say that something is the deployment's: its ID, and its cluster's name on what controllers, nodes and
/// volumes bring.
fn pairs(context: &LookupContext<'_>) -> Vec<(String, String)> {
    let base = context.names.base();
    vec![
        (DEPLOYMENT.to_owned(), context.names.id.to_string()),
        (format!("kubernetes.io/cluster/{base}"), "owned".to_owned()),
        (CONTROLLED.to_owned(), base.clone()),
        (CLUSTER_NAME.to_owned(), base.clone()),
        ("eks:eks-cluster-name".to_owned(), base),
    ]
}

fn ask_tags(context: &LookupContext<'_>) -> Result<Value, Refusal> {
    let pairs = pairs(context);
    let filter = |name: &str, values: Vec<&str>| format!("Name={name},Values={}", values.join(","));
    let keys = filter("key", pairs.iter().map(|(key, _)| key.as_str()).collect());
    let mut values: Vec<&str> = pairs.iter().map(|(_, value)| value.as_str()).collect();
    values.sort_unstable();
    values.dedup();
    context.aws.ask(&["ec2", "describe-tags", "--filters", &keys, &filter("value", values)])
}

/// What carries one of the tags. AWS was asked for any of the keys with any of the values.
fn identified(pairs: &[(String, String)], answer: &Value) -> BTreeMap<String, &'static Kind> {
    let ours =
        |found: &&Value| pairs.iter().any(|(key, value)| text(found, "Key") == key && text(found, "Value") == value);
    let tags = list(answer, "Tags").iter().filter(ours);
    tags.filter_map(|found| Some((text(found, "ResourceId").to_owned(), of(text(found, "ResourceType"))?))).collect()
}

fn plain(found: &Value) -> Option<(String, Value)> {
    Some((tag(&found["Tags"], "Name").to_owned(), json!({})))
}

fn group(found: &Value) -> Option<(String, Value)> {
    let facts = json!({"stack": controlled(&found["Tags"], STACK), "vpc": text(found, "VpcId")});
    Some((text(found, "GroupName").to_owned(), facts))
}

/// One that was deleted is shown for an hour.
fn gateway(found: &Value) -> Option<(String, Value)> {
    plain(found).filter(|_| text(found, "State") != "deleted")
}

fn endpoint(found: &Value) -> Option<(String, Value)> {
    let facts = json!({"type": text(found, "VpcEndpointType"), "zones": list(found, "SubnetIds").len()});
    let is_there = text(found, "State").to_lowercase() != "deleted";
    is_there.then(|| (text(found, "ServiceName").to_owned(), facts))
}

fn volume(found: &Value) -> Option<(String, Value)> {
    let claim = tag(&found["Tags"], "kubernetes.io/created-for/pvc/name");
    let space = tag(&found["Tags"], "kubernetes.io/created-for/pvc/namespace");
    let facts = json!({
        "gib": found["Size"], "state": text(found, "State"), "claim": claim, "namespace": space,
        "holder": found.pointer("/Attachments/0/InstanceId"),
    });
    let name = if claim.is_empty() { String::new() } else { format!("{space}/{claim}") };
    (!["deleting", "deleted"].contains(&text(found, "State"))).then_some((name, facts))
}

fn instance(found: &Value) -> Option<(String, Value)> {
    let (name, _) = plain(found)?;
    let is_there = text(&found["State"], "Name") != "terminated";
    is_there.then(|| (name, json!({"type": text(found, "InstanceType")})))
}

fn interface(found: &Value) -> Option<(String, Value)> {
    let facts = json!({
        "status": text(found, "Status"), "instance": found.pointer("/Attachment/InstanceId"),
        "address": found.pointer("/Association/PublicIp"), "type": text(found, "InterfaceType"),
    });
    Some((text(found, "Description").to_owned(), facts))
}

/// A network interface, as somebody's who is in the network.
pub(super) fn stranger(found: &Value) -> Option<AwsResource> {
    of(INTERFACE)?.resource(found)
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

    #[test]
    fn what_aws_only_remembers_is_not_there() {
        let resources = |tagged: &str, answer: Value, id: &str| of(tagged).unwrap().resources(&answer, &[id]).len();
        let gateway = |state: &str| json!({"NatGateways": [{"NatGatewayId": "nat-1", "State": state}]});
        assert_eq!(
            (
                resources("natgateway", gateway("available"), "nat-1"),
                resources("natgateway", gateway("deleted"), "nat-1")
            ),
            (1, 0)
        );
        let instance =
            |state: &str| json!({"Reservations": [{"Instances": [{"InstanceId": "i-1", "State": {"Name": state}}]}]});
        assert_eq!(
            (resources("instance", instance("running"), "i-1"), resources("instance", instance("terminated"), "i-1")),
            (1, 0)
        );
        assert_eq!(resources("vpc", json!({"Vpcs": []}), "vpc-1"), 0);
        assert_eq!(resources("vpc", json!({"Vpcs": [{"VpcId": "vpc-2"}]}), "vpc-1"), 0, "somebody else's");
    }

    #[test]
    fn a_volume_is_known_by_its_claim() {
        let tags = json!([
            {"Key": "kubernetes.io/created-for/pvc/name", "Value": "data-redis-0"},
            {"Key": "kubernetes.io/created-for/pvc/namespace", "Value": "shop"},
        ]);
        let answer = json!({"Volumes": [{"VolumeId": "vol-1", "Size": 8, "State": "available", "Tags": tags}]});
        let resources = of("volume").unwrap().resources(&answer, &["vol-1"]);
        assert_eq!(resources[0].name, "shop/data-redis-0");
        assert_eq!(resources[0].facts["gib"], 8);
    }
}
