//! What is known of a deployment: its releases that were proven, its generated secrets, its ledger. Kept in Secrets of
//! the deployment's home namespace, with a copy on this machine.

mod proven;
mod store;

pub(super) use proven::Proven;

use self::store::{Concern, Store};
use super::access::Access;
use super::identity::Identity;
use super::names::Names;
use crate::home::Home;
use crate::ledger::{self, Entry};
use crate::spec::name::{ServiceName, SystemName};
use crate::target::supervised::secrets::generate;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::sync::Arc;

/// Reads and writes the records of one deployment.
pub(super) struct Records {
    store: Store,
}

impl Records {
    pub(super) fn new(access: Arc<Access>, names: Names, home: Home) -> Self {
        Self { store: Store::new(access, names, home) }
    }

    /// Lets the next question read everything again: somebody else may have deployed since.
    pub(super) fn forget_what_was_read(&self) {
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
    pub(super) fn enter(&self, entry: Entry) -> Result<()> {
        self.store.change(&Concern::Ledger, |document| Ok(enter(document, entry.clone())))
    }

    /// The same while there is no place for it in the cluster yet.
    ///
    /// # Errors
    /// Those of [`Records::enter`].
    pub(super) fn enter_here(&self, entry: Entry) -> Result<()> {
        self.store.change_copy(&Concern::Ledger, |document| Ok(enter(document, entry.clone())))
    }

    /// What is in the ledger; in its copy, where the cluster has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        Ok(ledger::entries(&self.store.read(&Concern::Ledger)?))
    }

    /// Strikes out what is proven gone. Where the home namespace is gone as well, so is the ledger in it, and nothing is
    /// left to be written but the copy.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn strike(&self, gone: impl Fn(&Entry) -> bool) -> Result<()> {
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
