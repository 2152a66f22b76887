data "aws_availability_zones" "here" {
  state = "available"

  # Zones in which EKS puts no control plane (docs.aws.amazon.com/eks/latest/userguide/network-reqs.html). Their names
  # differ from account to account.
  exclude_zone_ids = ["use1-az3", "usw1-az2", "cac1-az3"]

  # Local zones have neither what EKS nor what load balancers take.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_partition" "here" {}

locals {
  name  = "slipway-${var.deployment_id}"
  zones = slice(sort(data.aws_availability_zones.here.names), 0, 3)

  tags = merge(
    {
      deployment_id = var.deployment_id
      environment   = var.environment
      owner         = var.owner
      managed_by    = "slipway"
    },
    var.expires_at == "" ? {} : { expires_at = var.expires_at },
  )

  partition = data.aws_partition.here.partition
  policies  = "arn:${local.partition}:iam::aws:policy"
  auto      = var.compute == "auto"

  # Who may take the role of a pod (docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html).
  pod_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account }
        ArnEquals    = { "aws:SourceArn" = local.cluster_arn }
      }
    }]
  })
  cluster_arn = "arn:${local.partition}:eks:${var.region}:${var.account}:cluster/${local.name}"
}
