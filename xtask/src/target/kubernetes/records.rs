//! What is known of a deployment: its releases that were proven, its generated secrets, its ledger. Kept in Secrets of
//! the deployment's home namespace, with a copy on this machine.

mod proven;
mod store;

pub(super) use proven::Proven;

use self::store::{Concern, Store};
use super::access::Access;
use super::identity::Identity;
use super::names::Names;
use crate::home::{self, Home};
use crate::ledger::{self, Entry, Ledger};
use crate::spec::name::{ServiceName, SystemName};
use crate::target::supervised::secrets::generate;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// In the folder of a deployment's state: what was entered before the cluster had a place for it.
const EARLY: &str = "early.json";

/// Reads and writes the records of one deployment.
pub(in crate::target) struct Records {
    store: Store,
    access: Arc<Access>,
    /// Where this machine keeps what was entered early.
    early: PathBuf,
    /// Whether there is a place in the cluster by now.
    settled: Mutex<bool>,
}

impl Records {
    pub(super) fn new(access: Arc<Access>, names: Names, home: Home) -> Self {
        let early = home.dir().join(EARLY);
        let store = Store::new(Arc::clone(&access), names, home);
        Self { store, access, early, settled: Mutex::new(false) }
    }

    /// Lets the next question read everything again: somebody else may have deployed since.
    pub(in crate::target) fn forget_what_was_read(&self) {
        self.store.forget();
    }

    /// The proven releases of a system, the newest last.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn history(&self, system: &SystemName) -> Result<Vec<Proven>> {
        Ok(proven::parse(&self.store.read(&Concern::Release(system.clone()))?))
    }

    /// Appends what was proven just now, with the next number, and returns that. The same stamp again only renews the
    /// newest one's objects and Helm revision.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn prove(&self, system: &SystemName, proven: Proven) -> Result<u64> {
        let number = Cell::new(0);
        self.store.change(&Concern::Release(system.clone()), |document| {
            let before = proven::parse(document);
            let (releases, own) = proven::append(before, proven.clone());
            number.set(own);
            let after = proven::document(releases);
            let changed = *document != after;
            *document = after;
            Ok(changed)
        })?;
        Ok(number.get())
    }

    /// A generated secret by the name `SERVICE.SECRET`, made now if there is none and `make` says so.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) fn secret(&self, name: &str, make: bool) -> Result<Option<String>> {
        let known = |document: &Value| document[name].as_str().map(str::to_owned);
        if !make {
            return Ok(known(&self.store.read(&Concern::Secrets)?));
        }
        let made = generate().with_context(|| format!("generate the secret `{name}`"))?;
        self.store.change(&Concern::Secrets, |document| {
            let missing = known(document).is_none();
            if missing {
                document[name] = json!(made);
            }
            Ok(missing)
        })?;
        // Somebody else's may have been there first.
        Ok(known(&self.store.read(&Concern::Secrets)?))
    }

    /// Enters something into the ledger before it is made; the same kind and id again replaces its identity.
    ///
    /// # Errors
    /// When it cannot be written; the thing must then not be made.
    pub(in crate::target) fn enter(&self, entry: Entry) -> Result<()> {
        self.store.change(&Concern::Ledger, |document| Ok(enter(document, entry.clone())))
    }

    /// Enters what may be made before there is a place for it in the cluster, or a cluster. Until [`Records::settle`] it is
    /// known to this machine alone.
    ///
    /// # Errors
    /// Those of [`Records::enter`].
    pub(super) fn enter_early(&self, entry: Entry) -> Result<()> {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if *settled { self.enter(entry) } else { Ledger::open(&self.early)?.enter(entry) }
    }

    /// Whether something was entered early that the cluster does not know yet.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(super) fn has_early(&self) -> Result<bool> {
        Ok(!Ledger::open(&self.early)?.entries().is_empty())
    }

    /// There is a place in the cluster from now on: what was entered early goes there.
    ///
    /// # Errors
    /// When it cannot be written there.
    pub(super) fn settle(&self) -> Result<()> {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in Ledger::open(&self.early)?.entries() {
            self.enter(entry.clone())?;
        }
        *settled = true;
        home::remove(&self.early)
    }

    /// The same as [`Records::enter`] while there is no place for it in the cluster yet.
    ///
    /// # Errors
    /// Those of [`Records::enter`].
    pub(super) fn enter_here(&self, entry: Entry) -> Result<()> {
        self.store.change_copy(&Concern::Ledger, |document| Ok(enter(document, entry.clone())))
    }

    /// What is in the ledger; in its copy, where the cluster has none; and what was entered early.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::target) fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if self.access.is_there()? {
            entries = ledger::entries(&self.store.read(&Concern::Ledger)?);
        }
        for entry in Ledger::open(&self.early)?.entries() {
            ledger::enter(&mut entries, entry.clone());
        }
        Ok(entries)
    }

    /// Strikes out what is proven gone. Where the home namespace is gone as well, so is the ledger in it, and nothing is
    /// left to be written but the copy.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::target) fn strike(&self, gone: impl Fn(&Entry) -> bool) -> Result<()> {
        if self.has_early()? {
            Ledger::open(&self.early)?.strike(&gone)?;
        }
        if !self.access.is_there()? {
            return Ok(());
        }
        let strike = |document: &mut Value| {
            let mut entries = ledger::entries(document);
            let before = entries.len();
            entries.retain(|entry| !gone(entry));
            ledger::set_entries(document, &entries);
            Ok(entries.len() != before)
        };
        if self.store.has_any()? {
            self.store.change(&Concern::Ledger, strike)
        } else {
            self.store.change_copy(&Concern::Ledger, strike)
        }
    }

    /// Forgets a system that is proven gone: its releases, its entries in the ledger but for those that `kept` names,
    /// and the generated secrets of these of its services.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn forget_system(
        &self,
        system: &SystemName,
        services: &[ServiceName],
        kept: impl Fn(&Entry) -> bool,
    ) -> Result<()> {
        self.store.remove(&Concern::Release(system.clone()))?;
        let of_these = |name: &str| services.iter().any(|service| is_secret_of(name, service));
        let forget = |document: &mut Value| match document.as_object_mut() {
            Some(secrets) => Ok(drop_keys(secrets, of_these)),
            None => Ok(false),
        };
        if self.store.has_any()? {
            self.store.change(&Concern::Secrets, forget)?;
        } else {
            self.store.change_copy(&Concern::Secrets, forget)?;
        }
        self.strike(|entry| entry.system.as_deref() == Some(system.as_str()) && !kept(entry))
    }

    /// The cluster that these records were written for, if there are any.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn cluster(&self) -> Result<Option<Identity>> {
        self.store.cluster()
    }
}

fn enter(document: &mut Value, entry: Entry) -> bool {
    let mut entries = ledger::entries(document);
    let changed = ledger::enter(&mut entries, entry);
    document["schema"] = json!(1);
    ledger::set_entries(document, &entries);
    changed
}

fn is_secret_of(name: &str, service: &ServiceName) -> bool {
    name.split_once('.').is_some_and(|(owner, _)| owner == service.as_str())
}

/// Whether there were any such.
fn drop_keys(map: &mut Map<String, Value>, wanted: impl Fn(&str) -> bool) -> bool {
    let before = map.len();
    map.retain(|key, _| !wanted(key));
    map.len() != before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        Entry { kind: "namespace".to_owned(), id: id.to_owned(), system: None, identity: json!({"name": id}) }
    }

    #[test]
    fn what_else_a_ledger_says_outlives_an_entry() {
        let mut document = json!({"cluster": {"uid": "1"}});
        assert!(enter(&mut document, entry("a")));
        assert!(!enter(&mut document, entry("a")));
        assert_eq!(ledger::entries(&document), [entry("a")]);
        assert_eq!(document["cluster"]["uid"], "1");
        let mut nothing = Value::Null;
        assert!(enter(&mut nothing, entry("a")));
        assert_eq!(nothing["schema"], 1);
    }

    #[test]
    fn the_secrets_of_a_service_are_told_from_those_of_one_with_a_longer_name() {
        let mut secrets =
            Map::from_iter(["redis.password", "redis-2.password"].map(|name| (name.to_owned(), json!("x"))));
        let redis: ServiceName = "redis".parse().unwrap();
        assert!(drop_keys(&mut secrets, |name| is_secret_of(name, &redis)));
        assert_eq!(secrets.keys().collect::<Vec<_>>(), ["redis-2.password"]);
        assert!(!drop_keys(&mut secrets, |name| is_secret_of(name, &redis)));
    }
}
