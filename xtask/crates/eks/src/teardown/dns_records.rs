//! The records in Route 53 that lead to load balancers which are gone.

use super::aws_resource::AwsResource;
use super::gate::{self, Removal};
use super::{records, remains, systems};
use crate::Eks;
use anyhow::Result;
use aws::{Aws, fault};
use base::error::Fault;
use engine::deployment::Scope;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use std::sync::Arc;

pub(super) struct RecordsWork {
    pub(super) eks: Arc<Eks>,
    pub(super) scope: Scope,
}

impl RecordsWork {
    fn left(&self) -> Result<Vec<AwsResource>> {
        let entries = self.eks.ledger.entries()?;
        let found = records::records(&remains::context(&self.eks, &entries));
        let mut found = found.map_err(|refusal| fault("look for records of the domain", &refusal))?;
        found.retain(|resource| self.scope.everything || systems::goes_with(&self.eks, resource, &self.scope));
        Ok(found)
    }
}

impl Work for RecordsWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.left()?.is_empty().then(|| "there are none of ours".to_owned()))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let left = self.left()?;
        remove(&self.eks.infra.aws, &left)?;
        Ok(Outcome::DoneWith(gate::named(&left)))
    }
}

/// # Errors
/// `record-held`, or what AWS says.
pub(super) fn remove(aws: &Aws, records: &[AwsResource]) -> Result<()> {
    for resource in records {
        if let Removal::Held(words) = gate::remove(aws, resource)? {
            let cause = format!("{} cannot be removed: {words}", resource.title());
            return Err(Fault::failed("record-held", cause).into());
        }
    }
    Ok(())
}
