//! What was applied last: noted in the bucket for everybody, and on this machine so that it need not be asked for.
//!
//! While something is being applied the note says of what it was made with a stamp that is nobody's: a run that is killed
//! in the middle leaves a platform that no stamp is that of, though what it had before is still known.

use super::objects::Objects;
use super::outputs::Outputs;
use super::state::{Bucket, If};
use crate::{Refusal, Trouble};
use anyhow::Result;
use base::files;
use base::files::{read_json, write_json};
use engine::home::Home;
use engine::store::{DocumentName, Documents};
use keys::Digest;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Its key in the bucket.
const KEY: &str = "applied.json";

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Applied {
    pub(super) stamp: Digest,
    /// Who has applied first.
    pub(super) owner: String,
    /// From where the cluster's API is reached, where nobody has said so: the addresses of all who have applied, those of
    /// the last behind the others.
    pub(super) cidrs: Vec<String>,
    /// As Terraform gives them.
    pub(super) outputs: Value,
}

/// More addresses than this are not kept; EKS takes no more than twice as many.
const MOST_CIDRS: usize = 20;

/// The addresses with one more, in the place of the oldest where there are too many.
pub(super) fn with_own(mut cidrs: Vec<String>, own: String) -> Vec<String> {
    if !cidrs.contains(&own) {
        cidrs.push(own);
    }
    cidrs.drain(..cidrs.len().saturating_sub(MOST_CIDRS));
    cidrs
}

/// The stamp of what is being changed.
pub(super) fn unfinished(stamp: Digest) -> Digest {
    Digest::of(format!("unfinished {stamp}"))
}

/// The texts of a list; none where there is no list.
pub(super) fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Applied {
    fn read(document: &Value) -> Option<Self> {
        Some(Self {
            stamp: document["stamp"].as_str()?.parse().ok()?,
            owner: document["owner"].as_str()?.to_owned(),
            cidrs: texts(&document["cidrs"]),
            outputs: document["outputs"].clone(),
        })
    }

    fn document(&self) -> Value {
        let Self { stamp, owner, cidrs, outputs } = self;
        json!({"schema": 1, "stamp": stamp.to_string(), "owner": owner, "cidrs": cidrs, "outputs": outputs})
    }

    /// # Errors
    /// When one is missing.
    pub(super) fn parsed(&self) -> Result<(Digest, Outputs)> {
        Ok((self.stamp, Outputs::parse(&self.outputs)?))
    }
}

/// Where the note is kept.
pub(super) struct Notes<'n> {
    pub(super) bucket: &'n Bucket,
    pub(super) home: &'n Home,
}

impl Notes<'_> {
    fn file(&self) -> PathBuf {
        self.home.dir().join("infra.json")
    }

    /// This machine's note is of the deployment that its bucket is named after.
    pub(super) fn read_here(&self) -> Result<Option<Applied>> {
        let document = read_json(&self.file())?;
        Ok(document.filter(|noted| noted["bucket"] == json!(self.bucket.name())).as_ref().and_then(Applied::read))
    }

    fn write_here(&self, applied: &Applied) -> Result<()> {
        let mut document = applied.document();
        document["bucket"] = json!(self.bucket.name());
        write_json(&self.file(), &document)
    }

    /// # Errors
    /// When AWS refuses or does not answer.
    pub(super) fn read(&self, fresh: bool) -> Result<Option<Applied>> {
        if !fresh && let Some(applied) = self.read_here()? {
            return Ok(Some(applied));
        }
        let applied = self.ask()?;
        self.keep(applied.as_ref())?;
        Ok(applied)
    }

    /// Reads it from the bucket and renews this machine's, unless `accept` refuses what has become of that.
    ///
    /// # Errors
    /// Those of `accept`, and when AWS refuses or does not answer.
    pub(super) fn renew(&self, accept: &dyn Fn(&Applied, &Applied) -> Result<()>) -> Result<Option<Applied>> {
        let here = self.read_here()?;
        let there = self.ask()?;
        if let (Some(here), Some(there)) = (&here, &there) {
            accept(here, there)?;
        }
        if here != there {
            self.keep(there.as_ref())?;
        }
        Ok(there)
    }

    fn ask(&self) -> Result<Option<Applied>> {
        let documents = Documents::new(Objects::new(self.bucket, self.home.clone()));
        Ok(Applied::read(&documents.read(&DocumentName::new("applied"))?))
    }

    fn keep(&self, applied: Option<&Applied>) -> Result<()> {
        match applied {
            Some(applied) => self.write_here(applied),
            None => files::remove(&self.file()),
        }
    }

    /// Writes the note over whatever is there, or over the version that this run has written before, and returns the new
    /// one. Only the holder of the lease writes.
    ///
    /// # Errors
    /// When AWS refuses, or somebody else writes at the same time.
    pub(super) fn write(&self, applied: &Applied, before: Option<String>) -> Result<String> {
        let document = applied.document();
        let fault = |refusal: &Refusal| crate::fault("note what is applied", refusal);
        let there = || self.bucket.get(KEY).map_err(|refusal| fault(&refusal));
        let condition = match before {
            Some(etag) => If::Is(etag),
            None => there()?.map_or(If::Absent, |object| If::Is(object.etag)),
        };
        let version = match self.bucket.put(KEY, &document, &condition) {
            Ok(version) => version,
            // An answer that was lost makes the second attempt meet the first.
            Err(refusal) if refusal.trouble == Trouble::Conflict => match there()? {
                Some(object) if object.document == document => object.etag,
                _ => return Err(fault(&refusal).into()),
            },
            Err(refusal) => return Err(fault(&refusal).into()),
        };
        self.write_here(applied)?;
        Ok(version)
    }

    /// # Errors
    /// When AWS refuses.
    pub(super) fn remove(&self) -> Result<()> {
        self.bucket.delete(KEY).map_err(|refusal| crate::fault("forget what was applied", &refusal))?;
        files::remove(&self.file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let cidrs = vec!["203.0.113.7/32".to_owned()];
        let outputs = json!({"a": {"value": 1}});
        let applied = Applied { stamp: Digest::of("a"), owner: "me".to_owned(), cidrs, outputs };
        assert_eq!(Applied::read(&applied.document()), Some(applied.clone()));
        assert_ne!(unfinished(applied.stamp), applied.stamp);
        assert_eq!(Applied::read(&json!({"stamp": "x"})), None);
    }

    #[test]
    fn the_addresses_of_all_who_apply_add_up() {
        let first = with_own(Vec::new(), "203.0.113.7/32".to_owned());
        let both = with_own(first, "198.51.100.1/32".to_owned());
        assert_eq!(both, ["203.0.113.7/32", "198.51.100.1/32"]);
        assert_eq!(with_own(both.clone(), both[0].clone()), both, "who comes again changes nothing");
        let many = (0..30).fold(Vec::new(), |cidrs, n| with_own(cidrs, format!("10.0.0.{n}/32")));
        assert_eq!((many.len(), many[0].as_str()), (20, "10.0.0.10/32"));
        let noted = json!({"stamp": Digest::of("a").to_string(), "owner": "me", "outputs": {}});
        assert_eq!(Applied::read(&noted).unwrap().cidrs, Vec::<String>::new(), "one of an earlier version");
    }
}
