//! What things on AWS are called. `terraform/locals.tf` says the same.

use model::aws::{Account, Region};
use model::name::DeploymentId;

/// The names of one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub account: Account,
    pub region: Region,
    pub id: DeploymentId,
}

impl Names {
    /// Those of a deployment of this ID, for tests.
    #[cfg(test)]
    pub fn sample(id: &str) -> Self {
        let parse = "is valid";
        Self {
            account: "123456789012".parse().expect(parse),
            region: "eu-central-1".parse().expect(parse),
            id: id.parse().expect(parse),
        }
    }

    /// What every name begins with, and the cluster's name: `slipway-ID`.
    pub fn base(&self) -> String {
        format!("slipway-{}", self.id)
    }

    /// The bucket of the state. Bucket names are unique in the world, so that account and region are part of it.
    pub fn bucket(&self) -> String {
        format!("{}-{}-{}", self.base(), self.account, self.region)
    }

    /// The host of the account's image registry.
    pub fn registry_host(&self) -> String {
        let suffix = if self.region.as_str().starts_with("cn-") { ".cn" } else { "" };
        format!("{}.dkr.ecr.{}.amazonaws.com{suffix}", self.account, self.region)
    }

    /// Where images go: `REGISTRY/SERVICE:KEY`.
    pub fn registry(&self) -> String {
        format!("{}/{}", self.registry_host(), self.base())
    }
}
