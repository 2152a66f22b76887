//! What a deployment has on AWS that Terraform does not know: load balancers, target groups, security groups, volumes,
//! network interfaces, log groups, records. In its bucket, with a copy on this machine.
//!
//! The copy stands in where there is no bucket yet or no more, and what it alone has goes into the bucket with the next
//! write. A write counts only where nobody else has written meanwhile; otherwise it is made anew with what is there then.

use super::state::{Bucket, If, Object};
use crate::aws::{self, Refusal, Trouble};
use crate::error::Fault;
use crate::home::{self, Home};
use crate::ledger::{self, Entry};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The key of the ledger.
pub const LEDGER: &str = "ledger.json";

/// How often it is written anew because somebody else has written.
const ATTEMPTS: usize = 8;

/// Whose the copy is: a folder of state may have served another deployment before.
const BUCKET: &str = "bucket";

pub struct AwsLedger {
    bucket: Arc<Bucket>,
    home: Home,
    /// What the bucket had when it was read or written last; steps that run side by side enter one after the other.
    known: Mutex<Known>,
}

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    Absent,
    Read(Object),
}

impl AwsLedger {
    pub fn new(bucket: Arc<Bucket>, home: Home) -> Self {
        Self { bucket, home, known: Mutex::default() }
    }

    /// Everything in it: the bucket's and, where there is no bucket, the copy's.
    ///
    /// # Errors
    /// When neither can be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        Ok(ledger::entries(&self.current(&mut self.lock())?))
    }

    /// Enters what was seen or is about to be made; what is there already is not written again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enter(&self, entries: &[Entry]) -> Result<()> {
        self.change(|document| enter(document, entries))
    }

    /// The same while there is no bucket: into the copy alone.
    ///
    /// # Errors
    /// When it cannot be written; the thing must then not be made.
    pub fn enter_here(&self, entry: &Entry) -> Result<()> {
        let mut document = self.copy()?;
        if enter(&mut document, std::slice::from_ref(entry)) { self.keep(&mut document) } else { Ok(()) }
    }

    /// Strikes out what is proven gone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn strike(&self, gone: &dyn Fn(&Entry) -> bool) -> Result<()> {
        self.change(|document| strike(document, gone))
    }

    /// Lets the next question read everything again: somebody else may have deployed since.
    pub fn forget_what_was_read(&self) {
        *self.lock() = Known::Nothing;
    }

    /// Changes the document, which is null where there is none. `change` says whether it did; it may be asked more than
    /// once, each time with what is there.
    fn change(&self, change: impl Fn(&mut Value) -> bool) -> Result<()> {
        let mut known = self.lock();
        for _ in 0..ATTEMPTS {
            let mut document = self.current(&mut known)?;
            // What only the copy has belongs into the bucket, too.
            let brought_back = matches!(*known, Known::Absent) && !document.is_null();
            if !change(&mut document) && !brought_back {
                return Ok(());
            }
            let condition = match &*known {
                Known::Read(object) => If::Is(object.etag.clone()),
                Known::Absent | Known::Nothing => If::Absent,
            };
            document[BUCKET] = json!(self.bucket.name());
            match self.bucket.put(LEDGER, &document, &condition) {
                Ok(etag) => {
                    self.keep(&mut document)?;
                    *known = Known::Read(Object { document, etag });
                    return Ok(());
                }
                // There is no bucket, so that the copy is all.
                Err(refusal) if refusal.is_absent() => {
                    *known = Known::Absent;
                    return self.keep(&mut document);
                }
                // Somebody else has written, or it was written and nobody heard of it.
                Err(refusal) if [Trouble::Conflict, Trouble::Unanswered].contains(&refusal.trouble) => {
                    *known = Known::Nothing;
                }
                Err(refusal) => return Err(self.fault("write", &refusal).into()),
            }
        }
        let cause =
            format!("`{LEDGER}` in bucket `{}` was changed by others {ATTEMPTS} times in a row", self.bucket.name());
        Err(Fault::failed("records-contended", cause).hint("is another deployment of the same name at work?").into())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the bucket has, read once in a run; what the copy has, where the bucket has nothing.
    fn current(&self, known: &mut Known) -> Result<Value> {
        if let Known::Nothing = known {
            *known = match self.bucket.get(LEDGER).map_err(|refusal| self.fault("read", &refusal))? {
                Some(object) => Known::Read(object),
                None => Known::Absent,
            };
        }
        match known {
            Known::Read(object) => Ok(object.document.clone()),
            Known::Absent | Known::Nothing => self.copy(),
        }
    }

    /// The copy; null where there is none of this deployment.
    fn copy(&self) -> Result<Value> {
        let copy = home::read_json(&self.file())?.filter(|copy| copy[BUCKET] == self.bucket.name());
        Ok(copy.unwrap_or_default())
    }

    fn keep(&self, document: &mut Value) -> Result<()> {
        document[BUCKET] = json!(self.bucket.name());
        home::write_json(&self.file(), document)
    }

    fn file(&self) -> PathBuf {
        self.home.dir().join("aws-ledger.json")
    }

    fn fault(&self, verb: &str, refusal: &Refusal) -> Fault {
        aws::fault(&format!("{verb} `{LEDGER}` in bucket `{}`", self.bucket.name()), refusal)
    }
}

/// Whether that changes anything.
fn enter(document: &mut Value, entries: &[Entry]) -> bool {
    let mut all = ledger::entries(document);
    let mut changed = false;
    for entry in entries {
        changed |= ledger::enter(&mut all, entry.clone());
    }
    if changed {
        document["schema"] = json!(1);
        ledger::set_entries(document, &all);
    }
    changed
}

/// Whether that changes anything.
fn strike(document: &mut Value, gone: &dyn Fn(&Entry) -> bool) -> bool {
    let mut all = ledger::entries(document);
    let before = all.len();
    all.retain(|entry| !gone(entry));
    let changed = all.len() != before;
    if changed {
        ledger::set_entries(document, &all);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        Entry { kind: "load-balancer".to_owned(), id: id.to_owned(), system: None, identity: json!({"arn": id}) }
    }

    #[test]
    fn what_is_there_already_changes_nothing() {
        let mut document = Value::Null;
        assert!(enter(&mut document, &[entry("a"), entry("b")]));
        let before = document.clone();
        assert!(!enter(&mut document, &[entry("b"), entry("a")]) && !enter(&mut document, &[]));
        assert_eq!(document, before);
        assert!(enter(&mut document, &[entry("b"), entry("c")]));
        assert_eq!(ledger::entries(&document), [entry("a"), entry("b"), entry("c")]);
    }

    #[test]
    fn what_is_gone_is_struck_out_once() {
        let mut document = Value::Null;
        enter(&mut document, &[entry("a"), entry("b")]);
        let gone = |entry: &Entry| entry.id == "a";
        assert!(strike(&mut document, &gone) && !strike(&mut document, &gone));
        assert_eq!(ledger::entries(&document), [entry("b")]);
        assert!(!strike(&mut Value::Null, &gone));
    }
}
