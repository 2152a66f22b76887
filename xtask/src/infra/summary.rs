//! What a plan of Terraform's would do, for people, and what of it is dangerous.

use serde_json::Value;
use std::fmt;

/// The changes of a plan, each by its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub created: Vec<String>,
    pub changed: Vec<String>,
    pub replaced: Vec<String>,
    pub destroyed: Vec<String>,
    /// Those of the destroyed and replaced with which the cluster, the network or data would go.
    pub dangerous: Vec<String>,
}

impl Summary {
    /// From `terraform show -json PLAN`.
    pub fn of(plan: &Value) -> Self {
        let _ = plan;
        todo!("H4")
    }

    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.changed.is_empty() && self.replaced.is_empty() && self.destroyed.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!("H4")
    }
}
