//! What is the same for every home: a change is asked again with what is there when somebody else was faster or an answer
//! was lost; this machine keeps a copy; what a newer version of this tool has written is refused by its name; and of what
//! an earlier one has written a copy is kept before it is rewritten.

use super::{DocumentName, Found, Place, StateStore, Swapped, Version, Versioned};
use anyhow::Result;
use base::error::Fault;
use base::files;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often a document is written anew because somebody else has written.
const ATTEMPTS: usize = 8;

/// The form of every document that is written here.
const SCHEMA: u64 = 1;

/// The documents of one deployment in their home.
#[derive(Debug)]
pub struct Documents<S> {
    store: S,
    /// What the home had when it was read or written last; steps that run side by side change it one after the other.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Whether all of them were read, so that there is none that is not known.
    all: bool,
    documents: BTreeMap<DocumentName, Found>,
}

/// A document as it counts.
struct Current<'k> {
    /// Null where there is none.
    document: Cow<'k, Value>,
    /// `None` where the home has none.
    version: Option<Version>,
}

impl<S: StateStore> Documents<S> {
    pub fn new(store: S) -> Self {
        Self { store, known: Mutex::default() }
    }

    pub fn store(&self) -> &S {
        &self.store
    }

    /// A document; null where there is none. Where the home has none, the copy may stand in.
    ///
    /// # Errors
    /// When the home cannot be reached, or the document is broken or of a newer version of this tool.
    pub fn read(&self, name: &DocumentName) -> Result<Value> {
        Ok(self.current(&mut self.lock(), name)?.document.into_owned())
    }

    /// The documents that the home has, where one question tells them all. One that is broken is null.
    ///
    /// # Errors
    /// When the home cannot be reached.
    pub fn all(&self) -> Result<BTreeMap<DocumentName, Value>> {
        let mut known = self.lock();
        self.list(&mut known)?;
        let there = known.documents.iter().filter_map(|(name, found)| match found {
            Found::Nothing => None,
            Found::Document(found) => Some((name.clone(), found.document.clone())),
            Found::Broken(_) => Some((name.clone(), Value::Null)),
        });
        Ok(there.collect())
    }

    /// Changes a document, which is null where there is none. `change` may be asked more than once, each time with what is
    /// there then, and has to see from that whether it was done before. What it leaves alone is not written.
    ///
    /// # Errors
    /// Those of [`Documents::read`], when the home refuses, or `change` fails.
    pub fn update<T>(&self, name: &DocumentName, mut change: impl FnMut(&mut Value) -> Result<T>) -> Result<T> {
        let mut known = self.lock();
        for attempt in 0..ATTEMPTS {
            let Current { document: before, version } = self.current(&mut known, name)?;
            let mut document = Value::clone(&before);
            let told = change(&mut document)?;
            // What only the copy has belongs into the home, too.
            let is_brought_back = version.is_none() && !before.is_null();
            if document == *before && !is_brought_back {
                // Another attempt may have been the one that counted, and nobody heard of it.
                if attempt > 0 && version.is_some() {
                    self.keep_copy(name, &document)?;
                }
                return Ok(told);
            }
            self.prepare(name, &before, &mut document)?;
            match self.store.swap(name, version.as_ref(), &document)? {
                Swapped::Done(version) => {
                    self.keep_copy(name, &document)?;
                    known.documents.insert(name.clone(), Found::Document(Versioned { document, version }));
                    return Ok(told);
                }
                Swapped::NoHome => {
                    self.keep_copy(name, &document)?;
                    known.documents.insert(name.clone(), Found::Nothing);
                    return Ok(told);
                }
                Swapped::Conflict => {
                    known.documents.insert(name.clone(), self.store.read(name)?);
                }
            }
        }
        let cause = format!("{} was changed by others {ATTEMPTS} times in a row", self.store.place(name).words);
        Err(Fault::failed("records-contended", cause).hint("is another deployment of the same name at work?").into())
    }

    /// Changes the copy alone, for as long as the home has no such document.
    ///
    /// # Errors
    /// When it cannot be read or written, or `change` fails.
    pub fn update_copy<T>(&self, name: &DocumentName, change: impl FnOnce(&mut Value) -> Result<T>) -> Result<T> {
        let before = self.read_copy(name)?;
        let mut document = before.clone();
        let told = change(&mut document)?;
        if document != before {
            self.prepare(name, &before, &mut document)?;
            self.keep_copy(name, &document)?;
        }
        Ok(told)
    }

    /// Removes a document and its copy.
    ///
    /// # Errors
    /// When either cannot be removed.
    pub fn remove(&self, name: &DocumentName) -> Result<()> {
        let mut known = self.lock();
        // A home that is not there need not be asked for what it is known not to have.
        self.list(&mut known)?;
        if !known.all || known.documents.contains_key(name) {
            self.store.remove(name)?;
            known.documents.insert(name.clone(), Found::Nothing);
        }
        self.store.copy(name).map_or(Ok(()), |copy| files::remove(&copy))
    }

    /// Lets the next question read everything again: somebody else may have written since.
    pub fn forget(&self) {
        *self.lock() = Known::default();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, known: &mut Known) -> Result<()> {
        if !known.all
            && let Some(documents) = self.store.all()?
        {
            *known = Known { all: true, documents };
        }
        Ok(())
    }

    fn current<'k>(&self, known: &'k mut Known, name: &DocumentName) -> Result<Current<'k>> {
        self.list(known)?;
        if !known.all && !known.documents.contains_key(name) {
            known.documents.insert(name.clone(), self.store.read(name)?);
        }
        match known.documents.get(name) {
            Some(Found::Document(Versioned { document, version })) => {
                self.check(name, document)?;
                Ok(Current { document: Cow::Borrowed(document), version: Some(version.clone()) })
            }
            Some(Found::Broken(why)) => Err(broken(&self.store.place(name), why).into()),
            Some(Found::Nothing) | None if self.store.copy_stands_in(name) => {
                Ok(Current { document: Cow::Owned(self.read_copy(name)?), version: None })
            }
            Some(Found::Nothing) | None => Ok(Current { document: Cow::Owned(Value::Null), version: None }),
        }
    }

    /// Whether a document is one that this version of the tool can take.
    fn check(&self, name: &DocumentName, document: &Value) -> Result<(), Fault> {
        let place = || self.store.place(name);
        if !document.is_object() {
            return Err(broken(&place(), "it is JSON, but no object"));
        }
        match document["schema"].as_u64() {
            Some(schema) if schema > SCHEMA => Err(newer(&place(), schema)),
            _ => Ok(()),
        }
    }

    /// The copy of a document; null where there is none of this deployment.
    fn read_copy(&self, name: &DocumentName) -> Result<Value> {
        let Some(path) = self.store.copy(name) else { return Ok(Value::Null) };
        let Some(copy) = files::read_json(&path)? else { return Ok(Value::Null) };
        if !self.store.is_ours(&copy)? {
            return Ok(Value::Null);
        }
        self.check(name, &copy)?;
        Ok(copy)
    }

    fn keep_copy(&self, name: &DocumentName, document: &Value) -> Result<()> {
        self.store.copy(name).map_or(Ok(()), |path| files::write_json(&path, document))
    }

    /// Makes a changed document one that can be written.
    fn prepare(&self, name: &DocumentName, before: &Value, document: &mut Value) -> Result<()> {
        if let Some(schema) = before["schema"].as_u64().filter(|schema| *schema < SCHEMA) {
            let kept = DocumentName(format!("{name}.schema-{schema}")).file(&self.store.folder().join("earlier"));
            if !kept.exists() {
                files::write_json(&kept, before)?;
            }
        }
        document["schema"] = json!(SCHEMA);
        self.store.sign(document)
    }
}

fn broken(place: &Place, why: &str) -> Fault {
    let cause = format!("{} is not as it was written: {why}", place.words);
    let hint = format!("remove it, the next deploy makes what is missing again: {}", place.removal);
    Fault::could_not_run("state-broken", cause).hint(hint)
}

fn newer(place: &Place, schema: u64) -> Fault {
    let words = &place.words;
    let cause = format!("{words} was written by a newer version of this tool: its schema is {schema}, not {SCHEMA}");
    Fault::could_not_run("state-newer", cause).hint("use the checkout that has deployed last, or a newer one")
}
