//! Terraform's destroy: whatever the cluster says, and whether it answers or not.

use super::delete_orphans;
use crate::Eks;
use anyhow::Result;
use aws::infra::Goal;
use base::error::{Exit, Fault};
use base::text;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use std::sync::Arc;

pub(super) struct DestroyWork {
    pub(super) eks: Arc<Eks>,
}

impl Work for DestroyWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        if !self.eks.infra.bucket.is_there()? {
            return Ok(Some("there is no state".to_owned()));
        }
        Ok(self.eks.infra.resources()?.is_empty().then(|| "Terraform's state has nothing".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let error = match self.destroy(cx) {
            Ok(count) => return Ok(done(count)),
            Err(error) if is_worth_another(&Fault::of(&error)) => error,
            Err(error) => return Err(error),
        };
        // Nodes leave interfaces behind, and these hold subnets and security groups: once the nodes are gone they can go.
        let removed = delete_orphans::unblock(&self.eks, cx)?;
        if removed.is_empty() {
            return Err(error);
        }
        cx.news(format!(
            "Terraform could not destroy it ({}); removed {}, trying again",
            first_line(&error),
            removed.join(", ")
        ));
        self.destroy(cx).map(done)
    }
}

impl DestroyWork {
    /// How many resources there were.
    fn destroy(&self, cx: &StepCx<'_>) -> Result<usize> {
        let saved = self.eks.infra.plan(Goal::Nothing, &|text| cx.status(text))?;
        let count = saved.summary.destroyed.len();
        self.eks.infra.destroy(&saved, cx)?;
        Ok(count)
    }
}

fn done(count: usize) -> Outcome {
    Outcome::DoneWith(format!("{} destroyed", text::counted(count, "resource", "resources")))
}

/// A signal, or credentials that have run out, end it.
fn is_worth_another(fault: &Fault) -> bool {
    fault.exit == Exit::Failed && !fault.code.starts_with("aws-credentials")
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_fail_again_is_not_tried_again() {
        assert!(is_worth_another(&Fault::failed("terraform", "DependencyViolation")));
        assert!(!is_worth_another(&Fault::interrupted(2)));
        assert!(!is_worth_another(&Fault::could_not_run("aws-credentials-expired", "expired")));
    }
}
