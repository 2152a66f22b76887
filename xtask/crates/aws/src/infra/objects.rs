//! Documents that are at home in the deployment's bucket, each with a copy on this machine.
//!
//! The copy stands in where there is no bucket yet or no more, and what it alone has goes into the bucket with the next
//! write.

use super::state::{Bucket, If, Object};
use crate::{Refusal, Trouble};
use anyhow::Result;
use engine::home::Home;
use engine::store::{DocumentName, Found, Place, StateStore, Swapped, Version, Versioned};
use serde_json::{Value, json};
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// Whose a copy is: a folder of state may have served another deployment before.
const BUCKET: &str = "bucket";

/// What is asked of a bucket.
pub(super) trait Keeper {
    fn name(&self) -> String;
    fn get(&self, key: &str) -> Result<Option<Object>, Refusal>;
    fn put(&self, key: &str, document: &Value, condition: &If) -> Result<String, Refusal>;
    fn delete(&self, key: &str) -> Result<(), Refusal>;
}

impl<B: Deref<Target = Bucket>> Keeper for B {
    fn name(&self) -> String {
        Bucket::name(self)
    }

    fn get(&self, key: &str) -> Result<Option<Object>, Refusal> {
        Bucket::get(self, key)
    }

    fn put(&self, key: &str, document: &Value, condition: &If) -> Result<String, Refusal> {
        Bucket::put(self, key, document, condition)
    }

    fn delete(&self, key: &str) -> Result<(), Refusal> {
        Bucket::delete(self, key)
    }
}

/// The objects of one deployment.
pub(super) struct Objects<K> {
    bucket: K,
    home: Home,
}

impl<K: Keeper> Objects<K> {
    pub(super) fn new(bucket: K, home: Home) -> Self {
        Self { bucket, home }
    }

    fn fault(&self, verb: &str, name: &DocumentName, refusal: &Refusal) -> anyhow::Error {
        crate::fault(&format!("{verb} {}", self.place(name).words), refusal).into()
    }
}

impl<K: Keeper> StateStore for Objects<K> {
    fn read(&self, name: &DocumentName) -> Result<Found> {
        match self.bucket.get(&key(name)) {
            Ok(None) => Ok(Found::Nothing),
            Ok(Some(Object { document, etag })) => Ok(Found::Document(Versioned { document, version: Version(etag) })),
            Err(refusal) if refusal.trouble == Trouble::Malformed => Ok(Found::Broken(refusal.message)),
            Err(refusal) => Err(self.fault("read", name, &refusal)),
        }
    }

    fn swap(&self, name: &DocumentName, from: Option<&Version>, to: &Value) -> Result<Swapped> {
        let condition = from.map_or(If::Absent, |Version(etag)| If::Is(etag.clone()));
        match self.bucket.put(&key(name), to, &condition) {
            Ok(etag) => Ok(Swapped::Done(Version(etag))),
            Err(refusal) if refusal.is_absent() => Ok(Swapped::NoHome),
            Err(refusal) if [Trouble::Conflict, Trouble::Unanswered].contains(&refusal.trouble) => {
                Ok(Swapped::Conflict)
            }
            Err(refusal) => Err(self.fault("write", name, &refusal)),
        }
    }

    fn remove(&self, name: &DocumentName) -> Result<()> {
        match self.bucket.delete(&key(name)) {
            Err(refusal) if !refusal.is_absent() => Err(self.fault("remove", name, &refusal)),
            _ => Ok(()),
        }
    }

    fn place(&self, name: &DocumentName) -> Place {
        let (key, bucket) = (key(name), self.bucket.name());
        Place {
            words: format!("`{key}` in bucket `{bucket}`"),
            removal: format!("aws s3api delete-object --bucket {bucket} --key {key}"),
        }
    }

    fn folder(&self) -> &Path {
        self.home.dir()
    }

    /// The records of what runs in the cluster have their copies in the same folder.
    fn copy(&self, name: &DocumentName) -> Option<PathBuf> {
        Some(self.home.dir().join(format!("aws-{}", key(name))))
    }

    fn sign(&self, document: &mut Value) -> Result<()> {
        document[BUCKET] = json!(self.bucket.name());
        Ok(())
    }

    fn is_ours(&self, copy: &Value) -> Result<bool> {
        Ok(copy[BUCKET] == self.bucket.name())
    }
}

/// The key of a document's object.
fn key(name: &DocumentName) -> String {
    format!("{name}.json")
}

#[cfg(test)]
mod tests;
