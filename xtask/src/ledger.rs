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
        let document = home::read_json(path)?.unwrap_or_default();
        Ok(Self { path: path.to_owned(), entries: entries(&document) })
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Enters something; the same kind and id again replaces its identity.
    ///
    /// # Errors
    /// When the file cannot be written; the thing must then not be made.
    pub fn enter(&mut self, entry: Entry) -> Result<()> {
        if enter(&mut self.entries, entry) { self.save() } else { Ok(()) }
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
        let mut document = json!({"schema": 1});
        set_entries(&mut document, &self.entries);
        home::write_json(&self.path, &document)
    }
}

/// The entries of a ledger's document, wherever that is kept.
pub fn entries(document: &Value) -> Vec<Entry> {
    let list = document["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Entry::from_json).collect()
}

/// Writes the entries into a ledger's document.
pub fn set_entries(document: &mut Value, entries: &[Entry]) {
    document["entries"] = entries.iter().map(Entry::to_json).collect();
}

/// Enters something; the same kind and id again replaces its identity. Whether that changes anything.
pub fn enter(entries: &mut Vec<Entry>, entry: Entry) -> bool {
    match entries.iter_mut().find(|known| known.kind == entry.kind && known.id == entry.id) {
        Some(known) if *known == entry => return false,
        Some(known) => *known = entry,
        None => entries.push(entry),
    }
    true
}
