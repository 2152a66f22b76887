//! What is known of a deployment: its releases that were proven, its generated secrets, its ledger. Kept in Secrets of
//! the deployment's home namespace, with a copy on this machine.

use crate::ledger::Entry;
use crate::spec::name::{ServiceName, SystemName};
use anyhow::{Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;

/// A release of a system that passed its smoke contract.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proven {
    /// Counts up for each system.
    pub(super) number: u64,
    /// When it was proven, UTC.
    pub(super) at: String,
    /// What it was made from: equal stamps are equal releases.
    pub(super) stamp: String,
    /// Helm's own number of it, to go back to.
    pub(super) helm_revision: u64,
    /// What the chart was given.
    pub(super) values: Value,
    /// The version of each service: its content key, or the tag of its public image.
    pub(super) versions: BTreeMap<ServiceName, String>,
    /// The objects as the cluster had them afterwards, without what it changes by itself.
    pub(super) objects: Vec<Value>,
}

/// Reads and writes the records of one deployment.
pub(super) struct Records;

impl Records {
    /// The proven releases of a system, the newest last.
    ///
    /// # Errors
    /// When the cluster or the copy cannot be read.
    pub(super) fn history(&self, _system: &SystemName) -> Result<Vec<Proven>> {
        bail!("not yet")
    }

    /// Appends what was proven just now, with the next number, and returns that. The same stamp again only renews the
    /// newest one's objects and Helm revision.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn prove(&self, _system: &SystemName, _proven: Proven) -> Result<u64> {
        bail!("not yet")
    }

    /// A generated secret by the name `SERVICE.SECRET`, made now if there is none and `make` says so.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) fn secret(&self, _name: &str, _make: bool) -> Result<Option<String>> {
        bail!("not yet")
    }

    /// Enters something into the ledger before it is made.
    ///
    /// # Errors
    /// When it cannot be written; the thing must then not be made.
    pub(super) fn enter(&self, _entry: Entry) -> Result<()> {
        bail!("not yet")
    }

    /// # Errors
    /// When they cannot be read.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        bail!("not yet")
    }
}
