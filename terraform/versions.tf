# The AWS platform of one deployment. `cargo xtask infra` runs it in a private copy, so that nothing is written here.

terraform {
  # Locks of the state are files in its bucket from 1.10 on.
  required_version = ">= 1.10, < 2"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "= 6.25.0"
    }
  }

  # Bucket, key and region are given to `init`. There is no kubernetes or helm provider: what is in the cluster is not in
  # this state, which can therefore be destroyed when the cluster does not answer.
  backend "s3" {}
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account]

  default_tags {
    tags = local.tags
  }
}
