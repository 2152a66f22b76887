//! What costs nothing by itself, and why. What is neither here nor priced is named as unpriced, so a new kind of
//! resource cannot slip into a deployment unnoticed.

const PART: &str = "a part of something that is paid for";
const RIGHTS: &str = "rights are free";
const NETWORK: &str = "the network is free; what is in it is not";

const FREE: &[(&str, &str)] = &[
    ("aws_acm_certificate", "public certificates are free"),
    ("aws_acm_certificate_validation", "waits for the certificate, makes nothing"),
    ("aws_autoscaling_schedule", "only takes nodes away; the estimate is for all hours"),
    ("aws_budgets_budget", "budgets without actions are free"),
    ("aws_default_security_group", NETWORK),
    ("aws_ecr_lifecycle_policy", PART),
    ("aws_eks_access_entry", RIGHTS),
    ("aws_eks_access_policy_association", RIGHTS),
    ("aws_eks_addon", "AWS's own add-ons are free; they run on the nodes"),
    ("aws_eks_pod_identity_association", RIGHTS),
    ("aws_elasticache_subnet_group", PART),
    ("aws_flow_log", "what it records is paid for with its log group"),
    ("aws_iam_role", RIGHTS),
    ("aws_iam_role_policy", RIGHTS),
    ("aws_iam_role_policy_attachment", RIGHTS),
    ("aws_internet_gateway", NETWORK),
    ("aws_kms_alias", PART),
    ("aws_launch_template", PART),
    ("aws_route", NETWORK),
    ("aws_route53_record", "the zone and its queries are paid for, and the zone is there already"),
    ("aws_route_table", NETWORK),
    ("aws_route_table_association", NETWORK),
    ("aws_security_group", NETWORK),
    ("aws_sns_topic_subscription", "deliveries to a queue are free, and so are the few mails of alarms"),
    ("aws_sqs_queue_policy", PART),
    ("aws_subnet", NETWORK),
    ("aws_vpc", NETWORK),
    ("aws_vpc_security_group_egress_rule", NETWORK),
    ("aws_vpc_security_group_ingress_rule", NETWORK),
    ("terraform_data", "it is in the state alone"),
];

/// Why a type of resource costs nothing.
pub(super) fn reason(kind: &str) -> Option<&'static str> {
    FREE.iter().find(|(name, _)| *name == kind).map(|(_, reason)| *reason)
}
