# What pods may do in AWS: each its own role, by Pod Identity, and nothing that it does not call.

locals {
  messages_namespace   = "${var.namespace_prefix}messages"
  controller_namespace = "${var.namespace_prefix}load-balancer-controller"

  pods = {
    for name, pod in {
      controller = {
        namespace       = local.controller_namespace
        service_account = "aws-load-balancer-controller"
        policy          = local.may_balance
      }
      producer = {
        namespace       = local.messages_namespace
        service_account = "producer"
        policy          = local.may_publish
      }
      consumer = {
        namespace       = local.messages_namespace
        service_account = "consumer"
        policy          = local.may_consume
      }
    } : name => pod if name == "controller" || var.messages
  }

  # Published for the commercial regions, whose partition is in its names.
  may_balance = replace(var.controller_policy, "arn:aws:", "arn:${local.partition}:")

  may_publish = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["sns:Publish", "sns:GetTopicAttributes"], Resource = one(aws_sns_topic.messages[*].arn) },
      {
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = aws_kms_key.main.arn
        # The same key is that of the cluster's secrets.
        Condition = { StringEquals = { "kms:ViaService" = "sns.${var.region}.amazonaws.com" } }
      },
    ]
  })

  may_consume = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
      Resource = one(aws_sqs_queue.messages[*].arn)
    }]
  })
}

resource "aws_iam_role" "pod" {
  for_each = local.pods

  name               = "${local.name}-${each.key}"
  assume_role_policy = local.pod_trust
}

resource "aws_iam_role_policy" "pod" {
  for_each = local.pods

  name   = each.key
  role   = aws_iam_role.pod[each.key].name
  policy = each.value.policy
}

resource "aws_eks_pod_identity_association" "pod" {
  for_each = local.pods

  cluster_name    = aws_eks_cluster.main.name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  role_arn        = aws_iam_role.pod[each.key].arn
}

# What is published for the controller lets it change every load balancer that any controller has made in the account, and
# the rules of every security group. Only what is of this cluster is its own.
resource "aws_iam_role_policy" "fence" {
  name = "fence"
  role = aws_iam_role.pod["controller"].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "OtherClusters"
        Effect   = "Deny"
        Action   = ["elasticloadbalancing:*", "ec2:DeleteSecurityGroup", "ec2:CreateTags", "ec2:DeleteTags"]
        Resource = "*"
        Condition = {
          StringNotEquals = { "aws:ResourceTag/elbv2.k8s.aws/cluster" = local.name }
          Null            = { "aws:ResourceTag/elbv2.k8s.aws/cluster" = "false" }
        }
      },
      {
        Sid       = "OtherNetworks"
        Effect    = "Deny"
        Action    = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:DeleteSecurityGroup"]
        Resource  = "arn:${local.partition}:ec2:*:*:security-group/*"
        Condition = { ArnNotEquals = { "ec2:Vpc" = aws_vpc.main.arn } }
      },
    ]
  })
}
