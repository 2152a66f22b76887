# Nodes are in private subnets alone. In Auto Mode EKS makes them, and this is their role.

resource "aws_iam_role" "node" {
  name = "${local.name}-node"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

# To join the cluster and to pull images. What pods may do is theirs (Pod Identity).
resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset(["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"])

  role       = aws_iam_role.node.name
  policy_arn = "${local.policies}/${each.value}"
}

resource "aws_launch_template" "node" {
  count = local.auto ? 0 : 1

  name                   = "${local.name}-node"
  update_default_version = true

  # Pods must not become the node: its credentials are one hop away, and a pod is two.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 30
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  # The provider's default tags do not reach what an instance brings.
  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${local.name}-node" })
    }
  }
}

resource "aws_eks_node_group" "main" {
  count = local.auto ? 0 : 1

  cluster_name    = aws_eks_cluster.main.name
  node_group_name = "main"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = [for zone in local.zones : aws_subnet.private[zone].id]
  version         = var.kubernetes_version
  ami_type        = "AL2023_x86_64_STANDARD"
  instance_types  = var.instance_types

  scaling_config {
    min_size     = var.nodes.min
    desired_size = var.nodes.desired
    max_size     = var.nodes.max
  }

  update_config {
    max_unavailable = 1
  }

  # One that stays unhealthy is replaced.
  node_repair_config {
    enabled = true
  }

  launch_template {
    id      = aws_launch_template.node[0].id
    version = aws_launch_template.node[0].latest_version
  }

  # The schedule and whoever scales by hand change it; a deploy must not.
  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }

  # Nodes without the network add-on never become ready, and without their rights never join.
  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.before_nodes]
}

# Nothing at night: the nodes go, the control plane stays.

resource "aws_autoscaling_schedule" "stop" {
  count = local.auto || var.schedule == null ? 0 : 1

  scheduled_action_name  = "${local.name}-stop"
  autoscaling_group_name = aws_eks_node_group.main[0].resources[0].autoscaling_groups[0].name
  recurrence             = var.schedule.stop
  time_zone              = var.schedule.time_zone
  min_size               = 0
  desired_capacity       = 0
  max_size               = var.nodes.max
}

resource "aws_autoscaling_schedule" "start" {
  count = local.auto || var.schedule == null ? 0 : 1

  scheduled_action_name  = "${local.name}-start"
  autoscaling_group_name = aws_eks_node_group.main[0].resources[0].autoscaling_groups[0].name
  recurrence             = var.schedule.start
  time_zone              = var.schedule.time_zone
  min_size               = var.nodes.min
  desired_capacity       = var.nodes.desired
  max_size               = var.nodes.max
}
