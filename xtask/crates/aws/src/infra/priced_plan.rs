//! What a plan would change, and what the platform would then cost: for people before they agree, and for programs.

use super::{Saved, Summary};
use crate::cost;
use crate::cost::Estimate;
use base::error::Fault;

use anyhow::Result;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

/// What is made in the cluster, and paid for beside what Terraform makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtraCost {
    pub load_balancers: usize,
    pub volumes_gib: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PricedPlan {
    pub summary: Summary,
    /// `None` without a price table.
    pub estimate: Option<Estimate>,
}

impl PricedPlan {
    /// # Errors
    /// When the price table is wrong.
    pub fn of(saved: &Saved, root: &Path, region: &str, extra: ExtraCost) -> Result<Self> {
        let prices = model::prices(root).map_err(Fault::from)?;
        let estimate =
            |prices| cost::estimate(&saved.document, prices, region, extra.load_balancers, extra.volumes_gib);
        Ok(Self { summary: saved.summary.clone(), estimate: prices.as_ref().map(estimate) })
    }

    pub fn document(&self) -> Value {
        json!(self.estimate.as_ref().map(Estimate::document))
    }
}

impl fmt::Display for PricedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "infrastructure: {}", self.summary)?;
        match &self.estimate {
            Some(estimate) => write!(f, "\ncost: {estimate}"),
            None => Ok(()),
        }
    }
}
