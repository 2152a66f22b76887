//! The end: the state bucket goes last, and only when nothing is left that the state or the ledger in it would find again.

use super::remains;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::target::eks::Eks;
use crate::ui;
use anyhow::Result;
use std::sync::Arc;

pub(super) struct BucketWork {
    pub(super) eks: Arc<Eks>,
}

impl Work for BucketWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok((!self.eks.infra.bucket.is_there()?).then(|| "there is no bucket".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        cx.status("asking AWS whether anything is left");
        let seen = remains::look_beside(&self.eks)?;
        let left = seen.things.iter().filter(|thing| thing.going.is_none()).count() + seen.unknown.len();
        let left = left + self.eks.infra.resources()?.len();
        if left > 0 {
            let left = ui::counted(left, "thing is", "things are");
            return Ok(Outcome::DoneWith(format!("it stays as long as {left} left")));
        }
        cx.status("removing the bucket with all its versions");
        // The lease that this run holds ends with it.
        self.eks.infra.bucket.remove()?;
        Ok(Outcome::Done)
    }
}
