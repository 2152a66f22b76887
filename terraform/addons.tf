# The cluster's own parts, pinned. In Auto Mode they are AWS's to run, all but the metrics that replicas follow.

locals {
  # For Kubernetes 1.34 (`aws eks describe-addon-versions`).
  addon_versions = {
    vpc-cni                = "v1.20.4-eksbuild.2"
    kube-proxy             = "v1.34.0-eksbuild.4"
    eks-pod-identity-agent = "v1.3.9-eksbuild.3"
    coredns                = "v1.12.4-eksbuild.1"
    metrics-server         = "v0.8.0-eksbuild.2"
    aws-ebs-csi-driver     = "v1.52.1-eksbuild.1"
  }

  addons = { for name, version in local.addon_versions : name => version if !local.auto || name == "metrics-server" }

  # Without these no node becomes ready; the others take nodes to run on.
  addons_before_nodes = ["vpc-cni", "kube-proxy", "eks-pod-identity-agent"]

  addon_configurations = {
    vpc-cni = jsonencode({ enableNetworkPolicy = "true" })
  }

  # Those that call AWS: as which service account, and what they may do.
  addon_identities = {
    for name, identity in {
      vpc-cni            = { service_account = "aws-node", policy = "AmazonEKS_CNI_Policy" }
      aws-ebs-csi-driver = { service_account = "ebs-csi-controller-sa", policy = "service-role/AmazonEBSCSIDriverPolicy" }
    } : name => identity if !local.auto
  }
}

resource "aws_iam_role" "addon" {
  for_each = local.addon_identities

  name               = "${local.name}-${each.key}"
  assume_role_policy = local.pod_trust
}

resource "aws_iam_role_policy_attachment" "addon" {
  for_each = local.addon_identities

  role       = aws_iam_role.addon[each.key].name
  policy_arn = "${local.policies}/${each.value.policy}"
}

resource "aws_eks_addon" "before_nodes" {
  for_each = { for name, version in local.addons : name => version if contains(local.addons_before_nodes, name) }

  cluster_name                = aws_eks_cluster.main.name
  addon_name                  = each.key
  addon_version               = each.value
  configuration_values        = lookup(local.addon_configurations, each.key, null)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  dynamic "pod_identity_association" {
    for_each = { for name, identity in local.addon_identities : name => identity if name == each.key }

    content {
      service_account = pod_identity_association.value.service_account
      role_arn        = aws_iam_role.addon[each.key].arn
    }
  }

  depends_on = [aws_iam_role_policy_attachment.addon]
}

resource "aws_eks_addon" "after_nodes" {
  for_each = { for name, version in local.addons : name => version if !contains(local.addons_before_nodes, name) }

  cluster_name                = aws_eks_cluster.main.name
  addon_name                  = each.key
  addon_version               = each.value
  configuration_values        = lookup(local.addon_configurations, each.key, null)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  dynamic "pod_identity_association" {
    for_each = { for name, identity in local.addon_identities : name => identity if name == each.key }

    content {
      service_account = pod_identity_association.value.service_account
      role_arn        = aws_iam_role.addon[each.key].arn
    }
  }

  depends_on = [aws_iam_role_policy_attachment.addon, aws_eks_node_group.main]
}
