//! The private copy of `terraform/`, in which Terraform runs.
