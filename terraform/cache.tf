# Redis for `shortener`, in three zones, for those who do not want to keep it in the cluster.

# Made up once, so that nobody has to think of one. It is in the state, as every password is that Terraform gives to AWS.
resource "terraform_data" "cache_password" {
  count = var.cache && var.cache_password == null ? 1 : 0

  input = sensitive(replace("${uuid()}${uuid()}", "-", ""))

  lifecycle {
    ignore_changes = [input]
  }
}

locals {
  cache_password = var.cache ? coalesce(var.cache_password, one(terraform_data.cache_password[*].output)) : null
}

resource "aws_elasticache_subnet_group" "main" {
  count = var.cache ? 1 : 0

  name       = local.name
  subnet_ids = [for zone in local.zones : aws_subnet.private[zone].id]
}

resource "aws_security_group" "cache" {
  count = var.cache ? 1 : 0

  name        = "${local.name}-cache"
  description = "Redis from the cluster's pods"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-cache" }
}

resource "aws_vpc_security_group_ingress_rule" "cache" {
  count = var.cache ? 1 : 0

  security_group_id            = aws_security_group.cache[0].id
  referenced_security_group_id = aws_eks_cluster.main.vpc_config[0].cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_elasticache_replication_group" "main" {
  count = var.cache ? 1 : 0

  replication_group_id       = local.name
  description                = "Links and keys of shortener"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = "cache.t4g.micro"
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true
  subnet_group_name          = aws_elasticache_subnet_group.main[0].name
  security_group_ids         = [aws_security_group.cache[0].id]
  at_rest_encryption_enabled = true
  transit_encryption_enabled = true
  auth_token                 = local.cache_password
  snapshot_retention_limit   = 1
  apply_immediately          = true
}
