//! The AWS platform of one deployment: Terraform's private copy, its saved plans, and what it has made.
//!
//! Terraform runs in `.slipway/ENV/terraform`, so that `terraform/` stays as it is. The state is in a bucket of the
//! deployment's own ([`state`]), beside the lease, the ledger, and a note of what was applied last.

pub mod lease;
pub mod ledger;
pub mod names;
pub mod outputs;
pub mod state;
pub mod summary;
mod workspace;

pub use outputs::Outputs;
pub use summary::Summary;

use self::names::Names;
use self::state::Bucket;
use crate::aws::Aws;
use crate::ctx::Ctx;
use crate::key::Digest;
use crate::plan::Preview;
use crate::plan::runner::StepCx;
use crate::target::Deployment;
use anyhow::Result;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// What Terraform is told and has told, for one deployment and one run.
pub struct Infra {
    pub deployment: Deployment,
    pub aws: Aws,
    pub names: Names,
    pub bucket: Arc<Bucket>,
}

/// A plan that Terraform has written down, to be applied exactly so.
#[derive(Debug, Clone)]
pub struct Saved {
    pub file: PathBuf,
    pub summary: Summary,
    /// What `terraform show -json` says of it.
    pub document: Arc<Value>,
    /// Of what it was made: equal stamps are equal platforms.
    pub stamp: Digest,
}

/// What Terraform is to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    Platform,
    /// Its end.
    Nothing,
}

impl Infra {
    /// # Errors
    /// When the environment is not one on AWS.
    pub fn new(ctx: &Ctx, deployment: &Deployment) -> Result<Self> {
        let _ = (ctx, deployment);
        todo!("H4")
    }

    /// What the platform is to be made from at this moment: `terraform/`, and its variables.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn stamp(&self) -> Result<Digest> {
        todo!("H4")
    }

    /// What was applied last, by whomever: its stamp and outputs. `None`: nothing yet, or not to its end.
    /// `fresh` asks the bucket; otherwise what this machine has noted will do.
    ///
    /// # Errors
    /// When AWS refuses or does not answer.
    pub fn applied(&self, fresh: bool) -> Result<Option<(Digest, Outputs)>> {
        let _ = fresh;
        todo!("H4")
    }

    /// Plans and writes the plan down. Nothing is changed on AWS but the lock of the state. Without a state bucket it is
    /// planned against nothing, and the plan cannot be applied.
    ///
    /// # Errors
    /// In Terraform's own words, the first one first.
    pub fn plan(&self, aim: Aim, say: &(dyn Fn(String) + Sync)) -> Result<Saved> {
        let _ = (aim, say);
        todo!("H4")
    }

    /// Applies exactly this plan, and notes what came of it.
    ///
    /// # Errors
    /// In Terraform's own words. What was made until then is in the state, and the next run goes on from there.
    pub fn apply(&self, saved: &Saved, cx: &StepCx<'_>) -> Result<Outputs> {
        let _ = (saved, cx);
        todo!("H4")
    }

    /// The lines that a deploy would run, as `--dry-run` shows them.
    pub fn preview(&self, aim: Aim) -> Vec<Preview> {
        let _ = aim;
        todo!("H4")
    }

    /// The addresses of what the state has; nothing where there is no state.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn resources(&self) -> Result<Vec<String>> {
        todo!("H4")
    }
}
