//! What a deployment has made, by whom, with the identity needed to remove it and to look it up again.
//!
//! An entry is written before the thing is made: a run killed in between leaves an entry without a thing, which is
//! harmless, never a thing without an entry.

use crate::store::folder::Folder;
use crate::store::{DocumentName, Documents};
use anyhow::Result;
use model::name::{ServiceName, SystemName};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The kind of the entry of a namespace of a cluster.
pub const NAMESPACE: &str = "namespace";

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

    /// The service of a system that it is for, where its name says that: "log of NAME", "data of NAME/VOLUME".
    pub fn service(&self) -> Option<(SystemName, ServiceName)> {
        let system = self.system.as_deref()?;
        let name = self.id.strip_prefix("log of ").or_else(|| self.id.strip_prefix("data of "))?;
        let name = name.split_once('/').map_or(name, |(name, _)| name);
        let is_edge = name.strip_prefix("edge-") == Some(system);
        if is_edge { None } else { Some((system.parse().ok()?, name.parse().ok()?)) }
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

/// The entries of one environment, in the order they were made, at home in a folder of this machine.
#[derive(Debug)]
pub struct Ledger {
    documents: Documents<Folder>,
    name: DocumentName,
    entries: Vec<Entry>,
}

impl Ledger {
    /// Reads the ledger; one that is not there is empty.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let (folder, name) = Folder::of(path);
        let documents = Documents::new(folder);
        let entries = entries(&documents.read(&name)?);
        Ok(Self { documents, name, entries })
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Enters something; the same kind and id again replaces its identity.
    ///
    /// # Errors
    /// When the file cannot be written; the thing must then not be made.
    pub fn enter(&mut self, entry: Entry) -> Result<()> {
        if self.entries.contains(&entry) { Ok(()) } else { self.enter_all(vec![entry]) }
    }

    /// Enters many things at once, which is one file to write and not one for each.
    ///
    /// # Errors
    /// When the file cannot be written; none of them must then be made.
    pub fn enter_all(&mut self, new: Vec<Entry>) -> Result<()> {
        self.update(|document| enter(document, &new))
    }

    /// Strikes out what is proven gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn strike(&mut self, gone: impl Fn(&Entry) -> bool) -> Result<()> {
        // What another part of this run has entered may go as well.
        self.documents.forget();
        self.update(|document| strike(document, &gone))
    }

    fn update(&mut self, change: impl Fn(&mut Value) -> Vec<Entry>) -> Result<()> {
        self.entries = self.documents.update(&self.name, |document| Ok(change(document)))?;
        Ok(())
    }
}

/// The entries of a ledger's document, wherever that is at home.
pub fn entries(document: &Value) -> Vec<Entry> {
    let list = document["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Entry::from_json).collect()
}

/// Enters things into a ledger's document; the same kind and id again replaces its identity. Returns all that is in it.
pub fn enter(document: &mut Value, new: &[Entry]) -> Vec<Entry> {
    let mut all = entries(document);
    if add(&mut all, new) {
        set_entries(document, &all);
    }
    all
}

/// Strikes things out of a ledger's document. Returns what is left.
pub fn strike(document: &mut Value, gone: &dyn Fn(&Entry) -> bool) -> Vec<Entry> {
    let mut all = entries(document);
    let before = all.len();
    all.retain(|entry| !gone(entry));
    if all.len() != before {
        set_entries(document, &all);
    }
    all
}

/// The same as [`enter`] for a list. Whether that changes anything.
pub fn add(entries: &mut Vec<Entry>, new: &[Entry]) -> bool {
    let name = |entry: &Entry| (entry.kind.clone(), entry.id.clone());
    let mut places: BTreeMap<_, _> = entries.iter().map(name).zip(0..).collect();
    let mut changed = false;
    for entry in new {
        match places.get(&name(entry)) {
            Some(place) if entries[*place] == *entry => continue,
            Some(place) => entries[*place] = entry.clone(),
            None => {
                places.insert(name(entry), entries.len());
                entries.push(entry.clone());
            }
        }
        changed = true;
    }
    changed
}

fn set_entries(document: &mut Value, entries: &[Entry]) {
    document["entries"] = entries.iter().map(Entry::to_json).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        Entry { kind: "folder".to_owned(), id: id.to_owned(), system: None, identity: json!({"name": id}) }
    }

    #[test]
    fn what_is_there_already_changes_nothing() {
        let mut document = Value::Null;
        assert!(enter(&mut document, &[]).is_empty() && strike(&mut document, &|_| true).is_empty());
        assert_eq!(document, Value::Null);
        enter(&mut document, &[entry("a"), entry("b")]);
        let before = document.clone();
        enter(&mut document, &[entry("b"), entry("a")]);
        assert_eq!(document, before);
        let moved = Entry { identity: json!({"name": "elsewhere"}), ..entry("a") };
        enter(&mut document, &[moved.clone(), entry("c"), entry("c")]);
        assert_eq!(entries(&document), [moved, entry("b"), entry("c")]);
    }

    #[test]
    fn what_else_a_ledger_says_outlives_what_is_entered_and_struck_out() {
        let mut document = json!({"schema": 1, "cluster": {"uid": "1"}});
        enter(&mut document, &[entry("a"), entry("b")]);
        strike(&mut document, &|entry| entry.id == "a");
        assert_eq!((entries(&document), &document["cluster"]["uid"]), (vec![entry("b")], &json!("1")));
    }

    #[test]
    fn what_was_made_for_a_service_says_for_which() {
        let service = |id: &str| {
            let entry = Entry { system: Some("shop".to_owned()), ..entry(id) };
            entry.service().map(|(system, service)| format!("{system}: {service}"))
        };
        let named = |name: &str| Some(format!("shop: {name}"));
        assert_eq!((service("log of db"), service("data of shop_db/wal")), (named("db"), named("shop_db")));
        for other in ["log of edge-shop", "edge of shop", "network", "log of", "log of A"] {
            assert_eq!(service(other), None, "{other}");
        }
        assert_eq!(entry("log of db").service(), None);
    }

    #[test]
    fn two_that_have_one_ledger_open_lose_nothing() {
        let folder = std::env::temp_dir().join(format!("ledger-{}", std::process::id()));
        let path = folder.join("ledger.json");
        let (mut one, mut other) = (Ledger::open(&path).unwrap(), Ledger::open(&path).unwrap());
        one.enter(entry("a")).unwrap();
        other.enter(entry("b")).unwrap();
        assert_eq!(Ledger::open(&path).unwrap().entries(), [entry("a"), entry("b")]);
        one.strike(|entry| entry.id == "b").unwrap();
        assert_eq!(one.entries(), Ledger::open(&path).unwrap().entries());
        other.enter_all(vec![entry("b"), entry("c")]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((one.entries(), other.entries()), (&[entry("a")][..], &[entry("a"), entry("b"), entry("c")][..]));
    }
}
