//! The bucket of a deployment: Terraform's state with its lock, the lease, the ledger, and what was applied last.
//!
//! It is made on first use and removed last. What is written here is written on a condition, so that of two who write
//! one learns that he was second.

use super::names::Names;
use crate::aws::{Aws, Refusal};
use crate::plan::{Preview, Step};
use anyhow::Result;
use serde_json::Value;
use std::sync::Arc;

/// The key of Terraform's state.
pub const STATE: &str = "terraform.tfstate";
/// That of its lock, which Terraform makes and removes (`use_lockfile`).
pub const LOCK: &str = "terraform.tfstate.tflock";

pub struct Bucket {
    pub aws: Aws,
    pub names: Names,
}

/// An object as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub document: Value,
    /// Names this version of it.
    pub etag: String,
}

/// On what condition something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum If {
    /// There is nothing yet.
    Absent,
    /// It is still this version.
    Is(String),
}

impl Bucket {
    pub fn name(&self) -> String {
        self.names.bucket()
    }

    /// # Errors
    /// When AWS refuses or does not answer, or the bucket is somebody else's.
    pub fn is_there(&self) -> Result<bool> {
        todo!("H5")
    }

    /// Makes the bucket, unless it is there; [`Bucket::secure`] does the rest.
    ///
    /// # Errors
    /// When AWS refuses, or somebody else has one of this name.
    pub fn make(&self) -> Result<()> {
        todo!("H5")
    }

    /// The step `state`, which has the bucket versioned, encrypted, closed to the public and tagged. It needs nothing.
    pub fn step(self: &Arc<Self>) -> Step {
        todo!("H5")
    }

    /// What is done for it, as `--dry-run` shows it.
    pub fn preview(&self) -> Vec<Preview> {
        todo!("H5")
    }

    /// A JSON object; `None` when it is not there, or there is no bucket.
    ///
    /// # Errors
    /// What AWS says.
    pub fn get(&self, key: &str) -> Result<Option<Object>, Refusal> {
        let _ = key;
        todo!("H5")
    }

    /// Writes a JSON object, and returns its new version. A refusal of the condition is a [`crate::aws::Trouble::Conflict`].
    ///
    /// # Errors
    /// What AWS says.
    pub fn put(&self, key: &str, document: &Value, condition: &If) -> Result<String, Refusal> {
        let _ = (key, document, condition);
        todo!("H5")
    }

    /// # Errors
    /// What AWS says.
    pub fn delete(&self, key: &str) -> Result<(), Refusal> {
        let _ = key;
        todo!("H5")
    }

    /// Removes the bucket with every version of everything in it: the end of a teardown.
    ///
    /// # Errors
    /// When AWS refuses.
    pub fn remove(&self) -> Result<()> {
        todo!("H5")
    }
}
