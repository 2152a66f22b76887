//! What a deployment has on AWS that Terraform does not know: load balancers, target groups, security groups, volumes,
//! network interfaces, log groups, records. In its bucket, with a copy on this machine.

use super::state::Bucket;
use crate::home::Home;
use crate::ledger::Entry;
use anyhow::Result;
use std::sync::Arc;

/// The key of the ledger.
pub const LEDGER: &str = "ledger.json";

pub struct AwsLedger {
    pub bucket: Arc<Bucket>,
    pub home: Home,
}

impl AwsLedger {
    /// Everything in it: the bucket's and, where there is no bucket, the copy's.
    ///
    /// # Errors
    /// When neither can be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        todo!("H5")
    }

    /// Enters what was seen or is about to be made; what is there already is not written again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enter(&self, entries: &[Entry]) -> Result<()> {
        let _ = entries;
        todo!("H5")
    }

    /// Strikes out what is proven gone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn strike(&self, gone: &dyn Fn(&Entry) -> bool) -> Result<()> {
        let _ = gone;
        todo!("H5")
    }
}
