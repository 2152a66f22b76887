//! Whether a system keeps its smoke contract, as a step asks.

use super::Target;
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::smoke::{self, Progress, Surroundings};
use crate::spec::environment::Environment;
use crate::spec::system::System;
use anyhow::Result;

/// Runs the contract and says how many checks passed.
///
/// # Errors
/// When one did not, or a signal came.
pub(super) fn check(target: &dyn Target, environment: &Environment, system: &System, cx: &StepCx<'_>) -> Result<usize> {
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
        let command = |words| environment.command(words);
        fault.hint(format!("`{}` and `{}` show more", command("status"), command("logs SERVICE")))
    })?)
}
