//! Terraform's destroy: whatever the cluster says, and whether it answers or not.

use super::sweep;
use crate::error::{Exit, Fault};
use crate::infra::Aim;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::target::eks::Eks;
use crate::ui;
use anyhow::Result;
use std::sync::Arc;

pub(super) struct DestroyWork {
    pub(super) eks: Arc<Eks>,
}

impl Work for DestroyWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        if !self.eks.infra.bucket.is_there()? {
            return Ok(Some("there is no state".to_owned()));
        }
        Ok(self.eks.infra.resources()?.is_empty().then(|| "Terraform's state has nothing".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let error = match self.destroy(cx) {
            Ok(count) => return Ok(done(count)),
            Err(error) if is_worth_another(&Fault::of(&error)) => error,
            Err(error) => return Err(error),
        };
        // Nodes leave interfaces behind, and these hold subnets and security groups: once the nodes are gone they can go.
        let removed = sweep::unblock(&self.eks, cx)?;
        if removed.is_empty() {
            return Err(error);
        }
        cx.news(format!(
            "Terraform could not end it ({}); removed {}, and once more",
            first_line(&error),
            removed.join(", ")
        ));
        self.destroy(cx).map(done)
    }
}

impl DestroyWork {
    /// How many things there were.
    fn destroy(&self, cx: &StepCx<'_>) -> Result<usize> {
        let saved = self.eks.infra.plan(Aim::Nothing, &|text| cx.status(text))?;
        let count = saved.summary.destroyed.len();
        self.eks.infra.destroy(&saved, cx)?;
        Ok(count)
    }
}

fn done(count: usize) -> Outcome {
    Outcome::DoneWith(format!("{} destroyed", ui::counted(count, "resource", "resources")))
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
