# What matters of the platform, with a provider that makes nothing.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = {
      names = ["eu-central-1c", "eu-central-1a", "eu-central-1b", "eu-central-1d"]
    }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:topic" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:queue" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/1", key_id = "1" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/x" }
  }

  mock_resource "aws_eks_cluster" {
    defaults = {
      endpoint              = "https://cluster"
      certificate_authority = [{ data = "Q0E=" }]
    }
  }

  mock_resource "aws_eks_node_group" {
    defaults = { resources = [{ autoscaling_groups = [{ name = "nodes" }] }] }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-1", latest_version = 1 }
  }

  mock_resource "aws_acm_certificate" {
    defaults = {
      domain_validation_options = [
        { domain_name = "shop.example.com", resource_record_name = "_x.shop.example.com", resource_record_type = "CNAME", resource_record_value = "_y.acm" },
      ]
    }
  }
}

variables {
  deployment_id       = "shop"
  environment         = "aws"
  owner               = "me"
  expires_at          = "2026-12-31T00:00:00Z"
  account             = "123456789012"
  region              = "eu-central-1"
  public_access_cidrs = ["198.51.100.0/24"]
  services            = ["epoch", "shortener"]
  teams               = { payments = ["arn:aws:iam::123456789012:role/payments"] }
  controller_policy   = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
}

run "three_zones_and_no_public_node" {
  command = apply

  assert {
    condition     = length(aws_subnet.public) == 3 && length(aws_subnet.private) == 3
    error_message = "there are three zones"
  }

  assert {
    condition     = keys(aws_subnet.private) == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    error_message = "they are the first three, in an order that does not change"
  }

  assert {
    condition     = length(distinct([for subnet in concat(values(aws_subnet.public), values(aws_subnet.private)) : subnet.cidr_block])) == 6
    error_message = "no two subnets overlap"
  }

  assert {
    condition     = alltrue([for subnet in concat(values(aws_subnet.public), values(aws_subnet.private)) : !subnet.map_public_ip_on_launch])
    error_message = "nothing gets a public address by itself"
  }

  assert {
    condition     = toset(aws_eks_node_group.main[0].subnet_ids) == toset([for subnet in aws_subnet.private : subnet.id])
    error_message = "nodes are in private subnets alone"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.tags["kubernetes.io/role/elb"] == "1"])
    error_message = "the load balancer controller finds the public subnets"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.private : subnet.tags["kubernetes.io/role/internal-elb"] == "1"])
    error_message = "and the private ones"
  }
}

run "what_is_made_says_whose_it_is" {
  command = plan

  assert {
    condition = tomap(local.tags) == tomap({
      deployment_id = "shop", environment = "aws", owner = "me", managed_by = "slipway", expires_at = "2026-12-31T00:00:00Z",
    })
    error_message = "the provider's default tags"
  }

  assert {
    condition     = aws_eks_cluster.main.name == "slipway-shop" && aws_kms_alias.main.name == "alias/slipway-shop"
    error_message = "names carry the deployment, so that several live side by side"
  }

  assert {
    condition     = [for specification in aws_launch_template.node[0].tag_specifications : specification.tags.deployment_id] == ["shop", "shop", "shop"]
    error_message = "what an instance brings is tagged, too"
  }
}

run "the_control_plane_is_closed_and_encrypted" {
  command = apply

  assert {
    condition     = aws_eks_cluster.main.access_config[0].authentication_mode == "API"
    error_message = "access entries alone say who may do what"
  }

  assert {
    condition     = aws_eks_cluster.main.vpc_config[0].endpoint_private_access && aws_eks_cluster.main.vpc_config[0].public_access_cidrs == toset(["198.51.100.0/24"])
    error_message = "its API is reached from within, and from where it was said"
  }

  assert {
    condition     = aws_eks_cluster.main.encryption_config[0].provider[0].key_arn == aws_kms_key.main.arn
    error_message = "secrets are encrypted with a key of our own"
  }

  assert {
    condition     = length(aws_eks_cluster.main.enabled_cluster_log_types) == 5 && aws_cloudwatch_log_group.cluster.retention_in_days == 14
    error_message = "everything is logged, and not for ever"
  }

  assert {
    condition     = aws_kms_key.main.enable_key_rotation
    error_message = "the key is rotated"
  }
}

run "everything_at_rest_is_encrypted" {
  command = apply

  variables {
    cache = true
  }

  assert {
    condition     = aws_launch_template.node[0].block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "the disks of nodes"
  }

  assert {
    condition     = aws_sqs_queue.messages[0].sqs_managed_sse_enabled && aws_sns_topic.messages[0].kms_master_key_id == "1"
    error_message = "messages"
  }

  assert {
    condition     = aws_elasticache_replication_group.main[0].at_rest_encryption_enabled == "true" && aws_elasticache_replication_group.main[0].transit_encryption_enabled
    error_message = "the cache, and on the way to it"
  }

  assert {
    condition     = can(regex("^[0-9a-f]{64}$", nonsensitive(aws_elasticache_replication_group.main[0].auth_token))) && startswith(nonsensitive(output.cache_url), "rediss://:${nonsensitive(terraform_data.cache_password[0].output)}@")
    error_message = "and a password that nobody has thought of opens it"
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.service : repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push && repository.force_delete])
    error_message = "images are never replaced, are scanned, and go with their repository"
  }
}

run "pods_may_do_only_what_they_call" {
  command = apply

  assert {
    condition = alltrue(flatten([
      for name in ["producer", "consumer"] : [
        for statement in jsondecode(aws_iam_role_policy.pod[name].policy).Statement : [
          for action in flatten([statement.Action]) : !strcontains(action, "*") && statement.Resource != "*"
        ]
      ]
    ]))
    error_message = "no action and no resource by a star"
  }

  assert {
    condition     = jsondecode(aws_iam_role.pod["producer"].assume_role_policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == "arn:aws:eks:eu-central-1:123456789012:cluster/slipway-shop"
    error_message = "their roles are taken by pods of this cluster alone"
  }

  assert {
    condition     = toset(keys(aws_iam_role_policy_attachment.node)) == toset(["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"])
    error_message = "nodes join and pull, nothing else"
  }

  assert {
    condition     = aws_launch_template.node[0].metadata_options[0].http_tokens == "required" && aws_launch_template.node[0].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "pods cannot become their node"
  }

  assert {
    condition     = aws_eks_access_entry.team["arn:aws:iam::123456789012:role/payments"].kubernetes_groups == toset(["slipway:payments"])
    error_message = "a team is a group in the cluster"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.pod["producer"].policy).Statement[1].Condition.StringEquals["kms:ViaService"] == "sns.eu-central-1.amazonaws.com"
    error_message = "the key that is also that of the cluster's secrets is used by way of the topic alone"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.fence.policy).Statement : statement.Effect == "Deny" && anytrue([
        try(statement.Condition.StringNotEquals["aws:ResourceTag/elbv2.k8s.aws/cluster"] == "slipway-shop", false),
        try(statement.Condition.ArnNotEquals["ec2:Vpc"] == aws_vpc.main.arn, false),
      ])
    ])
    error_message = "the controller changes neither another cluster's load balancers nor another network's security groups"
  }
}

run "who_is_in_several_teams_has_one_entry" {
  command = plan

  variables {
    administrators = ["arn:aws:iam::123456789012:role/admin"]
    teams = {
      payments = ["arn:aws:iam::123456789012:role/both", "arn:aws:iam::123456789012:role/admin"]
      invoices = ["arn:aws:iam::123456789012:role/both"]
    }
  }

  assert {
    condition     = { for principal, entry in aws_eks_access_entry.team : principal => entry.kubernetes_groups } == { "arn:aws:iam::123456789012:role/both" = toset(["slipway:invoices", "slipway:payments"]) }
    error_message = "there can be only one for a principal, and administrators have theirs"
  }
}

run "another_partition" {
  command = apply

  override_data {
    target = data.aws_partition.here
    values = { partition = "aws-us-gov" }
  }

  variables {
    controller_policy = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"ec2:CreateTags\",\"Resource\":\"arn:aws:ec2:*:*:security-group/*\"}]}"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.pod["controller"].policy).Statement[0].Resource == "arn:aws-us-gov:ec2:*:*:security-group/*"
    error_message = "what is published for one partition is for this one"
  }
}

run "with_nodes_the_addons_are_pinned" {
  command = apply

  assert {
    condition     = toset(concat(keys(aws_eks_addon.before_nodes), keys(aws_eks_addon.after_nodes))) == toset(["vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns", "metrics-server", "aws-ebs-csi-driver"])
    error_message = "all of them"
  }

  assert {
    condition     = alltrue([for addon in merge(aws_eks_addon.before_nodes, aws_eks_addon.after_nodes) : startswith(addon.addon_version, "v")])
    error_message = "each at a version"
  }

  assert {
    condition     = jsondecode(aws_eks_addon.before_nodes["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "network policies are enforced"
  }

  assert {
    condition     = !aws_eks_cluster.main.compute_config[0].enabled
    error_message = "and EKS makes no nodes"
  }
}

run "auto_mode_has_neither_nodes_nor_their_addons" {
  command = apply

  variables {
    compute = "auto"
  }

  assert {
    condition     = length(aws_eks_node_group.main) == 0 && length(aws_eks_addon.before_nodes) == 0 && keys(aws_eks_addon.after_nodes) == ["metrics-server"]
    error_message = "they are AWS's, all but the metrics that replicas follow"
  }

  assert {
    condition = (
      aws_eks_cluster.main.compute_config[0].enabled
      && aws_eks_cluster.main.kubernetes_network_config[0].elastic_load_balancing[0].enabled
      && aws_eks_cluster.main.storage_config[0].block_storage[0].enabled
    )
    error_message = "all three are on, as EKS wants them"
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.cluster) == 5
    error_message = "the cluster may make nodes, volumes and load balancers"
  }
}

run "endpoints_in_place_of_a_nat_gateway" {
  command = apply

  variables {
    egress = "endpoints"
  }

  assert {
    condition     = length(aws_nat_gateway.main) == 0 && length(aws_eip.nat) == 0 && length(aws_vpc_endpoint.interface) == 11
    error_message = "nothing goes out but to AWS"
  }
}

run "a_domain_without_a_zone_makes_no_record" {
  command = plan

  variables {
    domain = "shop.example.com"
  }

  assert {
    condition     = length(aws_acm_certificate.domain) == 0 && length(aws_route53_record.validation) == 0
    error_message = "its DNS is elsewhere"
  }
}

run "a_domain_with_a_zone_has_a_certificate" {
  command = apply

  variables {
    domain      = "shop.example.com"
    hosted_zone = "Z1"
  }

  assert {
    condition     = aws_acm_certificate.domain[0].subject_alternative_names == toset(["*.shop.example.com"]) && length(aws_acm_certificate_validation.domain) == 1
    error_message = "for the domain and all below it, proven by a record"
  }
}

run "money_is_watched" {
  command = apply

  variables {
    budget_usd   = 200
    alert_emails = ["me@example.com"]
    schedule     = { stop = "0 19 * * *", start = "0 6 * * MON-FRI" }
  }

  assert {
    condition     = length(aws_budgets_budget.month[0].notification) == 2
    error_message = "somebody is told, before and after"
  }

  assert {
    condition     = one(aws_budgets_budget.month[0].cost_filter).values == tolist(["user:deployment_id$shop"])
    error_message = "it is this deployment's money"
  }

  assert {
    condition     = aws_autoscaling_schedule.stop[0].desired_capacity == 0 && aws_autoscaling_schedule.start[0].desired_capacity == 3
    error_message = "nodes go and come back"
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.main), "unschedulable")
    error_message = "nobody is woken since nodes have gone as they should"
  }
}

run "a_password_of_ones_own_opens_the_cache" {
  command = apply

  variables {
    cache          = true
    cache_password = "sixteen#characters"
  }

  assert {
    condition     = startswith(nonsensitive(output.cache_url), "rediss://:sixteen%23characters@") && length(terraform_data.cache_password) == 0
    error_message = "as it is written in a URL"
  }
}

run "somebody_is_told" {
  command = apply

  variables {
    alert_emails   = ["me@example.com"]
    cache          = true
    cache_password = "sixteen-characters"
  }

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.main)) == toset([
      "apiserver", "cache-memory", "cpu", "messages-dead", "messages-late", "nat-ports", "node", "unschedulable",
    ])
    error_message = "of everything that there is"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.main : alarm.alarm_actions == toset([aws_sns_topic.alerts.arn]) && startswith(alarm.alarm_name, "slipway-shop-")])
    error_message = "every alarm tells, and says whose it is"
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.main.dashboard_body).widgets) == 5
    error_message = "and there is a page to look at"
  }
}

run "what_is_refused_in_the_network_is_recorded" {
  command = apply

  assert {
    condition     = aws_flow_log.main[0].traffic_type == "REJECT" && aws_cloudwatch_log_group.flow[0].retention_in_days == 14
    error_message = "and not for ever"
  }

  assert {
    condition     = !contains(jsondecode(aws_iam_role_policy.flow[0].policy).Statement[0].Action, "logs:CreateLogGroup")
    error_message = "the group does not come back after its removal"
  }

  assert {
    condition     = output.log_groups == ["/aws/eks/slipway-shop/cluster", "/aws/vpc/slipway-shop/flow"]
    error_message = "both are looked for again after a teardown"
  }
}

run "it_can_be_left_out" {
  command = plan

  variables {
    flow_logs = false
    messages  = false
  }

  assert {
    condition     = length(aws_flow_log.main) == 0 && length(aws_sqs_queue.messages) == 0 && keys(aws_iam_role.pod) == ["controller"]
    error_message = "with its role"
  }
}

run "zones_without_a_control_plane_are_left_out" {
  command = plan

  assert {
    condition     = contains(data.aws_availability_zones.here.exclude_zone_ids, "use1-az3")
    error_message = "EKS would refuse a subnet there"
  }
}

run "what_does_not_fit_is_refused" {
  command = plan

  variables {
    expires_at        = "tomorrow"
    compute           = "auto"
    schedule          = { stop = "0 19 * * *", start = "0 6 * * MON-FRI" }
    nodes             = { min = 3, desired = 2, max = 6 }
    cache             = true
    cache_password    = "short"
    budget_usd        = 50
    controller_policy = "not JSON"
  }

  expect_failures = [var.expires_at, var.schedule, var.nodes, var.cache_password, var.budget_usd, var.controller_policy]
}

run "an_open_control_plane_is_refused" {
  command = plan

  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.public_access_cidrs]
}
