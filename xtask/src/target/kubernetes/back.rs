//! The way back: a release that failed returns to the newest one that was proven, so that what never served does not
//! stay in the place of what did.

use super::aim::{Aim, Candidate, Run};
use super::records::Proven;
use super::{drift, helm, rollout, running};
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::spec::name::SystemName;
use anyhow::{Context, Result};

/// What Helm knew of a release before a run touched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Before {
    /// The number of its newest record; 0 when there is none.
    pub(super) newest: u64,
    /// The revision that counted as deployed.
    pub(super) deployed: Option<u64>,
}

impl Before {
    /// # Errors
    /// Those of [`running::records`].
    pub(super) fn look(run: &Run, system: &SystemName) -> Result<Self> {
        Ok(Self::of(&running::records(&run.core, system)?))
    }

    pub(super) fn of(records: &[running::Record]) -> Self {
        let deployed = records.iter().rev().find(|record| record.is_deployed());
        Self {
            newest: records.last().map_or(0, |record| record.revision),
            deployed: deployed.map(|record| record.revision),
        }
    }

    /// Whether this revision is deployed, and nothing was tried since.
    pub(super) fn is(self, revision: u64) -> bool {
        self.newest == revision && self.deployed == Some(revision)
    }
}

/// What became of a release that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Helm had changed nothing yet.
    Untouched,
    /// This revision serves again.
    Proven(u64),
    /// What ran before is there again, though it was never proven.
    Unproven,
    /// There was none before, so there is none now.
    Removed,
}

/// Goes back from what this run has made of a release, and says what came of that behind the failure.
pub(super) fn after(fault: Fault, run: &Run, candidate: &Candidate, before: Before, cx: &StepCx<'_>) -> Fault {
    let system = &candidate.system.name;
    let way = go_back(run, candidate, before, cx);
    tell(fault, way.with_context(|| format!("go back to the last proven revision of `{system}`")))
}

fn go_back(run: &Run, candidate: &Candidate, before: Before, cx: &StepCx<'_>) -> Result<Way> {
    let system = &candidate.system.name;
    if Before::look(run, system)?.newest <= before.newest {
        return Ok(Way::Untouched);
    }
    cx.status("goes back");
    if let Some(proven) = run.core.records.history(system)?.pop() {
        let aim = run.again(candidate, &proven)?;
        let revision = reinstate(run, &aim, &proven, cx)?;
        rollout::watch(&run.core, cx, &aim.wanted)?;
        let objects = drift::capture(&run.core, system)?;
        let number = run.core.records.prove(system, Proven { helm_revision: revision, objects, ..proven })?;
        return Ok(Way::Proven(number));
    }
    match before.deployed {
        Some(revision) => {
            helm::roll_back(run, system, revision, cx)?;
            Ok(Way::Unproven)
        }
        None => {
            helm::uninstall(run, system, cx)?;
            Ok(Way::Removed)
        }
    }
}

/// Makes the release what was proven, by Helm's own record of it where that is still kept. The revision it then has.
///
/// # Errors
/// When Helm or the cluster refuses.
pub(super) fn reinstate(run: &Run, aim: &Aim, proven: &Proven, cx: &StepCx<'_>) -> Result<u64> {
    let system = &aim.wanted.system;
    let kept = running::records(&run.core, system)?;
    if kept.iter().any(|record| record.revision == proven.helm_revision) {
        helm::roll_back(run, system, proven.helm_revision, cx)?;
    } else {
        helm::upgrade(run, aim, cx)?;
    }
    Ok(Before::look(run, system)?.newest)
}

/// The failure, and behind it what came of going back.
fn tell(fault: Fault, way: Result<Way>) -> Fault {
    let came = match way {
        Ok(Way::Untouched) => return fault,
        Ok(Way::Proven(number)) => format!("revision {number} serves again"),
        Ok(Way::Unproven) => "what ran before is there again, though it was never proven".to_owned(),
        Ok(Way::Removed) => {
            "no version of it was ever proven, so the release was removed again; what it stores was kept".to_owned()
        }
        Err(error) => format!("and it could not {error:#}"),
    };
    Fault { cause: format!("{}\n  {came}", fault.cause), ..fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_became_of_the_release() {
        let cause = |way| tell(Fault::failed("crash", "`epoch` ends with 1"), way).cause;
        assert_eq!(cause(Ok(Way::Untouched)), "`epoch` ends with 1");
        assert_eq!(cause(Ok(Way::Proven(3))), "`epoch` ends with 1\n  revision 3 serves again");
        let failed = Err(anyhow::anyhow!("no")).context("go back");
        assert_eq!(cause(failed), "`epoch` ends with 1\n  and it could not go back: no");
    }
}
