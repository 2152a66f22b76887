//! The AWS platform: a box for each concern of Terraform, what a deploy makes beside it, and the way of a request.

use super::mermaid::{Chart, id};
use super::terraform::{Concern, Resource};
use std::collections::BTreeSet;

/// What is drawn of a concern: the type of a resource, and what it is called. `{}` is its name in the file, for those
/// that a file has several of which are not the same.
const DRAWN: &[(&str, &str)] = &[
    ("aws_acm_certificate", "ACM certificate"),
    ("aws_budgets_budget", "AWS Budget"),
    ("aws_cloudwatch_dashboard", "CloudWatch dashboard"),
    ("aws_cloudwatch_log_group", "CloudWatch log group"),
    ("aws_cloudwatch_metric_alarm", "CloudWatch alarms"),
    ("aws_ecr_repository", "ECR repositories"),
    ("aws_eks_access_entry", "access entries"),
    ("aws_eks_addon", "EKS add-ons"),
    ("aws_eks_cluster", "EKS control plane"),
    ("aws_eks_node_group", "managed nodes"),
    ("aws_eks_pod_identity_association", "Pod Identity roles"),
    ("aws_elasticache_replication_group", "ElastiCache Redis"),
    ("aws_flow_log", "flow log"),
    ("aws_internet_gateway", "internet gateway"),
    ("aws_kms_key", "KMS key"),
    ("aws_nat_gateway", "NAT gateway"),
    ("aws_route53_record", "Route 53: validation"),
    ("aws_sns_topic", "SNS: {}"),
    ("aws_sqs_queue", "SQS: {}"),
    ("aws_subnet", "{} subnets"),
    ("aws_vpc", "VPC, 3 zones"),
    ("aws_vpc_endpoint", "VPC endpoints: {}"),
];

/// Parts of what is drawn. A type that is in neither list is drawn by its own name, so that what is new is seen.
const PARTS: &[&str] = &[
    "aws_acm_certificate_validation",
    "aws_autoscaling_schedule",
    "aws_default_security_group",
    "aws_ecr_lifecycle_policy",
    "aws_eip",
    "aws_eks_access_policy_association",
    "aws_elasticache_subnet_group",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_kms_alias",
    "aws_launch_template",
    "aws_route",
    "aws_route_table",
    "aws_route_table_association",
    "aws_security_group",
    "aws_sns_topic_subscription",
    "aws_sqs_queue_policy",
    "aws_vpc_security_group_ingress_rule",
    "terraform_data",
];

pub(super) fn diagram(concerns: &[Concern], public: &[&str]) -> String {
    let mut chart = Chart::new("TB");
    let mut dashed = Vec::new();
    chart.actor("clients", &["clients"]);
    chart.actor("deploy", &["cargo xtask"]);
    beside(&mut chart, public);
    chart.group("terraform", "terraform/", |chart| {
        for concern in concerns {
            draw(chart, concern, &mut dashed);
        }
    });
    paths(&mut chart, concerns);
    for (from, arrow, to) in edges(concerns) {
        chart.line(format!("{} {arrow} {}", id("tf", from), id("tf", to)));
    }
    chart.dashed(&dashed);
    chart.finish()
}

fn draw(chart: &mut Chart, concern: &Concern, dashed: &mut Vec<String>) {
    chart.group(&id("tf", &concern.name), &concern.name, |chart| {
        for (label, optional) in labels(&concern.resources) {
            let node = id(&format!("tf_{}", concern.name), &label);
            chart.node(&node, &[&label]);
            if optional {
                dashed.push(node);
            }
        }
    });
}

/// What is drawn of these, each once, and whether there are deployments without it.
fn labels(resources: &[Resource]) -> Vec<(String, bool)> {
    let mut labels: Vec<(String, bool)> = Vec::new();
    for resource in resources {
        let Some(label) = label(resource) else { continue };
        match labels.iter_mut().find(|(known, _)| *known == label) {
            // One that is always there is enough.
            Some((_, optional)) => *optional &= resource.optional,
            None => labels.push((label, resource.optional)),
        }
    }
    labels
}

fn label(resource: &Resource) -> Option<String> {
    let kind = resource.kind.as_str();
    if PARTS.contains(&kind) {
        return None;
    }
    let drawn = DRAWN.iter().find(|(name, _)| *name == kind);
    Some(drawn.map_or_else(|| kind.to_owned(), |(_, label)| label.replace("{}", &resource.name)))
}

/// What Terraform does not make.
fn beside(chart: &mut Chart, public: &[&str]) {
    chart.group("beside", "made by a deploy", |chart| {
        chart.store("state", &["S3: Terraform's state", "and the lease"]);
        let names = public.join(", ");
        chart.node("balancers", &["load balancers (ALB) of", &names]);
        chart.node("controller", &["load balancer controller", "(Helm)"]);
        chart.node("systems", &["the systems", "(Helm releases)"]);
    });
}

/// The way of a request, and what a deploy does, as far as there is something to lead to.
fn paths(chart: &mut Chart, concerns: &[Concern]) {
    let there = |name: &str| concerns.iter().any(|concern| concern.name == name);
    chart.line("clients ==> balancers");
    chart.line("balancers ==>|to the pods| systems");
    chart.line("controller -.->|makes| balancers");
    chart.line("deploy -.-> beside");
    chart.line("deploy -.->|applies| terraform");
    for (from, word, to) in [("systems", "run on", "compute"), ("deploy", "pushes to", "registry")] {
        if there(to) {
            chart.line(format!("{from} -.->|{word}| {}", id("tf", to)));
        }
    }
    if there("dns") {
        chart.line(format!("balancers -.->|certificate of| {}", id("tf", "dns")));
    }
}

/// Who refers to whom, as Mermaid draws it. Two that refer to each other have one arrow with two heads; what follows
/// from two other arrows is left out.
fn edges(concerns: &[Concern]) -> Vec<(&str, &'static str, &str)> {
    let all: BTreeSet<(&str, &str)> = concerns
        .iter()
        .flat_map(|concern| concern.refers.iter().map(|other| (concern.name.as_str(), other.as_str())))
        .collect();
    let mutual = |(a, b): (&str, &str)| all.contains(&(b, a));
    // Only one-way arrows count: around a circle everything would follow from everything.
    let one_way = |edge: (&str, &str)| all.contains(&edge) && !mutual(edge);
    let follows = |(a, c): (&str, &str)| {
        concerns.iter().map(|concern| concern.name.as_str()).any(|b| one_way((a, b)) && one_way((b, c)))
    };
    let mut edges = Vec::new();
    for &(a, b) in &all {
        if mutual((a, b)) {
            if a < b {
                edges.push((a, "<-->", b));
            }
        } else if !follows((a, b)) {
            edges.push((a, "-->", b));
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concern(name: &str, refers: &[&str], resources: &[(&str, &str, bool)]) -> Concern {
        let resource = |(kind, name, optional): &(&str, &str, bool)| Resource {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
            optional: *optional,
        };
        let refers = refers.iter().map(|name| (*name).to_owned()).collect();
        Concern { name: name.to_owned(), resources: resources.iter().map(resource).collect(), refers }
    }

    #[test]
    fn what_follows_from_two_arrows_is_not_drawn_and_a_circle_is_one_arrow() {
        let concerns = [
            concern("a", &["b", "c"], &[]),
            concern("b", &["c"], &[]),
            concern("c", &[], &[]),
            concern("d", &["e", "c"], &[]),
            concern("e", &["d", "c"], &[]),
        ];
        let found = edges(&concerns);
        assert_eq!(
            found,
            [("a", "-->", "b"), ("b", "-->", "c"), ("d", "-->", "c"), ("d", "<-->", "e"), ("e", "-->", "c")]
        );
    }

    #[test]
    fn parts_are_left_out_and_what_is_new_is_drawn_by_its_own_name() {
        let resources = [
            ("aws_iam_role", "x", false),
            ("aws_sqs_queue", "dead", true),
            ("aws_eks_access_entry", "team", true),
            ("aws_eks_access_entry", "administrator", false),
            ("aws_new_thing", "x", false),
        ];
        let found = labels(&concern("x", &[], &resources).resources);
        let wanted = [("SQS: dead", true), ("access entries", false), ("aws_new_thing", false)];
        assert_eq!(found, wanted.map(|(label, optional)| (label.to_owned(), optional)));
    }
}
