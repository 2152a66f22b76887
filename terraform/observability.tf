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

resource "aws_cloudwatch_metric_alarm" "late" {
  count = var.messages ? 1 : 0

  alarm_name          = "${local.name}-messages-late"
  alarm_description   = "Messages wait for longer than five minutes: is the consumer well?"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.messages[0].name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  threshold           = 300
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_metric_alarm" "dead" {
  count = var.messages ? 1 : 0

  alarm_name          = "${local.name}-messages-dead"
  alarm_description   = "A message could not be taken five times"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead[0].name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_metric_alarm" "nat" {
  count = var.egress == "nat" ? 1 : 0

  alarm_name          = "${local.name}-nat-ports"
  alarm_description   = "The NAT gateway has no ports left for new connections"
  namespace           = "AWS/NATGateway"
  metric_name         = "ErrorPortAllocation"
  dimensions          = { NatGatewayId = aws_nat_gateway.main[0].id }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}

locals {
  widgets = concat(
    [
      {
        title   = "Load balancers: requests and errors"
        metrics = [for metric in ["RequestCount", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"] : [{ expression = "SUM(SEARCH('{AWS/ApplicationELB,LoadBalancer} MetricName=\"${metric}\"', 'Sum', 60))", label = metric }]]
      },
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
