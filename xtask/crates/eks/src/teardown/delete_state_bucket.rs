//! The end: the state bucket goes last, and only when nothing is left that the state or the ledger in it would find again.

use super::inventory::Reach;
use super::remains;
use crate::Eks;
use anyhow::Result;
use base::text;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use std::sync::Arc;

pub(super) struct BucketWork {
    pub(super) eks: Arc<Eks>,
}

impl Work for BucketWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok((!self.eks.infra.bucket.is_there()?).then(|| "there is no bucket".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        cx.status("asking AWS whether anything is left");
        let seen = remains::look(&self.eks, Reach::Unmanaged)?;
        let left = seen.resources.iter().filter(|resource| resource.going.is_none()).count() + seen.unknown.len();
        let left = left + self.eks.infra.resources()?.len();
        if left > 0 {
            let left = text::counted(left, "resource is", "resources are");
            return Ok(Outcome::DoneWith(format!("it stays as long as {left} left")));
        }
        cx.status("removing the bucket with all its versions");
        // The lease that this run holds ends with it.
        self.eks.infra.bucket.remove()?;
        Ok(Outcome::Done)
    }
}
