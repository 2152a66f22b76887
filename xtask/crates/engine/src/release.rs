//! A release as a straight line, whatever it runs on: apply and wait, then verify, then record; where one of these fails,
//! what was verified last is restored. A backend says how each is done, not when.

use crate::backend::Target;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::smoke::{self, Progress, Surroundings};
use anyhow::Result;
use base::error::Fault;
use base::text::counted;
use model::name::SystemName;
use model::system::System;
use std::fmt;

/// What serves again after a failure, for people; `None` where nothing had to be restored.
pub type Restored = Option<String>;

/// Does a part of a release. What fails is explained, and what was there before is restored; the failure says what came of
/// that. After a signal nothing is restored: the next run goes on from what there is.
///
/// # Errors
/// The failure of `make`.
pub fn or_restore<T>(
    cx: &StepCx<'_>,
    make: impl FnOnce() -> Result<T>,
    explain: impl FnOnce(Fault) -> Fault,
    restore: impl FnOnce() -> Result<Restored>,
) -> Result<T> {
    match make() {
        Ok(made) => Ok(made),
        Err(error) if cx.interrupts.stopping() => Err(error),
        Err(error) => {
            let fault = explain(Fault::of(&error));
            Err(with_restored(fault, restore()).into())
        }
    }
}

/// The failure, and behind it what came of restoring what was there before.
pub fn with_restored(fault: Fault, restored: Result<Restored>) -> Fault {
    let came = match restored {
        Ok(Some(words)) => words,
        Ok(None) => return fault,
        Err(error) => format!("and it could not {error:#}"),
    };
    Fault { cause: format!("{}\n  {came}", fault.cause), ..fault }
}

/// A revision that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub number: u64,
    /// When that was, UTC.
    pub at: String,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revision {} was proven at {}", self.number, self.at)
    }
}

/// A system as it was applied, for what comes after that.
pub trait Applied: Send + Sync {
    fn target(&self) -> &dyn Target;

    fn system(&self) -> &System;

    /// The revision that says that exactly this was verified before; `None` where it has to be verified.
    ///
    /// # Errors
    /// When the history cannot be read.
    fn verified(&self) -> Result<Option<Verified>>;

    /// Waits until it is reached as its users reach it. Applying it has done so already, unless a run that was killed has
    /// applied it.
    ///
    /// # Errors
    /// When that does not come to pass in time.
    fn arrive(&self, cx: &StepCx<'_>) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Writes down that it was verified. The revision's number.
    ///
    /// # Errors
    /// When that cannot be written.
    fn record(&self, cx: &StepCx<'_>) -> Result<u64>;

    /// The failure with what explains it.
    fn explain(&self, fault: Fault, cx: &StepCx<'_>) -> Fault {
        let _ = cx;
        fault
    }

    /// Goes back to what was verified last.
    ///
    /// # Errors
    /// When that does not come up.
    fn restore(&self, cx: &StepCx<'_>) -> Result<Restored>;
}

/// Verifies a system against its smoke contract and records it, or restores what was verified last.
pub struct VerifyWork<A>(pub A);

impl<A: Applied> Work for VerifyWork<A> {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.0.verified()?.map(|verified| verified.to_string()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let applied = &self.0;
        let check = || {
            applied.arrive(cx)?;
            verify(applied.target(), applied.system(), cx)
        };
        let passed = or_restore(cx, check, |fault| applied.explain(fault, cx), || applied.restore(cx))?;
        let number = applied.record(cx)?;
        let system = applied.system();
        let came = match system.smoke.is_empty() {
            true => unchecked(&system.name),
            false => format!("{} passed", counted(passed, "check", "checks")),
        };
        Ok(Outcome::DoneWith(format!("{came}, revision {number}")))
    }
}

/// What is to be said of a system whose contract is empty or gone: that it became ready is all that is known of it.
pub fn unchecked(system: &SystemName) -> String {
    format!("no file declares a check of `{system}`, so it is ready and not proven")
}

/// Runs the contract and says how many checks passed.
///
/// # Errors
/// When one did not, or a signal came.
fn verify(target: &dyn Target, system: &System, cx: &StepCx<'_>) -> Result<usize> {
    let surroundings = Surroundings {
        resolve: &|service| target.endpoint(service),
        deny: &|denied| target.deny(denied),
        stop: &|| cx.interrupts.stopping(),
    };
    let results = smoke::run(system, &surroundings, &mut |progress| match progress {
        Progress::Started(check) => cx.status(check.name.clone()),
        Progress::Waiting { check, last } => cx.status(format!("{}: {last}", check.name)),
        Progress::Finished(_) => {}
    });
    if let Some(signal) = cx.interrupts.first() {
        return Err(Fault::interrupted(signal).into());
    }
    Ok(smoke::verdict(&system.name, &results).map_err(|fault| {
        let command = |words| target.deployment().environment.command(words);
        fault.hint(format!("`{}` and `{}` show more", command("status"), command("logs SERVICE")))
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_failure_says_what_serves_again() {
        let cause = |restored| with_restored(Fault::failed("crash", "`epoch` ends with 1"), restored).cause;
        assert_eq!(cause(Ok(None)), "`epoch` ends with 1");
        assert_eq!(
            cause(Ok(Some("revision 3 serves again".to_owned()))),
            "`epoch` ends with 1\n  revision 3 serves again"
        );
        let failed = Err(anyhow!("no")).context("go back");
        assert_eq!(cause(failed), "`epoch` ends with 1\n  and it could not go back: no");
    }
}
