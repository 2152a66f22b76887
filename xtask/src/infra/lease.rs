//! The lease of a deployment on AWS: an object in its bucket, written on the condition that nobody else has written.
//!
//! Like the one in a cluster it is renewed while its owner lives, and is taken over from one that does not.

use super::state::Bucket;
use crate::journal::Journal;
use crate::lease::Claim;
use crate::signal::Interrupts;
use anyhow::Result;
use std::sync::Arc;

/// The key of the lease.
pub const LEASE: &str = "lease.json";

/// The right to change a deployment from anywhere, held until it is dropped.
pub struct Lease {}

impl Lease {
    /// Takes the lease, or says who holds it. `folder` is a word for the folder of state that this runs from: what ran
    /// from there before is known to be dead.
    ///
    /// # Errors
    /// `lease-held`, or what AWS says.
    pub fn take(
        bucket: &Arc<Bucket>,
        claim: &Claim<'_>,
        environment: &str,
        folder: &str,
        interrupts: &Interrupts,
        journal: &Journal,
    ) -> Result<Self> {
        let _ = (bucket, claim, environment, folder, interrupts, journal);
        todo!("H5")
    }

    /// The bucket is about to be removed, and the lease with it: nothing is renewed or given back any more.
    pub fn end(&self) {
        todo!("H5")
    }
}
