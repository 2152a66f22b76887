//! Load balancers as AWS has them: those of the deployment, what they lead to, and how healthy that is.
//!
//! The load balancer controller tags all that it makes with the cluster's name; that is how they are told from others.

use aws::{Aws, Refusal};
use engine::ledger::Entry;
use model::name::SystemName;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The kinds of entries in the ledger. The ID of an entry is the ARN, that of a security group its `sg-…`; `identity` has
/// it once more beside the name.
pub(super) const LOAD_BALANCER: &str = "load-balancer";
pub(super) const TARGET_GROUP: &str = "target-group";
pub(super) const SECURITY_GROUP: &str = "security-group";

/// What the controller tags with: the cluster, what shares a load balancer (an Ingress as `NAMESPACE/NAME`, or a
/// group), and what of it this is.
const CLUSTER: &str = "elbv2.k8s.aws/cluster";
const STACK: &str = "ingress.k8s.aws/stack";
const RESOURCE: &str = "ingress.k8s.aws/resource";
/// How the names of all begin that the controller makes.
const MADE: &str = "k8s-";
/// As many as `describe-tags` takes at once.
const TAGGED_AT_ONCE: usize = 20;

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Balancer {
    pub(super) arn: String,
    pub(super) name: String,
    /// What its addresses are found by.
    pub(super) host: String,
    /// The zone of that name, for records that are aliases.
    pub(super) zone: String,
    /// `provisioning`, `active`, `active_impaired`, `failed`
    pub(super) state: String,
    /// Why, in AWS's words.
    pub(super) reason: String,
    pub(super) stack: String,
}

/// What requests are passed on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) stack: String,
    /// `NAMESPACE/INGRESS-SERVICE:PORT`; the Ingress may be left out.
    pub(super) resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecurityGroup {
    pub(super) id: String,
    pub(super) name: String,
    /// Empty for the one that all load balancers of a cluster share.
    pub(super) stack: String,
}

/// All of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) balancers: Vec<Balancer>,
    pub(super) groups: Vec<Group>,
    pub(super) security_groups: Vec<SecurityGroup>,
}

/// The health of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: String,
    /// `initial`, `healthy`, `unhealthy`, `unused`, `draining`, `unavailable`
    pub(super) state: String,
    /// `Target.Timeout` and the like; empty for a healthy one.
    pub(super) reason: String,
    /// The same for people.
    pub(super) words: String,
}

impl Target {
    /// Whether it is still to be sent requests.
    pub(super) fn counts(&self) -> bool {
        self.state != "draining"
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.state == "healthy"
    }
}

impl Group {
    /// Whether it is what the Ingress of a service leads to, which is called as the service is.
    pub(super) fn is_of(&self, namespace: &str, service: &str) -> bool {
        let rest = self.resource.strip_prefix(&format!("{namespace}/{service}"));
        rest.is_some_and(|rest| rest.starts_with(':') || rest.starts_with(&format!("-{service}:")))
    }
}

/// Everything that the controller of a cluster has made.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn seen(aws: &Aws, cluster: &str) -> Result<Seen, Refusal> {
    let balancers = made(&aws.ask(&["elbv2", "describe-load-balancers"])?, "LoadBalancers", "LoadBalancerName");
    let groups = made(&aws.ask(&["elbv2", "describe-target-groups"])?, "TargetGroups", "TargetGroupName");
    let arns = balancers.iter().map(|one| text(&one["LoadBalancerArn"]));
    let arns: Vec<&str> = arns.chain(groups.iter().map(|one| text(&one["TargetGroupArn"]))).collect();
    let mut tags = BTreeMap::new();
    for some in arns.chunks(TAGGED_AT_ONCE) {
        let line: Vec<&str> = ["elbv2", "describe-tags", "--resource-arns"].iter().chain(some).copied().collect();
        match aws.ask(&line) {
            Ok(answer) => tags.extend(tags_of(&answer)),
            // One of them has just gone; nothing of a cluster that changes is looked at only once.
            Err(refusal) if refusal.is_absent() => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let filter = format!("Name=tag:{CLUSTER},Values={cluster}");
    let security_groups = aws.ask(&["ec2", "describe-security-groups", "--filters", &filter])?;
    Ok(Seen {
        balancers: balancers.iter().filter_map(|one| balancer(one, &tags, cluster)).collect(),
        groups: groups.iter().filter_map(|one| group(one, &tags, cluster)).collect(),
        security_groups: list(&security_groups, "SecurityGroups").iter().map(security_group).collect(),
    })
}

/// The load balancer with this name in DNS, if it is in the account and region.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn at(aws: &Aws, host: &str) -> Result<Option<Balancer>, Refusal> {
    let all = aws.ask(&["elbv2", "describe-load-balancers"])?;
    let same = |one: &&Value| text(&one["DNSName"]).eq_ignore_ascii_case(host);
    Ok(list(&all, "LoadBalancers").iter().find(same).map(|one| plain(one, "")))
}

/// The targets of a group.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn targets(aws: &Aws, group: &Group) -> Result<Vec<Target>, Refusal> {
    let answer = aws.ask(&["elbv2", "describe-target-health", "--target-group-arn", &group.arn])?;
    Ok(list(&answer, "TargetHealthDescriptions").iter().map(target).collect())
}

/// The ports that a load balancer listens on, each with its protocol.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn listeners(aws: &Aws, balancer: &Balancer) -> Result<Vec<(u64, String)>, Refusal> {
    let answer = aws.ask(&["elbv2", "describe-listeners", "--load-balancer-arn", &balancer.arn])?;
    let listener = |one: &Value| (one["Port"].as_u64().unwrap_or_default(), text(&one["Protocol"]).to_owned());
    Ok(list(&answer, "Listeners").iter().map(listener).collect())
}

impl Seen {
    /// What of it serves a system, as the ledger has it: all of the given stacks, and what the cluster shares. What
    /// several systems share belongs to none.
    pub(super) fn entries(&self, stacks: &BTreeMap<String, Option<SystemName>>, systems: &Systems<'_>) -> Vec<Entry> {
        let entry = |(kind, id, name, system, facts): (&str, &String, &String, Option<String>, Value)| Entry {
            kind: kind.to_owned(),
            id: id.clone(),
            system,
            identity: json!({"id": id, "name": name, "facts": facts}),
        };
        let of = |stack: &str| stacks.get(stack).map(|system| system.as_ref().map(ToString::to_string));
        let stack = |stack: &str| json!({"stack": stack});
        let balancers = self
            .balancers
            .iter()
            .filter_map(|one| Some((LOAD_BALANCER, &one.arn, &one.name, of(&one.stack)?, stack(&one.stack))));
        let groups = self.groups.iter().filter_map(|one| {
            let namespace = one.resource.split('/').next().unwrap_or_default();
            let own = systems(namespace).map(|system| system.to_string());
            let facts = json!({"stack": one.stack, "namespace": namespace});
            Some((TARGET_GROUP, &one.arn, &one.name, of(&one.stack)?.or(own), facts))
        });
        let security = self.security_groups.iter().filter_map(|one| {
            let system = if one.stack.is_empty() { None } else { of(&one.stack)? };
            Some((SECURITY_GROUP, &one.id, &one.name, system, stack(&one.stack)))
        });
        balancers.chain(groups).chain(security).map(entry).collect()
    }
}

/// Which system a namespace is of.
pub(super) type Systems<'s> = dyn Fn(&str) -> Option<SystemName> + 's;

fn made(answer: &Value, what: &str, name: &str) -> Vec<Value> {
    list(answer, what).iter().filter(|one| text(&one[name]).starts_with(MADE)).cloned().collect()
}

/// By ARN.
fn tags_of(answer: &Value) -> BTreeMap<String, BTreeMap<String, String>> {
    let of = |one: &Value| (text(&one["ResourceArn"]).to_owned(), pairs(list(one, "Tags")));
    list(answer, "TagDescriptions").iter().map(of).collect()
}

fn pairs(tags: &[Value]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (text(&tag["Key"]).to_owned(), text(&tag["Value"]).to_owned())).collect()
}

type Tags = BTreeMap<String, BTreeMap<String, String>>;

fn balancer(one: &Value, tags: &Tags, cluster: &str) -> Option<Balancer> {
    let own = tags.get(text(&one["LoadBalancerArn"])).filter(|own| is_of(own, cluster))?;
    Some(plain(one, own.get(STACK).map_or("", String::as_str)))
}

fn plain(one: &Value, stack: &str) -> Balancer {
    let of = |key: &str| text(&one[key]).to_owned();
    Balancer {
        arn: of("LoadBalancerArn"),
        name: of("LoadBalancerName"),
        host: of("DNSName"),
        zone: of("CanonicalHostedZoneId"),
        state: text(&one["State"]["Code"]).to_owned(),
        reason: text(&one["State"]["Reason"]).to_owned(),
        stack: stack.to_owned(),
    }
}

fn group(one: &Value, tags: &Tags, cluster: &str) -> Option<Group> {
    let own = tags.get(text(&one["TargetGroupArn"])).filter(|own| is_of(own, cluster))?;
    let tag = |key: &str| own.get(key).cloned().unwrap_or_default();
    let (arn, name) = (text(&one["TargetGroupArn"]).to_owned(), text(&one["TargetGroupName"]).to_owned());
    Some(Group { arn, name, stack: tag(STACK), resource: tag(RESOURCE) })
}

fn security_group(one: &Value) -> SecurityGroup {
    let tags = pairs(list(one, "Tags"));
    SecurityGroup {
        id: text(&one["GroupId"]).to_owned(),
        name: text(&one["GroupName"]).to_owned(),
        stack: tags.get(STACK).cloned().unwrap_or_default(),
    }
}

fn target(one: &Value) -> Target {
    let health = &one["TargetHealth"];
    let of = |value: &Value| text(value).to_owned();
    let port = one["Target"]["Port"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
    Target {
        address: format!("{}{port}", text(&one["Target"]["Id"])),
        state: of(&health["State"]),
        reason: of(&health["Reason"]),
        words: of(&health["Description"]),
    }
}

fn is_of(tags: &BTreeMap<String, String>, cluster: &str) -> bool {
    tags.get(CLUSTER).is_some_and(|of| of == cluster)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_cluster_s_controller_has_made_is_seen() {
        let answer = json!({"LoadBalancers": [
            {"LoadBalancerArn": "a", "LoadBalancerName": "k8s-a", "DNSName": "k8s-a.elb", "State": {"Code": "active"}},
            {"LoadBalancerArn": "b", "LoadBalancerName": "k8s-b"}, {"LoadBalancerArn": "c", "LoadBalancerName": "c"},
        ]});
        let found = made(&answer, "LoadBalancers", "LoadBalancerName");
        assert_eq!(found.len(), 2);
        let tags = tags_of(&json!({"TagDescriptions": [
            {"ResourceArn": "a", "Tags": [{"Key": CLUSTER, "Value": "mine"}, {"Key": STACK, "Value": "ns/web"}]},
            {"ResourceArn": "b", "Tags": [{"Key": CLUSTER, "Value": "other"}]},
        ]}));
        let mine: Vec<Balancer> = found.iter().filter_map(|one| balancer(one, &tags, "mine")).collect();
        assert_eq!(mine.len(), 1);
        assert_eq!((mine[0].stack.as_str(), mine[0].state.as_str()), ("ns/web", "active"));
    }

    #[test]
    fn what_several_systems_share_belongs_to_none() {
        let seen = Seen {
            balancers: vec![plain(&json!({"LoadBalancerArn": "lb", "LoadBalancerName": "k8s-x"}), "group")],
            groups: vec![Group {
                arn: "tg".to_owned(),
                name: "k8s-y".to_owned(),
                stack: "group".to_owned(),
                resource: "t-epoch/epoch-epoch:http".to_owned(),
            }],
            security_groups: vec![
                SecurityGroup { id: "sg-1".to_owned(), name: "k8s-traffic".to_owned(), stack: String::new() },
                SecurityGroup { id: "sg-2".to_owned(), name: "k8s-other".to_owned(), stack: "elsewhere".to_owned() },
            ],
        };
        let epoch: SystemName = "epoch".parse().unwrap();
        let systems = |namespace: &str| (namespace == "t-epoch").then(|| epoch.clone());
        let entries = seen.entries(&BTreeMap::from([("group".to_owned(), None)]), &systems);
        let told: Vec<(&str, &str, Option<&str>)> =
            entries.iter().map(|it| (it.kind.as_str(), it.id.as_str(), it.system.as_deref())).collect();
        assert_eq!(
            told,
            [(LOAD_BALANCER, "lb", None), (TARGET_GROUP, "tg", Some("epoch")), (SECURITY_GROUP, "sg-1", None)]
        );
        let is_of = |resource: &str| {
            Group { resource: resource.to_owned(), ..seen.groups[0].clone() }.is_of("t-epoch", "epoch")
        };
        assert!(is_of("t-epoch/epoch-epoch:http") && is_of("t-epoch/epoch:1"));
        assert!(!is_of("t-epoch/epoch-two-epoch-two:http") && !is_of("t-epoch-two/epoch:1"));
        let plain = Group { resource: "t-epoch/epoch:1".to_owned(), ..seen.groups[0].clone() };
        assert!(plain.is_of("t-epoch", "epoch") && !plain.is_of("t-epoch", "epo"));
    }

    #[test]
    fn a_target_says_why_it_is_not_healthy() {
        let health = json!({"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"});
        let told = target(&json!({"Target": {"Id": "10.0.0.7", "Port": 1337}, "TargetHealth": health}));
        assert_eq!((told.address.as_str(), told.reason.as_str()), ("10.0.0.7:1337", "Target.Timeout"));
        assert!(told.counts() && !told.is_healthy());
    }
}
