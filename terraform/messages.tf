# A topic, a queue that is subscribed to it, and another one for what nobody could take.

resource "aws_sns_topic" "messages" {
  count = var.messages ? 1 : 0

  name              = "${local.name}-messages"
  kms_master_key_id = aws_kms_key.main.key_id
}

resource "aws_sqs_queue" "messages" {
  count = var.messages ? 1 : 0

  name                       = "${local.name}-messages"
  sqs_managed_sse_enabled    = true
  visibility_timeout_seconds = 30
  message_retention_seconds  = 345600
  receive_wait_time_seconds  = 20
  redrive_policy             = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead[0].arn, maxReceiveCount = 5 })
}

resource "aws_sqs_queue" "dead" {
  count = var.messages ? 1 : 0

  name                      = "${local.name}-messages-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
}

resource "aws_sqs_queue_policy" "messages" {
  count = var.messages ? 1 : 0

  queue_url = aws_sqs_queue.messages[0].url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.messages[0].arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_sns_topic.messages[0].arn } }
    }]
  })
}

resource "aws_sns_topic_subscription" "messages" {
  count = var.messages ? 1 : 0

  topic_arn            = aws_sns_topic.messages[0].arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.messages[0].arn
  raw_message_delivery = false

  # Without it what is published right away would be lost.
  depends_on = [aws_sqs_queue_policy.messages]
}
