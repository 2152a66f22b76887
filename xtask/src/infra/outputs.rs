//! What Terraform says of what it has made, as types.

use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// The outputs of `terraform/outputs.tf`.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    pub cluster_name: String,
    /// The URL of its API server.
    pub cluster_endpoint: String,
    /// The certificate of its authority, in base64.
    pub cluster_ca: String,
    pub vpc_id: String,
    /// By zone: the ID and the network of the public subnet there.
    pub public_subnets: BTreeMap<String, Subnet>,
    pub controller_namespace: String,
    pub topic_arn: Option<String>,
    pub queue_url: Option<String>,
    pub cache_host: Option<String>,
    pub certificate_arn: Option<String>,
    pub log_groups: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub cidr: String,
}

impl Outputs {
    /// From `terraform output -json` (`{"NAME": {"value": …}}`).
    ///
    /// # Errors
    /// When one is missing that has to be there; says which.
    pub fn parse(document: &Value) -> Result<Self> {
        let _ = document;
        todo!("H4")
    }
}
