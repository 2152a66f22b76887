//! What Terraform says of what it has made, as types.

use anyhow::Result;
use base::error::Fault;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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
    /// With the password in it.
    pub cache_url: Option<String>,
    pub certificate_arn: Option<String>,
    pub log_groups: Vec<String>,
    /// The services that have one.
    pub repositories: BTreeSet<String>,
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
        let value = |name: &str| &document[name]["value"];
        // What there is none of is no output, or null.
        let optional = |name: &str| value(name).as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let text = |name: &str| optional(name).ok_or_else(|| missing(name));
        let subnets = value("public_subnets").as_object().ok_or_else(|| missing("public_subnets"))?;
        let log_groups = value("log_groups").as_array().ok_or_else(|| missing("log_groups"))?;
        Ok(Self {
            cluster_name: text("cluster_name")?,
            cluster_endpoint: text("cluster_endpoint")?,
            cluster_ca: text("cluster_ca")?,
            vpc_id: text("vpc_id")?,
            public_subnets: subnets.iter().map(subnet).collect::<Result<_, _>>()?,
            controller_namespace: text("controller_namespace")?,
            topic_arn: optional("topic_arn"),
            queue_url: optional("queue_url"),
            cache_url: optional("cache_url"),
            certificate_arn: optional("certificate_arn"),
            repositories: value("repositories")
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect(),
            log_groups: log_groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

fn subnet((zone, value): (&String, &Value)) -> Result<(String, Subnet), Fault> {
    let text = |key: &str| value[key].as_str().map(str::to_owned).ok_or_else(|| missing("public_subnets"));
    Ok((zone.clone(), Subnet { id: text("id")?, cidr: text("cidr")? }))
}

fn missing(name: &str) -> Fault {
    let cause =
        format!("Terraform has no output `{name}`, or it is not of the type that `terraform/outputs.tf` gives it");
    Fault::failed("no-output", cause).hint("`infra apply` creates what is missing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        json!({
            "cluster_name": {"value": "slipway-a"}, "cluster_endpoint": {"value": "https://a"},
            "cluster_ca": {"value": "Y2E="}, "vpc_id": {"value": "vpc-1"},
            "public_subnets": {"value": {"a": {"id": "subnet-1", "cidr": "10.42.0.0/20"}}},
            "controller_namespace": {"value": "load-balancer-controller"},
            "repositories": {"value": {"epoch": "host/epoch"}}, "queue_url": {"value": "https://sqs/a"}, "cache_url": {"value": null},
            "log_groups": {"value": ["/aws/eks/slipway-a/cluster"]}, "one_of_ones_own": {"value": 1},
        })
    }

    #[test]
    fn outputs_are_read_and_what_there_is_none_of_is_none() {
        let outputs = Outputs::parse(&document()).unwrap();
        assert_eq!(outputs.public_subnets["a"].cidr, "10.42.0.0/20");
        assert_eq!(outputs.queue_url.as_deref(), Some("https://sqs/a"));
        assert_eq!((outputs.cache_url, outputs.topic_arn), (None, None));
        assert_eq!(outputs.repositories, BTreeSet::from(["epoch".to_owned()]));
    }

    #[test]
    fn one_that_is_missing_is_named() {
        for name in ["cluster_endpoint", "public_subnets", "log_groups"] {
            let mut document = document();
            document.as_object_mut().unwrap().remove(name);
            let error = Outputs::parse(&document).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }
}
