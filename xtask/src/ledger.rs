//! What a deployment has made, by whom, with the identity needed to remove it and to look it up again.
//!
//! An entry is written before the thing is made: a run killed in between leaves an entry without a thing, which is
//! harmless, never a thing without an entry.

use crate::home;
use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// One thing that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What sort of thing: `process`, `folder`.
    pub kind: String,
    /// Its name within the kind, for people.
    pub id: String,
    /// The system it was made for; none when all share it.
    pub system: Option<String>,
    /// What the target needs to find exactly this thing again.
    pub identity: Value,
}

impl Entry {
    pub fn to_json(&self) -> Value {
        json!({"kind": self.kind, "id": self.id, "system": self.system, "identity": self.identity})
    }

    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            kind: value["kind"].as_str()?.to_owned(),
            id: value["id"].as_str()?.to_owned(),
            system: value["system"].as_str().map(str::to_owned),
            identity: value["identity"].clone(),
        })
    }
}

/// The entries of one environment, in the order they were made.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl Ledger {
    /// Reads the ledger; one that is not there is empty.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let document = home::read_json(path)?;
        let list = document.as_ref().and_then(|document| document["entries"].as_array());
        let entries = list.map(|list| list.iter().filter_map(Entry::from_json).collect()).unwrap_or_default();
        Ok(Self { path: path.to_owned(), entries })
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Enters something; the same kind and id again replaces its identity.
    ///
    /// # Errors
    /// When the file cannot be written; the thing must then not be made.
    pub fn enter(&mut self, entry: Entry) -> Result<()> {
        match self.entries.iter_mut().find(|known| known.kind == entry.kind && known.id == entry.id) {
            Some(known) if *known == entry => return Ok(()),
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
        self.save()
    }

    /// Strikes out what is proven gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn strike(&mut self, gone: impl Fn(&Entry) -> bool) -> Result<()> {
        self.entries.retain(|entry| !gone(entry));
        self.save()
    }

    fn save(&self) -> Result<()> {
        let entries: Vec<_> = self.entries.iter().map(Entry::to_json).collect();
        home::write_json(&self.path, &json!({"schema": 1, "entries": entries}))
    }
}
