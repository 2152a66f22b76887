# Which deployment, and where.

variable "deployment_id" {
  description = "What everything made here carries in its name and tags"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.deployment_id)) && !endswith(var.deployment_id, "-")
    error_message = "deployment_id is 1 to 24 lower-case letters, digits and inner hyphens, the first a letter: roles are named after it."
  }
}

variable "environment" {
  description = "The environment's name, for the tags"
  type        = string
}

variable "owner" {
  description = "Who has made it, for the tags"
  type        = string
}

variable "expires_at" {
  description = "When it may be torn down (RFC 3339), for the tags; empty: never"
  type        = string
  default     = ""

  validation {
    condition     = var.expires_at == "" || can(formatdate("YYYY", var.expires_at))
    error_message = "expires_at is a time such as 2026-12-31T18:00:00Z."
  }
}

variable "account" {
  description = "The account that it must be"
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "account is the twelve digits of an AWS account."
  }
}

variable "region" {
  type = string
}

# The network.

variable "vpc_cidr" {
  description = "A /16 that nothing else of yours is routed to"
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && endswith(var.vpc_cidr, "/16")
    error_message = "vpc_cidr is a network such as 10.42.0.0/16."
  }
}

variable "egress" {
  description = "How private subnets reach what they need: `nat` (one NAT gateway, everything) or `endpoints` (AWS alone; public images have to be in ECR then)"
  type        = string
  default     = "nat"

  validation {
    condition     = contains(["nat", "endpoints"], var.egress)
    error_message = "egress is nat or endpoints."
  }
}

variable "flow_logs" {
  description = "Whether refused connections are recorded"
  type        = bool
  default     = true
}

# The cluster.

variable "kubernetes_version" {
  type    = string
  default = "1.34"
}

variable "public_access_cidrs" {
  description = "From where the cluster's API is reached; never from everywhere"
  type        = list(string)

  validation {
    condition     = length(var.public_access_cidrs) > 0 && alltrue([for cidr in var.public_access_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "public_access_cidrs names the networks that may reach the cluster's API, such as 198.51.100.0/24, and not all of them."
  }
}

variable "administrators" {
  description = "ARNs of roles and users that administer the cluster beside the one that makes it"
  type        = set(string)
  default     = []
}

variable "teams" {
  description = "ARNs of the roles and users of each team; in the cluster they are the group slipway:TEAM"
  type        = map(set(string))
  default     = {}
}

variable "compute" {
  description = "`nodes` (a managed node group) or `auto` (EKS Auto Mode)"
  type        = string
  default     = "nodes"

  validation {
    condition     = contains(["nodes", "auto"], var.compute)
    error_message = "compute is nodes or auto."
  }
}

variable "instance_types" {
  type    = list(string)
  default = ["t3.large"]
}

variable "nodes" {
  description = "How many nodes there are at least, at first and at most; one for each zone keeps a zone's end harmless"
  type        = object({ min = number, desired = number, max = number })
  default     = { min = 3, desired = 3, max = 6 }

  validation {
    condition     = var.nodes.min <= var.nodes.desired && var.nodes.desired <= var.nodes.max && var.nodes.max > 0
    error_message = "nodes: min is at most desired, and desired at most max."
  }
}

variable "schedule" {
  description = "When the nodes go and come back (cron); null: they stay"
  type        = object({ stop = string, start = string, time_zone = optional(string, "Etc/UTC") })
  default     = null

  validation {
    condition     = var.schedule == null || var.compute == "nodes"
    error_message = "schedule is for compute = nodes; in Auto Mode nodes go by themselves when nothing runs on them."
  }
}

# What runs in it.

variable "services" {
  description = "The services that have images of their own"
  type        = set(string)
}

variable "namespace_prefix" {
  description = "What namespaces begin with, as in the cluster"
  type        = string
  default     = ""
}

variable "messages" {
  description = "Whether there are a topic and a queue for `messages`"
  type        = bool
  default     = true
}

variable "cache" {
  description = "Whether `shortener` has an ElastiCache in place of its own Redis"
  type        = bool
  default     = false
}

variable "cache_password" {
  description = "Its password; one is made up unless it is set"
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.cache_password == null || can(regex("^[A-Za-z0-9!&#$^<>-]{16,128}$", var.cache_password))
    error_message = "cache_password is 16 to 128 letters, digits and any of !&#$^<>-."
  }
}

variable "controller_policy" {
  description = "What the load balancer controller may do: the policy beside its pinned version"
  type        = string

  # 10240 is what IAM lets a role have, all its inline policies taken together and without whitespace.
  validation {
    condition     = try(length(jsonencode(jsondecode(var.controller_policy))) <= 9000, false)
    error_message = "controller_policy is a policy in JSON of at most 9000 characters."
  }
}

# Names.

variable "domain" {
  description = "Public services are NAME.DOMAIN; empty: they have their load balancers' names"
  type        = string
  default     = ""
}

variable "hosted_zone" {
  description = "The ID of the Route 53 zone that the domain is in; empty: DNS is elsewhere"
  type        = string
  default     = ""
}

# Money and attention.

variable "budget_usd" {
  description = "What it may cost a month before alert_emails are told; 0: nobody is"
  type        = number
  default     = 0

  validation {
    condition     = var.budget_usd == 0 || length(var.alert_emails) > 0
    error_message = "budget_usd needs alert_emails: nobody would be told."
  }
}

variable "alert_emails" {
  description = "Who is told of costs and alarms"
  type        = set(string)
  default     = []
}

variable "log_retention_days" {
  type    = number
  default = 14
}
