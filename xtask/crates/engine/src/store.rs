//! What is known of a deployment, as documents, wherever they are at home: a folder of this machine, Secrets of a cluster,
//! a bucket.
//!
//! A home reads a document, and swaps it for another one if it is still the version that was seen. [`Documents`] is what
//! is made of that, once for all homes.

mod documents;
pub mod folder;

pub use self::documents::Documents;

use anyhow::Result;
use model::name::SystemName;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a document is called, whatever its home makes of that: `ledger`, `releases/shop`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentName(String);

impl DocumentName {
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub fn ledger() -> Self {
        Self::new("ledger")
    }

    /// The generated secrets.
    pub fn secrets() -> Self {
        Self::new("secrets")
    }

    /// The proven releases of a system.
    pub fn releases(system: &SystemName) -> Self {
        Self(format!("releases/{system}"))
    }

    /// The system whose proven releases these are.
    pub fn system(&self) -> Option<SystemName> {
        self.0.strip_prefix("releases/").and_then(|system| system.parse().ok())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a file, in the folder where such documents are.
    pub fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{self}.json"))
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells what its home has under a name from what it had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// A document with its version.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned {
    pub document: Value,
    pub version: Version,
}

/// What a home has under a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Nothing,
    Document(Versioned),
    /// Something that is no document, and why it is none.
    Broken(String),
}

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swapped {
    Done(Version),
    /// Somebody else was faster, or no answer came, so that it may have been done: reading tells.
    Conflict,
    /// The home is not there yet, or no more. This machine's copy is all there is.
    NoHome,
}

/// The home of documents.
pub trait StateStore {
    /// # Errors
    /// When the home cannot be reached, or refuses.
    fn read(&self, name: &DocumentName) -> Result<Found>;

    /// Writes a document in the place of the version that was seen; of none, where there was none.
    ///
    /// # Errors
    /// When the home refuses.
    fn swap(&self, name: &DocumentName, from: Option<&Version>, to: &Value) -> Result<Swapped>;

    /// Removes a document; one that is not there is already as it should be.
    ///
    /// # Errors
    /// When the home refuses.
    fn remove(&self, name: &DocumentName) -> Result<()>;

    /// Every document there is, where one question tells them all.
    ///
    /// # Errors
    /// Those of [`StateStore::read`].
    fn all(&self) -> Result<Option<BTreeMap<DocumentName, Found>>> {
        Ok(None)
    }

    /// Where a document is, for people, and the command that removes it.
    fn place(&self, name: &DocumentName) -> Place;

    /// The deployment's folder on this machine.
    fn folder(&self) -> &Path;

    /// Where this machine keeps its copy; `None` where it is the home itself.
    fn copy(&self, _: &DocumentName) -> Option<PathBuf> {
        None
    }

    /// Whether the copy counts where the home has no such document.
    fn copy_stands_in(&self, _: &DocumentName) -> bool {
        true
    }

    /// Writes into a document whose it is: a folder of state may have served another deployment before.
    ///
    /// # Errors
    /// When that is not known.
    fn sign(&self, _: &mut Value) -> Result<()> {
        Ok(())
    }

    /// Whether a copy is of this deployment.
    ///
    /// # Errors
    /// When that is not known.
    fn is_ours(&self, _: &Value) -> Result<bool> {
        Ok(true)
    }
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// "the Secret `slipway-ledger` in namespace `shop`"
    pub words: String,
    /// The command that removes it.
    pub removal: String,
}

#[cfg(test)]
mod contract;
