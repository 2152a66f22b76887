//! What a deployment has on AWS that Terraform does not know: load balancers, target groups, security groups, volumes,
//! network interfaces, log groups, records. In its bucket, with a copy on this machine.

use super::objects::Objects;
use super::state::Bucket;
use anyhow::Result;
use engine::home::Home;
use engine::ledger;
use engine::ledger::Entry;
use engine::store::{DocumentName, Documents};
use std::sync::Arc;

pub struct AwsLedger {
    documents: Documents<Objects<Arc<Bucket>>>,
}

impl AwsLedger {
    pub fn new(bucket: Arc<Bucket>, home: Home) -> Self {
        Self { documents: Documents::new(Objects::new(bucket, home)) }
    }

    /// Everything in it: the bucket's and, where there is no bucket, the copy's.
    ///
    /// # Errors
    /// When neither can be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        Ok(ledger::entries(&self.documents.read(&DocumentName::ledger())?))
    }

    /// Enters what was seen or is about to be made; what is there already is not written again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enter(&self, entries: &[Entry]) -> Result<()> {
        self.documents.update(&DocumentName::ledger(), |document| {
            ledger::enter(document, entries);
            Ok(())
        })
    }

    /// The same while there is no bucket: into the copy alone.
    ///
    /// # Errors
    /// When it cannot be written; the thing must then not be made.
    pub fn enter_here(&self, entry: &Entry) -> Result<()> {
        self.documents.update_copy(&DocumentName::ledger(), |document| {
            ledger::enter(document, std::slice::from_ref(entry));
            Ok(())
        })
    }

    /// Strikes out what is proven gone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn strike(&self, gone: &dyn Fn(&Entry) -> bool) -> Result<()> {
        self.documents.update(&DocumentName::ledger(), |document| {
            ledger::strike(document, gone);
            Ok(())
        })
    }

    /// Lets the next question read everything again: somebody else may have deployed since.
    pub fn forget_what_was_read(&self) {
        self.documents.forget();
    }
}
