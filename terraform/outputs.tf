# What the rest of a deploy goes on with.

output "cluster_name" {
  value = aws_eks_cluster.main.name
}

output "cluster_endpoint" {
  value = aws_eks_cluster.main.endpoint
}

output "cluster_ca" {
  description = "The certificate of the cluster's authority, in base64"
  value       = aws_eks_cluster.main.certificate_authority[0].data
}

output "vpc_id" {
  value = aws_vpc.main.id
}

output "vpc_cidr" {
  value = aws_vpc.main.cidr_block
}

output "public_subnets" {
  value = { for zone in local.zones : zone => { id = aws_subnet.public[zone].id, cidr = aws_subnet.public[zone].cidr_block } }
}

output "private_subnets" {
  value = { for zone in local.zones : zone => { id = aws_subnet.private[zone].id, cidr = aws_subnet.private[zone].cidr_block } }
}

output "nat_public_ips" {
  description = "The addresses that others see requests come from"
  value       = aws_eip.nat[*].public_ip
}

output "cluster_security_group" {
  description = "That of the control plane and of all nodes; EKS makes it"
  value       = aws_eks_cluster.main.vpc_config[0].cluster_security_group_id
}

output "cluster_version" {
  value = aws_eks_cluster.main.version
}

output "repositories" {
  description = "Where the image of each service is pushed to"
  value       = { for service in var.services : service => aws_ecr_repository.service[service].repository_url }
}

output "controller_namespace" {
  value = local.controller_namespace
}

output "alerts_topic_arn" {
  description = "Where alarms are told"
  value       = aws_sns_topic.alerts.arn
}

output "dashboard" {
  value = aws_cloudwatch_dashboard.main.dashboard_name
}

output "kms_key_arn" {
  value = aws_kms_key.main.arn
}

output "topic_arn" {
  value = one(aws_sns_topic.messages[*].arn)
}

output "queue_url" {
  value = one(aws_sqs_queue.messages[*].url)
}

output "dead_queue_url" {
  description = "What nobody could take is here"
  value       = one(aws_sqs_queue.dead[*].url)
}

output "cache_url" {
  description = "Where the cache is and how to get in"
  value       = one([for cache in aws_elasticache_replication_group.main : "rediss://:${urlencode(local.cache_password)}@${cache.primary_endpoint_address}:6379/0"])
  sensitive   = true
}

output "certificate_arn" {
  value = one(aws_acm_certificate_validation.domain[*].certificate_arn)
}

output "log_groups" {
  description = "What services write to after it was removed, so that it has to be looked for again"
  value       = concat([aws_cloudwatch_log_group.cluster.name], aws_cloudwatch_log_group.flow[*].name)
}
