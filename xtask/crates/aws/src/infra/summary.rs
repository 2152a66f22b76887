//! What a plan of Terraform's would do, for people, and what of it is dangerous.

use base::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// With one of these goes what runs, what it is reached by, or what is stored: nothing that a second `apply` brings back.
/// Queues hold messages, repositories the images that a rollback returns to, log groups the records of what happened, and
/// what a key has encrypted is lost with it. Topics, roles, rules and gateways are made again as they were.
const PRECIOUS: [&str; 20] = [
    "aws_cloudwatch_log_group",
    "aws_db_instance",
    "aws_dynamodb_table",
    "aws_ebs_volume",
    "aws_ecr_repository",
    "aws_efs_file_system",
    "aws_eks_cluster",
    "aws_eks_node_group",
    "aws_elasticache_cluster",
    "aws_elasticache_replication_group",
    "aws_elasticache_serverless_cache",
    "aws_kms_key",
    "aws_rds_cluster",
    "aws_route53_zone",
    "aws_s3_bucket",
    "aws_s3_object",
    "aws_secretsmanager_secret",
    "aws_sqs_queue",
    "aws_subnet",
    "aws_vpc",
];

/// How many addresses of each kind of change are shown.
const SHOWN: usize = 6;

/// The changes of a plan, each by its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub created: Vec<String>,
    pub changed: Vec<String>,
    pub replaced: Vec<String>,
    pub destroyed: Vec<String>,
    /// Those of the destroyed and replaced with which the cluster, the network or data would go.
    pub dangerous: Vec<String>,
}

impl Summary {
    /// From `terraform show -json PLAN`.
    pub fn of(plan: &Value) -> Self {
        let mut summary = Self::default();
        let changes = plan["resource_changes"].as_array().map(Vec::as_slice).unwrap_or_default();
        for change in changes.iter().filter(|change| change["mode"] != "data") {
            let actions = change["change"]["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
            let has = |action: &str| actions.iter().any(|one| one == action);
            let address = change["address"].as_str().unwrap_or_default().to_owned();
            let precious = change["type"].as_str().is_some_and(|kind| PRECIOUS.contains(&kind));
            // What was never made to its end holds nothing yet.
            let unfinished = change["action_reason"] == "replace_because_tainted";
            if has("delete") && precious && !unfinished {
                summary.dangerous.push(address.clone());
            }
            match (has("create"), has("delete")) {
                (true, true) => summary.replaced.push(address),
                (true, false) => summary.created.push(address),
                (false, true) => summary.destroyed.push(address),
                (false, false) if has("update") => summary.changed.push(address),
                (false, false) => {}
            }
        }
        summary
    }

    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.changed.is_empty() && self.replaced.is_empty() && self.destroyed.is_empty()
    }

    /// "57 to create, 2 to change"
    pub fn counts(&self) -> String {
        let kinds = [
            (&self.created, "to create"),
            (&self.changed, "to change"),
            (&self.replaced, "to replace"),
            (&self.destroyed, "to destroy"),
        ];
        let counts: Vec<_> =
            kinds.iter().filter(|(of, _)| !of.is_empty()).map(|(of, word)| format!("{} {word}", of.len())).collect();
        if counts.is_empty() { "nothing to change".to_owned() } else { counts.join(", ") }
    }

    pub fn document(&self) -> Value {
        json!({
            "created": self.created, "changed": self.changed, "replaced": self.replaced, "destroyed": self.destroyed,
            "dangerous": self.dangerous,
        })
    }
}

impl fmt::Display for Summary {
    /// The counts first, then what is lost, then the rest; what is created by its types.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.counts())?;
        let harmless = |address: &&String| !self.dangerous.contains(address);
        let lists: [(&str, Vec<&String>); 4] = [
            ("! lost", self.dangerous.iter().collect()),
            ("- destroy", self.destroyed.iter().filter(harmless).collect()),
            ("± replace", self.replaced.iter().filter(harmless).collect()),
            ("~ change", self.changed.iter().collect()),
        ];
        for (word, addresses) in lists {
            // What would be lost is never left out.
            let shown = if word.starts_with('!') { addresses.len() } else { SHOWN };
            for address in addresses.iter().take(shown) {
                write!(f, "\n  {word} {address}")?;
            }
            if addresses.len() > shown {
                write!(f, "\n  {word} {}", text::counted(addresses.len() - shown, "other", "others"))?;
            }
        }
        if !self.created.is_empty() {
            write!(f, "\n  + create {}", by_type(&self.created))?;
        }
        Ok(())
    }
}

/// "`aws_subnet` (6), `aws_vpc`", the most first.
fn by_type(addresses: &[String]) -> String {
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    for address in addresses {
        *types.entry(type_of(address)).or_default() += 1;
    }
    let mut types: Vec<_> = types.into_iter().collect();
    types.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let word = |(kind, count): &(&str, usize)| match count {
        1 => (*kind).to_owned(),
        count => format!("{kind} ({count})"),
    };
    types.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// `aws_subnet` of `module.x["a.b"].aws_subnet.public["us-east-1a"]`.
fn type_of(address: &str) -> &str {
    let mut rest = address;
    while let Some(inner) = rest.strip_prefix("module.") {
        // The module's name, perhaps with a key that may itself have dots.
        let name = inner.find(['.', '[']).unwrap_or(inner.len());
        let after = match inner[name..].strip_prefix('[') {
            Some(key) => key.find(']').map_or("", |end| &key[end + 1..]),
            None => &inner[name..],
        };
        rest = after.trim_start_matches('.');
    }
    rest.split('.').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(changes: &[(&str, &[&str])]) -> Value {
        let change = |(address, actions): &(&str, &[&str])| {
            let mode = if address.starts_with("data.") { "data" } else { "managed" };
            json!({"address": address, "mode": mode, "type": type_of(address), "change": {"actions": actions}})
        };
        json!({"resource_changes": changes.iter().map(change).collect::<Vec<_>>()})
    }

    #[test]
    fn changes_are_told_by_what_becomes_of_each() {
        let summary = Summary::of(&plan(&[
            ("aws_vpc.main", &["no-op"]),
            ("data.aws_partition.here", &["read"]),
            ("aws_subnet.public[\"a\"]", &["create"]),
            ("aws_subnet.public[\"b\"]", &["create"]),
            ("aws_eip.nat[0]", &["create"]),
            ("aws_sns_topic.alerts", &["update"]),
            ("aws_sqs_queue.messages[0]", &["delete", "create"]),
            ("aws_iam_role.pod[\"x\"]", &["create", "delete"]),
            ("aws_eks_cluster.main", &["delete"]),
        ]));
        assert_eq!(summary.dangerous, ["aws_sqs_queue.messages[0]", "aws_eks_cluster.main"]);
        let text = "3 to create, 1 to change, 2 to replace, 1 to destroy\n  ! lost aws_sqs_queue.messages[0]\n  \
                    ! lost aws_eks_cluster.main\n  ± replace aws_iam_role.pod[\"x\"]\n  ~ change aws_sns_topic.alerts\n  \
                    + create aws_subnet (2), aws_eip";
        assert_eq!(summary.to_string(), text);
        assert!(Summary::of(&plan(&[("aws_vpc.main", &["no-op"])])).is_empty());
        let mut unfinished = plan(&[("aws_eks_cluster.main", &["delete", "create"])]);
        unfinished["resource_changes"][0]["action_reason"] = json!("replace_because_tainted");
        assert!(Summary::of(&unfinished).dangerous.is_empty());
        assert_eq!(Summary::default().to_string(), "nothing to change");
    }

    #[test]
    fn of_many_only_some_are_shown_but_none_of_those_that_are_lost_is_left_out() {
        let addresses = |kind: &str| (0..9).map(|n| format!("{kind}.x[{n}]")).collect::<Vec<_>>();
        let roles = addresses("aws_iam_role");
        let queues = addresses("aws_sqs_queue");
        let all: Vec<(&str, &[&str])> =
            roles.iter().chain(&queues).map(|address| (address.as_str(), &["delete"][..])).collect();
        let text = Summary::of(&plan(&all)).to_string();
        assert_eq!(text.matches("aws_sqs_queue").count(), 9);
        assert_eq!(text.matches("aws_iam_role").count(), SHOWN);
        assert!(text.ends_with("\n  - destroy 3 others"), "{text}");
    }

    #[test]
    fn a_type_is_found_within_modules() {
        assert_eq!(type_of("module.a.module.b[\"x.y\"].aws_vpc.main"), "aws_vpc");
        assert_eq!(type_of("aws_subnet.public[\"us-east-1a\"]"), "aws_subnet");
    }
}
