# What is looked at, and who is told.

resource "aws_sns_topic" "alerts" {
  name              = "${local.name}-alerts"
  kms_master_key_id = aws_kms_key.main.key_id
}

resource "aws_sns_topic_subscription" "alerts" {
  for_each = var.alert_emails

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.value
}

locals {
  # Of the control plane EKS itself tells, of nodes their group does. Load balancers come and go with what is deployed, so
  # that no alarm can name one.
  alarms = merge(
    # Every night pods wait where nodes go.
    var.schedule != null ? {} : {
      unschedulable = {
        about     = "Pods have been waiting for ten minutes for a node that has room"
        namespace = "AWS/EKS", metric = "scheduler_pending_pods_UNSCHEDULABLE", statistic = "Minimum"
        dimension = { ClusterName = aws_eks_cluster.main.name }
        period    = 60, times = 10, above = 0
      }
    },
    {
      apiserver = {
        about     = "The cluster's API answers with errors"
        namespace = "AWS/EKS", metric = "apiserver_request_total_5XX", statistic = "Sum"
        dimension = { ClusterName = aws_eks_cluster.main.name }
        period    = 60, times = 5, above = 10
      }
    },
    { for group in local.node_groups : "node" => {
      about     = "A node fails its checks"
      namespace = "AWS/EC2", metric = "StatusCheckFailed", statistic = "Maximum"
      dimension = { AutoScalingGroupName = group }
      period    = 60, times = 5, above = 0
    } },
    { for group in local.node_groups : "cpu" => {
      about     = "The nodes have been busy for a quarter of an hour: are there enough?"
      namespace = "AWS/EC2", metric = "CPUUtilization", statistic = "Average"
      dimension = { AutoScalingGroupName = group }
      period    = 300, times = 3, above = 85
    } },
    { for gateway in aws_nat_gateway.main : "nat-ports" => {
      about     = "The NAT gateway has no ports left for new connections"
      namespace = "AWS/NATGateway", metric = "ErrorPortAllocation", statistic = "Sum"
      dimension = { NatGatewayId = gateway.id }
      period    = 300, times = 1, above = 0
    } },
    { for queue in aws_sqs_queue.messages : "messages-late" => {
      about     = "Messages wait for longer than five minutes: is the consumer well?"
      namespace = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum"
      dimension = { QueueName = queue.name }
      period    = 60, times = 3, above = 300
    } },
    { for queue in aws_sqs_queue.dead : "messages-dead" => {
      about     = "A message could not be taken five times"
      namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
      dimension = { QueueName = queue.name }
      period    = 60, times = 1, above = 0
    } },
    { for cache in aws_elasticache_replication_group.main : "cache-memory" => {
      about     = "The cache is nearly full"
      namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", statistic = "Maximum"
      dimension = { CacheClusterId = "${local.name}-001" }
      period    = 300, times = 3, above = 85
    } },
  )

  node_groups = [for group in aws_eks_node_group.main : group.resources[0].autoscaling_groups[0].name]
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.about
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimension
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.times
  threshold           = each.value.above
  comparison_operator = "GreaterThanThreshold"
  # There are none while there is nothing to tell of: no request, no node at night.
  treat_missing_data = "notBreaching"
  alarm_actions      = [aws_sns_topic.alerts.arn]
  ok_actions         = [aws_sns_topic.alerts.arn]
}

locals {
  widgets = concat(
    [
      {
        title   = "Load balancers: requests and errors"
        metrics = [for metric in ["RequestCount", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"] : [{ expression = "SUM(SEARCH('{AWS/ApplicationELB,LoadBalancer} MetricName=\"${metric}\"', 'Sum', 60))", label = metric }]]
      },
    ],
    [
      {
        title = "Cluster: pods without a node, errors of its API"
        metrics = [
          ["AWS/EKS", "scheduler_pending_pods_UNSCHEDULABLE", "ClusterName", aws_eks_cluster.main.name],
          ["AWS/EKS", "apiserver_request_total_5XX", "ClusterName", aws_eks_cluster.main.name],
        ]
      },
    ],
    [
      for group in local.node_groups : {
        title   = "Nodes: CPU in percent"
        metrics = [["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", group, { stat = "Average" }]]
      }
    ],
    var.messages ? [
      {
        title = "Messages: waiting, and for how long"
        metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.messages[0].name],
          ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", aws_sqs_queue.messages[0].name],
        ]
      },
    ] : [],
    var.egress == "nat" ? [
      {
        title   = "NAT: bytes out"
        metrics = [["AWS/NATGateway", "BytesOutToDestination", "NatGatewayId", aws_nat_gateway.main[0].id]]
      },
    ] : [],
  )
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = local.name
  dashboard_body = jsonencode({
    widgets = [
      for place, widget in local.widgets : {
        type       = "metric"
        x          = 0
        y          = place * 6
        width      = 24
        height     = 6
        properties = { title = widget.title, region = var.region, view = "timeSeries", stat = "Sum", period = 60, metrics = widget.metrics }
      }
    ]
  })
}
