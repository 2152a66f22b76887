//! The records in Route 53 that lead to load balancers which are gone.

use super::gate::{self, Removal};
use super::{records, remains, systems};
use crate::aws::fault;
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::target::Scope;
use crate::target::eks::Eks;
use anyhow::Result;
use std::sync::Arc;

pub(super) struct RecordsWork {
    pub(super) eks: Arc<Eks>,
    pub(super) scope: Scope,
}

impl RecordsWork {
    fn left(&self) -> Result<Vec<super::thing::Thing>> {
        let entries = self.eks.ledger.entries()?;
        let found = records::records(&remains::scene(&self.eks, &entries));
        let mut found = found.map_err(|refusal| fault("look for records of the domain", &refusal))?;
        found.retain(|thing| self.scope.everything || systems::goes_with(&self.eks, thing, &self.scope));
        Ok(found)
    }
}

impl Work for RecordsWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.left()?.is_empty().then(|| "there are none of ours".to_owned()))
    }

    fn act(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let left = self.left()?;
        for thing in &left {
            if let Removal::Held(words) = gate::remove(&self.eks.infra.aws, thing)? {
                return Err(
                    Fault::failed("record-held", format!("{} cannot be removed: {words}", thing.title())).into()
                );
            }
        }
        Ok(Outcome::DoneWith(gate::named(&left)))
    }
}
